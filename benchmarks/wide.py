"""A study of a wide table from end to end: seconds, and the peak of the resident memory of the whole process.

    python benchmarks/wide.py      # records/wide.json

Each case runs in a process of its own, which makes the data, studies them (two epochs, 20 draws, one model) and asks
the system how much memory it held at most: import, data and all. The sparse table is of counts, of which 3 % are not 0.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from record import write_record
from scipy import sparse

import elbowroom as er

COLUMNS = 20_000
ROWS = {"dense": 3_000, "sparse": 30_000}
FILLED = 0.03
HELD_OUT = 300  # rows for validation and for test: what is measured on them takes time, but no more memory
ALLOWED_GB = 2.0


def table(kind: str, rows: int, columns: int) -> Any:
    """Eight factors and noise, 32-bit floats; or counts of a gamma-Poisson, in sparse rows."""
    rng = np.random.default_rng(0)
    if kind == "dense":
        x = rng.standard_normal((rows, columns), dtype=np.float32)
        x += rng.standard_normal((rows, 8), dtype=np.float32) @ rng.standard_normal((8, columns), dtype=np.float32)
        return x
    filled = rng.binomial(columns, FILLED, rows)
    ends = np.concatenate([[0], np.cumsum(filled)])
    places = np.concatenate([np.sort(rng.choice(columns, k, replace=False)) for k in filled]).astype(np.int32)
    counts = 1 + rng.poisson(rng.gamma(0.5, 4.0, ends[-1])).astype(np.float32)
    return sparse.csr_matrix((counts, places, ends), shape=(rows, columns))


def peak_gb() -> float:
    """The most memory that this process has held (Linux counts in KiB, macOS in bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def studied(kind: str, rows: int, columns: int) -> dict[str, Any]:
    """One study: its seconds by stage, and the peak of the process."""
    x = table(kind, rows, columns)
    before, start = peak_gb(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        data = er.load_data(x, validation=HELD_OUT, test=HELD_OUT)
        done = er.study(data, Path(folder) / "study", axes={}, epochs=2, draws=20, annealed=0, progress=False)
        stages = {name: round(made.seconds, 1) for name, made in done.record.made.items()}
        left_out = done.record.contest.left_out if done.record.contest else None
    numbers = {"seconds": round(time.perf_counter() - start, 1), "stages": stages, "sentence": done.sentence}
    rivals = {row.name: [row.setting, round(row.estimate.mean, 1)] for row in done.record.rows}
    return {**numbers, "peak_gb": round(peak_gb(), 2), "before_gb": round(before, 2), "rows": rivals, "said": left_out}


def main() -> None:
    """Measure, print, and write records/wide.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs=3, help="one case: kind, rows, columns; prints its numbers")
    arguments = parser.parse_args()
    if arguments.case:
        kind, *sizes = arguments.case
        print(json.dumps(studied(kind, *map(int, sizes))))
        return
    cases = {}
    for kind, rows in ROWS.items():
        case = ("--case", kind, str(rows), str(COLUMNS))
        found = subprocess.run([sys.executable, __file__, *case], check=True, stdout=subprocess.PIPE, text=True)
        cases[kind] = {"rows": rows, "columns": COLUMNS, **json.loads(found.stdout.splitlines()[-1])}
        print(kind, cases[kind], flush=True)
    within = all(case["peak_gb"] <= ALLOWED_GB for case in cases.values())
    record = {"cases": cases, "allowed_gb": ALLOWED_GB, "within_limit": within}
    print(f"within: {within}; written: {write_record('wide', record)}")


if __name__ == "__main__":
    main()
