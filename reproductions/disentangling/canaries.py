"""First steps of every case."""

import json
import sys
from functools import partial
from pathlib import Path

from run import HERE, data, vae_of

import elbowroom as er

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, main


def canaries() -> list[Canary]:
    """One for each case of the record."""
    record = HERE / "record.json"
    cases = json.loads(record.read_text())["cases"]
    return [Canary(record, name, partial(steps, one["beta"], one["seed"])) for name, one in cases.items()]


def steps(beta: float, seed: int) -> Numbers:
    """Twenty steps of a case."""
    return first_steps(vae_of(seed), data(), er.objectives.Elbo(beta), batch_size=64, lr=1e-3, seed=seed)


if __name__ == "__main__":
    main(canaries())
