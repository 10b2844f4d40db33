"""First steps of a stack over β, of both learned scales, and of `calibrate`."""

import json
import sys
from functools import cache, partial
from pathlib import Path

from run import HERE, WORDS, model

import elbowroom as er
from elbowroom.remedies import calibrate

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, fewer, first_steps, first_steps_stacked, main

BETAS = (0.0, 0.01, 1.0)


def canaries() -> list[Canary]:
    """Three for each record."""
    found = []
    for record in sorted((HERE / "records").glob("*.json")):
        about = json.loads(record.read_text())
        key = about["data"], about["range"], about["seed"]
        found.append(Canary(record, "scan", partial(scan, *key), (about["data"],)))
        found += [Canary(record, how, partial(learned, how, *key), (about["data"],)) for how in ("shared", "optimal")]
    return found


@cache
def data_of(name: str, values: str) -> er.data.Dataset:
    """The data of a record."""
    return er.load_data(name, preprocess=WORDS[values], validation=None if name == "digits" else 2_000)


def scan(name: str, values: str, seed: int) -> Numbers:
    """Three members of the stack, and σ* of the last."""
    data, vaes = data_of(name, values), [model(data_of(name, values), 1.0, seed) for _ in BETAS]
    steps = first_steps_stacked(vaes, data, BETAS, seed=seed)
    return steps | {"calibrated": [calibrate(vaes[-1], fewer(data), draws=4).value]}


def learned(scale: str, name: str, values: str, seed: int) -> Numbers:
    """A model that finds σ by itself."""
    data = data_of(name, values)
    return first_steps(model(data, scale, seed), data, seed=seed)


if __name__ == "__main__":
    main(canaries())
