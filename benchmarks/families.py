"""What each family of densities scores on the same test images: digits in 17 levels, and digits cut to bits.

    python benchmarks/families.py          # records/families.json
    python benchmarks/families.py bits     # one of them; the other's numbers are kept

Each case is a study with one VAE (β = 1), whose contest tunes the other families on the same rows. What is recorded is
the mean of log p(x) over the test images, its standard error and its direction, nats; a tuned family's setting; and how
long its stage took.
"""

import argparse
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

from record import RECORDS, write_record

import elbowroom as er

CASES = {"digits": {}, "bits": {"preprocess": "binarise-fixed"}}


def case(about: dict[str, Any]) -> dict[str, Any]:
    """log p(x) of the VAE and of every family that the data suit."""
    data = er.load_data("digits", **about)
    with tempfile.TemporaryDirectory() as folder:
        done = er.study(data, Path(folder) / "study", axes={}, annealed=0, progress=False).record
    best = done.evidence.best
    assert done.contest is not None
    rows = {f"VAE, {best.estimator}": number(best)}
    rows |= {one.name: {"setting": one.setting} | number(one.estimate) for one in done.contest.classics}
    seconds = {name: round(made.seconds, 1) for name, made in done.made.items()}
    return {"test": len(data.test), "seconds": seconds, "rows": rows}


def number(bound: er.Estimate) -> dict[str, Any]:
    """Nats, to three decimals."""
    return {"log p": round(bound.mean, 3), "error": round(bound.se_total, 3), "direction": bound.direction}


def main() -> None:
    """Measure, print, and write records/families.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(CASES))
    kept = RECORDS / "families.json"
    cases = json.loads(kept.read_text())["cases"] if kept.exists() else {}
    for name in parser.parse_args().names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cases[name] = case(CASES[name])
        print(name, cases[name], flush=True)
        write_record("families", {"cases": cases})


if __name__ == "__main__":
    main()
