"""Chains that stay at one density: where each of them has been."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from . import hmc
from .annealing import AIM, Path, on_grid
from .hmc import TransitionNoise

__all__ = ["Stay", "stay"]

_GAIN, _FORGETTING = 0.2, 0.1  # how fast step sizes follow acceptance, and widths the chains
_LEAST = 1e-12  # variance
_APART = 16.0  # mean squared distance over the sum of variances: different places, not parts of one
_POORER = 5.0  # nats of mass below the best place: not worth counting


class Stay(NamedTuple):
    """Where chains have been in the second half of their stay.

    Parameters
    ----------
    mean : Tensor
        The mean of each chain, [chains, batch, dim].
    variance : Tensor
        Its variance, [chains, batch, dim].
    log_density : Tensor
        The mean of the log-density that it stayed at, [chains, batch], in nats.
    """

    mean: Float[Tensor, "chains batch dim"]
    variance: Float[Tensor, "chains batch dim"]
    log_density: Float[Tensor, "chains batch"]

    @property
    def log_mass(self) -> Float[Tensor, "chains batch"]:
        """The log of the mass of each chain's place, as E log f + entropy, were the place a Gaussian; in nats."""
        return self.log_density + 0.5 * (self.variance.log() + math.log(2 * math.pi * math.e)).sum(-1)

    def alone(self, counted: int) -> Float[Tensor, "batch"]:
        """Of the last `counted` chains that found a place worth counting, the share that are alone there.

        Where chains have been dealt to places at random, that is about the share of the mass that no chain has found
        (Good & Turing): of two places each is found again and again, of a million none is.
        """
        apart = self.mean[:, None] - self.mean
        apart = (apart.square() / (self.variance[:, None] + self.variance)).mean(-1)  # [chains, chains, batch]
        alone = (apart < _APART).sum(1) == 1  # with itself
        worth = self.log_mass > self.log_mass.amax(0) - _POORER
        found = worth[-counted:].sum(0)
        return torch.where(found > 0, (alone & worth)[-counted:].sum(0) / found.clamp(min=1), 0.0)


def stay(
    path: Path,
    state: hmc.State,
    step_size: Float[Tensor, "batch dim"],
    noise: Iterator[TransitionNoise],
    leapfrog: int,
    transitions: int,
) -> Stay:
    """Let chains move at the last density of a path, with step sizes that follow each one's acceptance and their width.

    Parameters
    ----------
    path : Path
        The densities.
    state : State
        Where the chains are.
    step_size : Tensor
        The step sizes that they had last, [batch, dim].
    noise : iterator of TransitionNoise
        Of as many transitions.
    leapfrog : int
        Leapfrog steps of a transition.
    transitions : int
        2 or more.

    Returns
    -------
    Stay
        Mean and variance of each chain, and its mean log-density, over the second half.

    References
    ----------
    Good, "The population frequencies of species and the estimation of population parameters" (1953).
    """
    coefficients = path.coefficients(torch.ones_like(state.log_factors[0][0], dtype=torch.float64))
    width = state.z.var(0).clamp(_LEAST)
    log_size = on_grid((step_size / width.sqrt()).log().mean(-1).double()).expand(state.z.shape[:2])
    places: list[Tensor] = []
    values: list[Tensor] = []
    for turn in range(transitions):
        size = log_size.unsqueeze(-1).exp() * width.sqrt()
        state, diagnostics = hmc.step(path.log_factors, state, next(noise), size.to(state.z), leapfrog, coefficients)
        log_size = on_grid(log_size + _GAIN * (diagnostics.acceptance - AIM))
        width = torch.lerp(width, state.z.var(0).clamp(_LEAST), _FORGETTING)
        if turn >= transitions // 2:
            places.append(state.z)
            values.append(hmc.weighted(state.log_factors, coefficients))
    been = torch.stack(places)
    return Stay(been.mean(0), been.var(0, correction=0).clamp(_LEAST), torch.stack(values).mean(0))
