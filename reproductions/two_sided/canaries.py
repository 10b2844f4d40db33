"""First steps of the model of MNIST, and both ends of a few examples of every model with a small budget."""

import sys
from functools import cache, partial
from typing import Any

import torch
from run import HERE, RECORD, bdmc, fooling_models, linear, nonlinear, some_digits, wrong_models

import elbowroom as er

sys.path.insert(0, str(HERE.parent))

from canary import Canary, Numbers, first_steps, main

FEW = {"temperatures": 10, "chains": 4, "leapfrog": 2}
WARM_UP, COUNT = 8, 4


def canaries() -> list[Canary]:
    """One for every kind of model."""
    return [
        Canary(RECORD, "MNIST, d = 50", mnist, ("mnist",)),
        Canary(RECORD, "linear, d = 20", partial(exact, linear)),
        Canary(RECORD, "digits, d = 2", partial(exact, nonlinear)),
        Canary(RECORD, "modes", several_modes),
    ]


@cache
def _begun() -> tuple[er.VAE, Numbers]:
    data = bdmc.load()
    vae = bdmc.model(data)
    return vae, first_steps(vae, data, **bdmc.TRAINING)


def both_ends() -> Numbers:
    """How the run of reproductions/evidence began."""
    vae, steps = _begun()
    found = er.evidence.bdmc(vae, COUNT, start=bdmc.START, seed=0, **FEW)
    return steps | {"lower": found.lower.values.tolist(), "upper": found.upper.values.tolist()}


def mnist() -> Numbers:
    """First steps, and both ends of a few test digits."""
    vae, steps = _begun()
    return steps | _ends(vae, some_digits()[:COUNT])


def exact(make: Any) -> Numbers:
    """Both ends of a few examples whose log p(x) is known."""
    vae, batch, truth = make()
    few = er.Batch(batch.x[:COUNT], batch.index[:COUNT])
    return {"exact": truth[:COUNT].tolist()} | _ends(vae, few)


def several_modes() -> Numbers:
    """Both ends of a few models of each kind."""
    one_mode = torch.ones(COUNT, dtype=torch.int64)
    made = {"modes": wrong_models("modes", 5, one_mode), "spike": fooling_models("spike", 5, COUNT)}
    found = {name: _ends(target) for name, target in made.items()}
    return {f"{name}, {end}": values for name, ends in found.items() for end, values in ends.items()}


def _ends(*subject: Any) -> Numbers:
    found = er.evidence.reverse_ais(*subject, warm_up=WARM_UP, **FEW)
    return {"lower": found.lower.values.tolist(), "upper if mixed": found.upper.values.tolist()}


if __name__ == "__main__":
    main(canaries())
