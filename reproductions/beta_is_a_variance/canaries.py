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
    return [canary for record in sorted((HERE / "records").glob("*.json")) for canary in of_record(record)]


def of_record(record: Path) -> list[Canary]:
    """The scan, and the two models that find σ by themselves."""
    about = json.loads(record.read_text())
    key, needs = (about["data"], about["range"], about["seed"]), (about["data"],)
    makes = {"scan": partial(scan, *key)} | {how: partial(learned, how, *key) for how in ("shared", "optimal")}
    return [Canary(record, row, make, needs) for row, make in makes.items()]


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
