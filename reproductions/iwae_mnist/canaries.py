"""First steps of the one-layer VAE on dynamic MNIST, as each record's run had them."""

import sys
from functools import partial
from pathlib import Path

from run import HERE, load, model

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, main

RUNS = {
    "record_900_epochs": ("tanh", 1e-3),
    "record_155_epochs": ("tanh", 1e-3),
    "record_silu_115_epochs": ("silu", 2e-3),
}
"""Activation and first learning rate."""


def canaries() -> list[Canary]:
    """One for each record."""
    return [Canary(HERE / f"{name}.json", "training", partial(steps, *run), ("mnist",)) for name, run in RUNS.items()]


def steps(activation: str, lr: float, batch_size: int = 100) -> Numbers:
    """Twenty steps and ten images."""
    data = load()
    return first_steps(model(data, activation), data, batch_size=batch_size, lr=lr, lr_final=1e-4, seed=0)


if __name__ == "__main__":
    main(canaries())
