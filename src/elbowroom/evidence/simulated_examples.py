"""Examples simulated from the model, with the z that each came from."""

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
    """The model with examples; if only their number is given, with examples simulated from the model.

    Parameters
    ----------
    model : VAE or Target
        The model.
    examples : int or Any
        How many, or the examples; None for a Target.
    seed : int
        Seed of the simulation.

    Returns
    -------
    Subject
        The model and the examples.

    Raises
    ------
    InputError
        For a number of examples of a Target, of a model that reads context, or below 1.
    """
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
    """Simulate as many examples from the model as the target has, with the z that each came from.

    Parameters
    ----------
    target : Target
        The model at examples, whose number and context the simulated ones have.
    seed : int
        Seed of the simulation.
    caller : str
        Name of the estimator, for messages.

    Yields
    ------
    tuple of (Target, Tensor)
        The model at some simulated examples, and their z, [1, batch, dim].

    Raises
    ------
    InputError
        For fewer than two examples.
    CapabilityError
        For a Target without `simulate`.
    """
    if len(target.index) < 2:
        raise InputError("A gap has no error from one simulated example; take two or more.")
    place = target.rows(slice(0, 1)).draw_prior(1, seed)
    generator = torch.Generator(place.device).manual_seed(derived_seed(seed, SIMULATION))
    for first in range(0, len(target.index), _AT_ONCE):
        yield capability(target.rows(slice(first, first + _AT_ONCE)), "simulate", caller)(generator)
