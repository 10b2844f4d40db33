"""The contest of the demo: the study of digits with a Normal and with the truncated normal of `likelihoods.auto`.

python benchmarks/digits_contest.py        # two studies; records/digits_contest.json
"""

import argparse
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from record import write_record

import elbowroom as er

NORMAL = {"likelihood": {"kind": "normal", "scale": "predicted"}}
"""The study's default words, but for a Normal likelihood whose scale is predicted."""


def contest(data: Any, words: dict[str, Any]) -> dict[str, Any]:
    """One study: what its record says of the last table."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        done = er.study(data, Path(folder) / "study", recipe=words, progress=False)
    rows = {f"{row.name}, {row.estimate.estimator}": row for row in done.record.rows}
    test = {name: row.estimate for name, row in rows.items()}
    return {
        "sentence": done.sentence,
        "chosen": done.chosen.name,
        "test": {name: [e.mean, e.se_mc, e.se_points, e.direction] for name, e in test.items()},
        "settings": {name: row.setting for name, row in rows.items()},
        "difference": asdict(done.record.account.difference),
        "seconds": time.perf_counter() - start,
    }


def main() -> None:
    from canaries import canaries
    from canary import keep

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    data = er.load_data("digits")
    numbers = {"normal": contest(data, NORMAL), "auto": contest(data, {})}
    record = write_record("digits_contest", numbers)
    keep(record, canaries())
    for name, found in numbers.items():
        print(f"{name}: {found['sentence']} ({found['seconds']:.0f} s)")


if __name__ == "__main__":
    main()
