"""Examples that the model itself draws, with the z they came from."""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from elbowroom.numerics import InputError, derived_seed
from elbowroom.numerics.streams import SIMULATION
from elbowroom.vae import VAE

from .target import Subject, Target, capability, subject_of

__all__ = ["simulated", "subject_with"]

_AT_ONCE = 1024  # examples that are simulated, and held, at a time; numbers depend on it


def subject_with(model: VAE | Target, examples: Any, seed: int) -> Subject:
    """The subject with these examples; with as many of the model's own where only their number is given."""
    if not isinstance(examples, int):
        return subject_of(model, examples)
    if not isinstance(model, VAE):
        raise InputError("A Target has its examples already; give a VAE to simulate another number of them.")
    if model.context_names:
        raise InputError(
            f"The model reads the context {model.context_names[0]!r}: give examples whose context the simulated ones "
            f"are to have, not only their number."
        )
    if examples < 1:
        raise InputError(f"There is nothing to simulate; got {examples} examples.")
    return subject_of(model, model.sample(examples, seed=seed))


def simulated(target: Target, seed: int, caller: str) -> Iterator[tuple[Target, Float[Tensor, "1 batch dim"]]]:
    """The same model at examples of its own, some at a time, and the z they came from."""
    if len(target.index) < 2:
        raise InputError("A gap has no error from one simulated example; take two or more.")
    place = target.rows(slice(0, 1)).draw_prior(1, seed)
    generator = torch.Generator(place.device).manual_seed(derived_seed(seed, SIMULATION))
    for first in range(0, len(target.index), _AT_ONCE):
        yield capability(target.rows(slice(first, first + _AT_ONCE)), "simulate", caller)(generator)
