"""First steps of every way to train."""

import sys
from functools import partial
from pathlib import Path

from run import RECORD, WAYS, model, rows, sequences

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, keep, main


def canaries() -> list[Canary]:
    """One for each row."""
    return [Canary(RECORD, name, partial(steps, *about)) for name, about in rows().items()]


def steps(way: str, seed: int) -> Numbers:
    """Twenty steps and ten sequences."""
    return first_steps(model(seed), sequences(), WAYS[way](), seed=seed)


def keep_row(name: str) -> None:
    """Write the canary of a row that was just made."""
    keep(RECORD, canaries(), name)


if __name__ == "__main__":
    main(canaries())
