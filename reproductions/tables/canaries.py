"""First steps of the tables' training, and the linear VAE's closed form."""

import sys
from pathlib import Path

from run import HERE, linear_vae, starts

from elbowroom.exact import train_tables

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, main, numbers_of

STEPS = 20


def canaries() -> list[Canary]:
    """One for each part of the record."""
    record = HERE / "record.json"
    return [Canary(record, "free", free), Canary(record, "shared", shared), Canary(record, "linear", linear)]


def free() -> Numbers:
    """Twenty steps of three free tables."""
    trained = train_tables(starts(), 0.9, steps=STEPS)
    return {"information": trained.information.tolist(), "negative_elbo": trained.objective().tolist()}


def shared() -> Numbers:
    """Twenty steps of a decoder of rank 2, q kept and q moved."""
    kept = train_tables(starts(), rank=2, fixed_posterior=True, steps=STEPS)
    moved = train_tables(starts(), rank=2, steps=STEPS)
    return {"gap": kept.conditional_gap.tolist(), "information": moved.information.tolist()}


def linear() -> Numbers:
    """All of it."""
    return {"linear": numbers_of(linear_vae())}


if __name__ == "__main__":
    main(canaries())
