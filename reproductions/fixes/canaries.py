"""First steps of the models that are fixed, and of a remedy of each kind on them."""

import json
import sys
from functools import partial
from pathlib import Path

from run import CASES, RECORD, recipe

import elbowroom as er

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, fewer, first_steps, main

NEEDS = {"σ": ("mnist",), "worm": ("h5py",)}


def canaries() -> list[Canary]:
    """One for each row of the record."""
    rows = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    return [Canary(RECORD, name, partial(steps, name), needs(name)) for name in CASES if name in rows]


def needs(name: str) -> tuple[str, ...]:
    """What the row reads."""
    return next((what for letters, what in NEEDS.items() if name.startswith(letters)), ("binarized-mnist",))


def steps(name: str) -> Numbers:
    """Twenty steps and ten examples of the ill model, and what two remedies then win."""
    words = recipe(name)
    data = CASES[name][0]()
    vae, goal = er.models.build(words, data), er.models.goal(words)
    first = first_steps(vae, data, goal, seed=0)
    few = fewer(data)
    won = [
        er.remedies.refit_prior(vae, few, components=1, draws=4).gain.mean,
        er.remedies.lower_beta(vae, few, epochs=1, draws=4).gain.mean,
    ]
    return first | {"won": won}


if __name__ == "__main__":
    main(canaries())
