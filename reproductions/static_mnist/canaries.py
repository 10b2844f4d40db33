"""First steps of the models on static MNIST."""

import json
import sys
from functools import partial
from pathlib import Path

from run import FIGURES, HERE, recipe

import elbowroom as er

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, main


def canaries() -> list[Canary]:
    """One for each model of both records."""
    records = [HERE / name for name in FIGURES if (HERE / name).exists()]
    rows = [(record, row) for record in records for row in json.loads(record.read_text()) if row != "canary"]
    return [Canary(record, row, partial(steps, row), ("binarized-mnist",)) for record, row in rows]


def steps(name: str) -> Numbers:
    """Twenty steps and ten images."""
    data = er.load_data("binarized-mnist", progress=False)
    vae = er.models.build(recipe(name), data)
    return first_steps(vae, data, er.models.goal(recipe(name)), seed=0)


if __name__ == "__main__":
    main(canaries())
