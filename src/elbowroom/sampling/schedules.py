"""Temperatures and step sizes of an annealing run: fixed schedules, and those found by a pilot run."""

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
    """The settings of an annealing run, which no longer change.

    Parameters
    ----------
    betas : Tensor
        Inverse temperatures of each example, from the first density to the last, [points, batch].
    step_sizes : Tensor
        Step sizes at all of them but the first and the last, [transitions, batch, dim].
    leapfrog : int
        Leapfrog steps of a transition.
    """

    betas: Float[Tensor, "points batch"]
    step_sizes: Float[Tensor, "transitions batch dim"]
    leapfrog: int

    def reversed(self) -> "AnnealingPlan":
        """The same run backwards, from the last density to the first."""
        return AnnealingPlan(self.betas.flip(0), self.step_sizes.flip(0), self.leapfrog)


class Pilot(NamedTuple):
    """What a pilot run found at its inverse temperatures, for each example.

    Parameters
    ----------
    betas : Tensor
        Its inverse temperatures, [points].
    step_sizes : Tensor
        Step sizes with the acceptance aimed at, [points, batch, dim].
    deviation : Tensor
        Standard deviation over chains of d log f_β / dβ, [points, batch], in nats.
    """

    betas: Float[Tensor, "points"]
    step_sizes: Float[Tensor, "points batch dim"]
    deviation: Float[Tensor, "points batch"]

    def equal_steps(self, temperatures: int) -> Float[Tensor, "points batch"]:
        """Inverse temperatures of each example at equal steps in conditional effective sample size.

        A small step δ costs δ² Var(d log f_β / dβ) of it, so steps are equal on the scale ∫ sd dβ.

        Parameters
        ----------
        temperatures : int
            Number of steps.

        Returns
        -------
        Tensor
            [temperatures + 1, batch], from the pilot's first to its last.

        References
        ----------
        Zhou, Johansen & Aston, "Toward automatic model comparison: an adaptive sequential Monte Carlo approach" (2016).
        """
        density = _smooth(self.deviation.double())
        density = density.clamp(min=1e-3 * density.amax(0, keepdim=True).clamp(min=1e-12))
        pieces = (density[1:] + density[:-1]) / 2 * self.betas.double().diff().unsqueeze(-1)
        length = torch.cat([torch.zeros_like(pieces[:1]), pieces.cumsum(0)])
        length = (length / length[-1]).T.contiguous()
        even = torch.linspace(0, 1, temperatures + 1, dtype=torch.float64, device=length.device)
        return _interpolate(even.expand(len(length), -1), length, self.betas.double().expand(len(length), -1)).T

    def plan(self, betas: Float[Tensor, "steps batch"], leapfrog: int) -> AnnealingPlan:
        """The plan of a run over other inverse temperatures, with the pilot's step sizes averaged over neighbours.

        Parameters
        ----------
        betas : Tensor
            Inverse temperatures, [steps, batch].
        leapfrog : int
            Leapfrog steps of a transition.

        Returns
        -------
        AnnealingPlan
            The plan.
        """
        log_steps = _smooth(self.step_sizes.log()).movedim(0, 1)
        where = self.betas.double().expand(len(log_steps), -1)
        step_sizes = _interpolate(betas[1:-1].double().T, where, log_steps).exp().movedim(0, 1)
        return AnnealingPlan(betas.double(), step_sizes, leapfrog)


def fixed_schedule(schedule: Schedule, temperatures: int) -> Float[Tensor, "points"]:
    """Inverse temperatures 0 = β_0 < … < β_T = 1, evenly spaced or by a sigmoid that is dense at both ends.

    Parameters
    ----------
    schedule : {"sigmoid", "linear", "adaptive"}
        An adaptive schedule starts as a sigmoid.
    temperatures : int
        T.

    Returns
    -------
    Tensor
        [T + 1], float64.

    Raises
    ------
    InputError
        For any other word.

    References
    ----------
    Wu, Burda, Salakhutdinov & Grosse, "On the quantitative analysis of decoder-based generative models" (2017).

    Examples
    --------
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
    """Refuse settings with which annealing cannot run.

    Parameters
    ----------
    caller : str
        Name of the estimator, for the message.
    temperatures : int
        2 or more.
    chains : int
        1 or more.
    leapfrog : int
        1 or more.

    Raises
    ------
    InputError
        If one is out of range.

    Examples
    --------
    >>> check_settings("ais", temperatures=500, chains=16, leapfrog=10)
    """
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


def _interpolate(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Piecewise linear y(x) at `at` [batch, n], with x [batch, points] ascending and y [batch, points, ...]."""
    right = torch.searchsorted(x.contiguous(), at.contiguous()).clamp(1, x.shape[1] - 1)
    x0, x1 = x.gather(1, right - 1), x.gather(1, right)
    share = ((at - x0) / (x1 - x0)).to(y).view(*at.shape, *[1] * (y.dim() - 2))
    rows = torch.arange(len(y), device=y.device).unsqueeze(-1)
    return torch.lerp(y[rows, right - 1], y[rows, right], share)
