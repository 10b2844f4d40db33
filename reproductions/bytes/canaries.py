"""First steps of the model whose gap is coded."""

import sys
from pathlib import Path

from run import RECORD, data, plain

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, main


def canaries() -> list[Canary]:
    """One for the record."""
    return [Canary(RECORD, "784-100-40", steps, ("binarized-mnist",))]


def steps() -> Numbers:
    """Twenty steps and ten images."""
    return first_steps(plain(), data(), seed=0)


if __name__ == "__main__":
    main(canaries())
