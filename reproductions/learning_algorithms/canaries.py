"""First steps of the three ways to learn."""

import json
import sys
from functools import partial
from pathlib import Path

from run import RECORD, WAYS, images, name_of, recipe

import elbowroom as er

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, main


def canaries() -> list[Canary]:
    """One for each row of the record."""
    rows = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    every = [(way, number, seed) for way in WAYS for number in (1_000, 50_000) for seed in range(3)]
    return [
        Canary(RECORD, name_of(*about), partial(steps, *about), ("binarized-mnist",))
        for about in every
        if name_of(*about) in rows
    ]


def steps(way: str, number: int, seed: int) -> Numbers:
    """Twenty steps and ten images."""
    data, words = images(number), recipe(way, seed)
    return first_steps(er.models.build(words, data), data, er.models.goal(words), seed=seed)


if __name__ == "__main__":
    main(canaries())
