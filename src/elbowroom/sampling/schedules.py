"""Temperatures and step sizes of an annealing run: fixed schedules, and what a pilot run finds and freezes."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool1d, pad

from elbowroom.numerics import InputError, one_of

__all__ = ["Pilot", "AnnealingPlan", "Schedule", "check_settings", "fixed_schedule"]

Schedule = Literal["sigmoid", "linear", "adaptive"]

_STEEPNESS = 4.0
_WINDOW = 3  # pilot temperatures to either side that a step size is averaged over


class AnnealingPlan(NamedTuple):
    """A frozen annealing run: betas from the first density to the last, step sizes between them, leapfrog steps.

    Upwards and downwards alike: `reversed` is the same run the other way.
    """

    betas: Float[Tensor, "points batch"]
    step_sizes: Float[Tensor, "transitions batch dim"]
    leapfrog: int

    def reversed(self) -> "AnnealingPlan":
        """The same temperatures and step sizes from the last density to the first."""
        return AnnealingPlan(self.betas.flip(0), self.step_sizes.flip(0), self.leapfrog)


class Pilot(NamedTuple):
    """What a pilot run found at its inverse temperatures `betas` [points], per example.

    step_sizes [points, batch, dim]: with the acceptance that was aimed at; deviation [points, batch]: the standard
    deviation over chains of d log f_β / dβ.
    """

    betas: Float[Tensor, "points"]
    step_sizes: Float[Tensor, "points batch dim"]
    deviation: Float[Tensor, "points batch"]

    def equal_steps(self, temperatures: int) -> Float[Tensor, "points batch"]:
        """Inverse temperatures of each example at equal steps in conditional effective sample size.

        A small step δ costs δ² Var(d log f_β / dβ) of it, so steps are equal on the scale ∫ sd dβ.
        Source: Zhou, Johansen, Aston, "Toward automatic model comparison: an adaptive sequential Monte Carlo approach",
        2016.
        """
        density = _smooth(self.deviation.double())
        density = density.clamp(min=1e-3 * density.amax(0, keepdim=True).clamp(min=1e-12))
        pieces = (density[1:] + density[:-1]) / 2 * self.betas.double().diff().unsqueeze(-1)
        length = torch.cat([torch.zeros_like(pieces[:1]), pieces.cumsum(0)])
        length = (length / length[-1]).T.contiguous()
        even = torch.linspace(0, 1, temperatures + 1, dtype=torch.float64, device=length.device)
        return _interpolated(even.expand(len(length), -1), length, self.betas.double().expand(len(length), -1)).T

    def plan(self, betas: Float[Tensor, "steps batch"], leapfrog: int) -> AnnealingPlan:
        """A run over `betas` with the pilot's step sizes, averaged over neighbours and frozen."""
        log_steps = _smooth(self.step_sizes.log()).movedim(0, 1)
        where = self.betas.double().expand(len(log_steps), -1)
        step_sizes = _interpolated(betas[1:-1].double().T, where, log_steps).exp().movedim(0, 1)
        return AnnealingPlan(betas.double(), step_sizes, leapfrog)


def fixed_schedule(schedule: Schedule, temperatures: int) -> Float[Tensor, "points"]:
    """Inverse temperatures 0 = β_0 < … < β_T = 1: evenly spaced, or by a sigmoid that is dense at both ends.

    An adaptive schedule begins as a sigmoid. Raises InputError for any other word.
    Source: Wu, Burda, Salakhutdinov, Grosse, "On the quantitative analysis of decoder-based generative models", 2017.

    >>> fixed_schedule("sigmoid", 4)
    tensor([0.0000, 0.1050, 0.5000, 0.8950, 1.0000], dtype=torch.float64)
    """
    one_of("schedule", schedule, ("sigmoid", "linear", "adaptive"))
    even = torch.linspace(0, 1, temperatures + 1, dtype=torch.float64)
    if schedule == "linear":
        return even
    low, high = torch.sigmoid(torch.tensor([-_STEEPNESS, _STEEPNESS], dtype=torch.float64))
    return (torch.sigmoid(_STEEPNESS * (2 * even - 1)) - low) / (high - low)


def check_settings(caller: str, temperatures: int, chains: int, leapfrog: int) -> None:
    """Refuse settings with which no annealing means anything."""
    if temperatures < 2:
        raise InputError(
            f"evidence.{caller} needs temperatures=2 or more, and hundreds to mean much; got {temperatures}."
        )
    if chains < 1:
        raise InputError(f"evidence.{caller} needs chains=1 or more; got {chains}.")
    if leapfrog < 1:
        raise InputError(f"A transition needs leapfrog=1 step or more; got {leapfrog}.")


def _smooth(values: Tensor) -> Tensor:
    """Means over neighbouring points, the ends repeated; [points, ...]."""
    rows = values.flatten(1).T.unsqueeze(1)
    means = avg_pool1d(pad(rows, (_WINDOW, _WINDOW), mode="replicate"), 2 * _WINDOW + 1, stride=1)
    return means.squeeze(1).T.view(values.shape)


def _interpolated(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Piecewise linear y(x) at `at` [batch, n], with x [batch, points] ascending and y [batch, points, ...]."""
    right = torch.searchsorted(x.contiguous(), at.contiguous()).clamp(1, x.shape[1] - 1)
    x0, x1 = x.gather(1, right - 1), x.gather(1, right)
    share = ((at - x0) / (x1 - x0)).to(y).view(*at.shape, *[1] * (y.dim() - 2))
    rows = torch.arange(len(y), device=y.device).unsqueeze(-1)
    return torch.lerp(y[rows, right - 1], y[rows, right], share)
