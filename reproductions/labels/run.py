"""Semi-supervised learning by M1, M2 and M1+M2, beside what a user would take instead on the same labels.

    python reproductions/labels/run.py digits mnist ...      # makes records/<set>.json, row by row
    python reproductions/labels/run.py mnist --minutes 12    # as far as it comes; the same command goes on
    python reproductions/labels/run.py weights tables        # the weight of the class term, and the README's tables

A row that is in a record is not made again. Images are read from ELBOWROOM_DATA, or fetched.
"""

import argparse
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from canaries import canaries
from canary import carried, keep
from growing import Row
from methods import METHODS, WEIGHT, m2, settings
from sets import LABELS, Record, split
from tables import show

from elbowroom.metrics import brier_score, log_score, reliability

DRAWS = 5
ONCE = {"boosting, pixels": 1}  # draws of what costs most and says least
UNBALANCED = ("digits", "mnist")


def keys(name: str) -> Iterator[Row]:
    """The rows of a record: by draw first, so that a record that was stopped has all methods of some draws."""
    for draw in range(DRAWS):
        for labels in LABELS[name]:
            for method in METHODS:
                if draw < ONCE.get(method, DRAWS) or "mnist" not in name:
                    yield {"labels": labels, "draw": draw, "method": method, "balanced": True}
    if name in UNBALANCED:
        for method in ("logistic, PCA", "label spreading, PCA", "M1 + logistic", "M2", "M1+M2"):
            yield {"labels": LABELS[name][0], "draw": 0, "method": method, "balanced": False}


def measured(name: str, **key: Any) -> Row:
    """Error, log score, Brier score and calibration error on the test rows."""
    found = split(name, key["labels"], key["draw"], key["balanced"])
    torch.manual_seed(0)
    p = METHODS[key["method"]](found, name)
    return scores(p, found.test_y)


def scores(p: np.ndarray, y: np.ndarray) -> Row:
    curve = reliability(p, y)
    return {
        "error": float((p.argmax(1) != y).mean()),
        "log_score": log_score(p, y).value,
        "brier": brier_score(p, y).value,
        "calibration": curve.error,
        "by_chance": curve.by_chance,
    }


def make(name: str, until: float) -> None:
    """The rows of a record that are missing, until the time is up."""
    record = Record(name, models=settings(name), weight=WEIGHT)
    for key in record.missing(keys(name)):
        if time.monotonic() > until:
            print(f"{name}: {len(record.missing(keys(name)))} rows are left", flush=True)
            break
        record.rows([key], lambda **one: measured(name, **one))
    if not carried(record.path):
        keep(record.path, canaries())


def weights(until: float) -> None:
    """The weight of the class term, on digits."""
    record = Record("weights", models=settings("digits"))
    every = [{"weight": weight, "labels": labels} for weight in (0.1, 1.0, 10.0, 100.0) for labels in (50, 200)]
    for key in record.missing(every):
        if time.monotonic() > until:
            return
        record.rows([key], _weighed)
    keep(record.path, canaries())


def _weighed(weight: float, labels: int) -> Row:
    found = split("digits", labels, 100)  # a draw that no table shows
    return scores(m2(found, "digits", weight), found.test_y)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=[*LABELS, "weights", "tables"])
    parser.add_argument("--minutes", type=float, default=1e6)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    until = time.monotonic() + 60 * asked.minutes
    for word in asked.what:
        if word == "tables":
            show()
        elif word == "weights":
            weights(until)
        else:
            make(word, until)


if __name__ == "__main__":
    main()
