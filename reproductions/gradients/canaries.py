"""Every row from a few copies."""

import sys
from functools import partial
from pathlib import Path

from run import RECORD, measured, rows

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, main, numbers_of

COPIES = 20


def canaries() -> list[Canary]:
    """One for each row."""
    return [Canary(RECORD, name, partial(few, *about)) for name, about in rows().items()]


def few(what: str, number: int, seed: int) -> Numbers:
    """The row's numbers from twenty copies."""
    return {name: numbers_of([found]) for name, found in measured(what, number, seed, COPIES).items()}


if __name__ == "__main__":
    main(canaries())
