"""First steps of the models on static MNIST."""

import json
import sys
from functools import partial
from pathlib import Path

from run import HERE, recipe

import elbowroom as er

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, main


def canaries() -> list[Canary]:
    """One for each model of the record."""
    record = HERE / "record.json"
    rows = [row for row in json.loads(record.read_text(encoding="utf-8")) if row != "canary"] if record.exists() else []
    return [Canary(record, row, partial(steps, row), ("binarized-mnist",)) for row in rows]


def steps(name: str) -> Numbers:
    """Twenty steps and ten images."""
    data = er.load_data("binarized-mnist", progress=False)
    vae = er.models.build(recipe(name), data)
    return first_steps(vae, data, er.models.goal(recipe(name)), seed=0)


if __name__ == "__main__":
    main(canaries())
