"""First steps of every family, at all its β."""

import json
import sys
from functools import partial
from pathlib import Path

from run import BETAS, HERE, LR, recipe

import elbowroom as er

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps_stacked, main

RECORD = HERE / "record.json"


def row(family: str, seed: int) -> str:
    """Name of a family's training by a seed."""
    return f"{family}, seed {seed}"


def canaries() -> list[Canary]:
    """One for each family and seed of the record."""
    rows = json.loads(RECORD.read_text(encoding="utf-8"))["canary"] if RECORD.exists() else {}
    pairs = [(family, seed) for family in BETAS for seed in range(10) if row(family, seed) in rows]
    return [Canary(RECORD, row(*pair), partial(steps, *pair), ("binarized-mnist",)) for pair in pairs]


def steps(family: str, seed: int) -> Numbers:
    """Twenty steps and ten images."""
    data = er.load_data("binarized-mnist", progress=False)
    vaes = [er.models.build(recipe(family, seed), data) for _ in BETAS[family]]
    return first_steps_stacked(vaes, data, BETAS[family], seed=seed, lr=LR)


if __name__ == "__main__":
    main(canaries())
