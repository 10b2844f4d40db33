"""How often AIS is far off, and how often it says so, on random models whose encoders are wrong in a known way.

    python benchmarks/wrong_encoders.py before            # adds what it measures to records/wrong_encoders.json
    python benchmarks/wrong_encoders.py after --each 16 --settings default
    python benchmarks/wrong_encoders.py after --seed 1                # models that no threshold was set on
    python benchmarks/wrong_encoders.py after --fooling --each 24     # those of tests/fooling_models.py

The models are those of tests/wrong_models.py: d = 1, 2, 5 and 20; encoders that are right, that sit on one of several
modes, that are up to 100 times too narrow or too wide; log p(x) in closed form or by quadrature. With the settings of
`er.study`, and with the defaults. An estimate is off where it lies more than 4 of its standard errors and 0.25 nats
from the truth; it is silent where the printed line of that example alone would warn of nothing. Limits, over 1,000
models with the settings of a study: 1 % off and silent, 10 % of those that are not off warned about. The models of
tests/fooling_models.py are built to be missed in silence: no limit, but counts by kind.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import RECORDS, machine, write_atomic

import elbowroom as er
from elbowroom.studies.measure import _ANNEALING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from fooling_models import FAMILIES as FOOLING
from fooling_models import fooling_models
from wrong_models import FAMILIES, FAULTS, Models, all_models

SETTINGS: dict[str, dict[str, Any]] = {"study": _ANNEALING, "default": {}}
OFF = 0.25  # nats, beside 4 standard errors
TUNED_ON = 0  # the seed of the models that thresholds were set on; others are fresh
COLUMNS = ("models", "off", "off and silent", "not off", "not off, warned")


def judged(models: Models, settings: dict[str, Any]) -> np.ndarray:
    """Which estimates are off, and which are warned about: [2, n] of bool."""
    found = er.evidence.ais(models, **settings)
    errors = np.abs(found.values - models.truth.numpy())
    off = ~(errors <= 4 * np.sqrt(np.nan_to_num(found.mc_variance)) + OFF)
    warned = np.array([bool(found.at(found.index[[row]]).warnings) for row in range(len(found))])
    return np.stack([off, warned])


def counts(off: np.ndarray, warned: np.ndarray) -> dict[str, int]:
    """The numbers of a row of the record."""
    numbers = len(off), off.sum(), (off & ~warned).sum(), (~off).sum(), (~off & warned).sum()
    return dict(zip(COLUMNS, map(int, numbers), strict=True))


def measured(settings: dict[str, Any], each: int, seed: int, only: list[int]) -> dict[str, Any]:
    """Counts in all, by d and fault, and by family; seconds of one processor."""
    began, rows, by_family = time.process_time(), {}, {}
    whole = []
    for d in only:
        found = []
        for family, models in all_models(d, each, seed).items():
            off, warned = judged(models, settings)
            found.append(np.stack([models.fault.numpy(), off, warned]))
            by_family[f"{family}, d = {d}"] = counts(off, warned)
        faults, off, warned = np.concatenate(found, 1)
        off, warned = off.astype(bool), warned.astype(bool)
        for place, fault in enumerate(FAULTS):
            rows[f"d = {d}, {fault}"] = row = counts(off[faults == place], warned[faults == place])
            print(f"d = {d}, {fault:8}", row, flush=True)
        whole.append(np.stack([off, warned]))
    total = counts(*np.concatenate(whole, 1))
    print(total, flush=True)
    seconds = round(time.process_time() - began, 1)
    return {"settings": settings, "seed": seed, "all": total, "rows": rows, "families": by_family, "seconds": seconds}


def fooled(settings: dict[str, Any], each: int, seed: int) -> dict[str, Any]:
    """Counts in all and by family and d of the models that are built to fool; seconds of one processor."""
    began, rows, whole = time.process_time(), {}, []
    for family, sizes in FOOLING.items():
        for d in sizes:
            whole.append(judged(fooling_models(family, d, each, seed), settings))
            rows[f"{family}, d = {d}"] = counts(*whole[-1])
            print(f"{family:10} d = {d:2}", rows[f"{family}, d = {d}"], flush=True)
    total = counts(*np.concatenate(whole, 1))
    print(total, flush=True)
    seconds = round(time.process_time() - began, 1)
    return {"settings": settings, "seed": seed, "all": total, "rows": rows, "seconds": seconds}


def main() -> None:
    """Measure, print, and add to records/wrong_encoders.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="under which the numbers are kept: before, after")
    parser.add_argument("--each", type=int, default=63, help="models of every d and fault")
    parser.add_argument("--settings", choices=SETTINGS, default="study")
    parser.add_argument("--start", help="where chains start, if not where they do by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--d", type=int, nargs="*", default=list(FAMILIES))
    parser.add_argument("--fooling", action="store_true", help="the models of tests/fooling_models.py")
    parser.add_argument("--dry", action="store_true", help="keep nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = SETTINGS[arguments.settings] | ({"start": arguments.start} if arguments.start else {})
    if arguments.fooling:
        row = fooled(settings, arguments.each, arguments.seed)
    else:
        row = measured(settings, arguments.each, arguments.seed, arguments.d)
    path = RECORDS / "wrong_encoders.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"benchmark": "wrong_encoders"}
    seed = f", seed {arguments.seed}" if arguments.seed != TUNED_ON else ""
    record["thresholds set on"] = f"seed {TUNED_ON}"
    kind = "fooling, " if arguments.fooling else ""
    record[f"{kind}{arguments.name}, {arguments.settings}{seed}"] = {"machine": machine(), **row}
    if not arguments.dry:
        write_atomic(path, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
