"""First steps of the model in the middle of the scan, and what the coder makes of codes that are drawn."""

import sys
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from models import BETAS, SETTINGS, data_of, model

import elbowroom as er
from elbowroom.compression.lossy_masses import CodeMasses

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, main

HERE = Path(__file__).parent


def canaries() -> list[Canary]:
    """Two for each record."""
    return [canary for name in SETTINGS for canary in of_record(HERE / "records" / f"{name}.json")]


def of_record(record: Path) -> list[Canary]:
    """A model, whose images must be at hand as its loader has them, and the masses of codes."""
    name = record.stem
    trained = [Canary(record, "model", partial(steps, name), (name,))]
    return [*trained, Canary(record, "masses", masses)]


def steps(name: str) -> Numbers:
    """Twenty steps."""
    return first_steps(model(name, BETAS[1]), data_of(name), er.objectives.Elbo(BETAS[1]))


def masses() -> Numbers:
    """Lengths of codes from a mixture."""
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(500, 4)) * [3.0, 1.0, 0.3, 0.01] + rng.integers(0, 2, (500, 1)) * 5
    return {"nats": CodeMasses.fitted(codes).nats(np.rint(codes).astype(np.int64))[:5].tolist()}


if __name__ == "__main__":
    main(canaries())
