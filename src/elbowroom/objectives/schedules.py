"""Schedules: which share of a weight, or of a capacity, is in force at a step."""

import math

import torch
from torch import Tensor, nn

from elbowroom.numerics import InputError, plain_arguments
from elbowroom.recipes import described

__all__ = ["CyclicalSchedule", "LinearSchedule", "LogisticSchedule", "Schedule"]


@plain_arguments
class Schedule(nn.Module):
    """How a number rises to its full value in the first steps of training, as a share of it.

    A subclass defines `forward(step)`. Its numbers are buffers, so that models that are trained side by side may differ
    in them.

    Parameters
    ----------
    steps : int
        Optimizer steps after which the share is 1 and stays there, 1 or more.
    floor : float, default 0.0
        The least share, in [0, 1).

    Raises
    ------
    InputError
        For an argument outside its range.

    Examples
    --------
    >>> class Half(Schedule):
    ...     def forward(self, step):
    ...         return torch.where(step < self.steps, 0.5, 1.0)
    >>> Half(10)(torch.tensor(3.0))
    tensor(0.5000)
    """

    steps: Tensor
    floor: Tensor

    def __init__(self, steps: int, *, floor: float = 0.0) -> None:
        super().__init__()
        if not (1 <= steps < math.inf and 0 <= floor < 1):
            raise InputError(f"A schedule needs steps of 1 or more and a floor in [0, 1); got {steps} and {floor}.")
        self.register_buffer("steps", torch.tensor(float(steps)))
        self.register_buffer("floor", torch.tensor(float(floor)))

    def forward(self, step: Tensor) -> Tensor:
        """The share at a step.

        Parameters
        ----------
        step : Tensor
            Optimizer steps before this one, a float scalar; infinity asks for the end.

        Returns
        -------
        Tensor
            In [floor, 1], a scalar.
        """
        raise NotImplementedError

    @property
    def length(self) -> int:
        """Optimizer steps until the share is 1 for good."""
        return int(self.steps)

    def _risen(self, share: Tensor) -> Tensor:
        return self.floor + (1 - self.floor) * share


@described("linear-schedule")
class LinearSchedule(Schedule):
    """From the floor to 1 in a straight line.

    Parameters
    ----------
    steps : int
        Optimizer steps after which the share is 1, 1 or more.
    floor : float, default 0.0
        The share at the first step, in [0, 1).

    References
    ----------
    Sønderby et al., "Ladder variational autoencoders" (2016).

    Examples
    --------
    >>> LinearSchedule(10, floor=0.2)(torch.tensor(5.0))
    tensor(0.6000)
    """

    def forward(self, step: Tensor) -> Tensor:
        """The share at a step."""
        return self._risen((step / self.steps).clamp(max=1.0))


@described("logistic-schedule")
class LogisticSchedule(Schedule):
    """From the floor to 1 along a logistic curve, slow at both ends; half way at half the steps.

    Parameters
    ----------
    steps : int
        Optimizer steps after which the share is 1, 1 or more.
    sharpness : float, default 10.0
        Slope of the curve, above 0: the logit of the share rises from −sharpness/2 to sharpness/2, and the curve is
        stretched so that it begins at the floor and ends at 1.
    floor : float, default 0.0
        The share at the first step, in [0, 1).

    Raises
    ------
    InputError
        For an argument outside its range.

    References
    ----------
    Bowman et al., "Generating sentences from a continuous space" (2016).

    Examples
    --------
    >>> LogisticSchedule(10)(torch.tensor([0.0, 5.0, 10.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """

    sharpness: Tensor

    def __init__(self, steps: int, *, sharpness: float = 10.0, floor: float = 0.0) -> None:
        super().__init__(steps, floor=floor)
        if not 0 < sharpness < math.inf:
            raise InputError(f"sharpness must be above 0 and finite; got {sharpness}.")
        self.register_buffer("sharpness", torch.tensor(float(sharpness)))

    def forward(self, step: Tensor) -> Tensor:
        """The share at a step."""
        along = (step / self.steps).clamp(max=1.0)
        least = (-self.sharpness / 2).sigmoid()
        curve = (self.sharpness * (along - 0.5)).sigmoid()
        return self._risen(torch.where(along < 1, (curve - least) / (1 - 2 * least), 1.0))


@described("cyclical-schedule")
class CyclicalSchedule(Schedule):
    """From the floor to 1 again and again: each cycle rises in a straight line and then stays at 1.

    Parameters
    ----------
    steps : int
        Optimizer steps of all cycles together, after which the share is 1, 1 or more.
    cycles : int, default 4
        How often it rises, 1 or more.
    rising : float, default 0.5
        Share of a cycle in which it rises, in (0, 1].
    floor : float, default 0.0
        The share at the first step of a cycle, in [0, 1).

    Raises
    ------
    InputError
        For an argument outside its range.

    References
    ----------
    Fu et al., "Cyclical annealing schedule: a simple approach to mitigating KL vanishing" (2019).

    Examples
    --------
    >>> CyclicalSchedule(40, cycles=2)(torch.tensor([0.0, 5.0, 10.0, 19.0, 20.0, 40.0]))
    tensor([0.0000, 0.5000, 1.0000, 1.0000, 0.0000, 1.0000])
    """

    cycles: Tensor
    rising: Tensor

    def __init__(self, steps: int, *, cycles: int = 4, rising: float = 0.5, floor: float = 0.0) -> None:
        super().__init__(steps, floor=floor)
        if not (cycles >= 1 and 0 < rising <= 1):
            raise InputError(f"A cyclical schedule needs 1 cycle or more and rising in (0, 1]; got {cycles}, {rising}.")
        self.register_buffer("cycles", torch.tensor(float(cycles)))
        self.register_buffer("rising", torch.tensor(float(rising)))

    def forward(self, step: Tensor) -> Tensor:
        """The share at a step."""
        along = (step / self.steps).clamp(max=1.0)
        share = (along * self.cycles).frac() / self.rising
        return self._risen(torch.where(along < 1, share.clamp(max=1.0), 1.0))


def share_of(schedule: Schedule | None, step: Tensor) -> Tensor:
    """The share that a schedule gives at a step; 1 without one."""
    return torch.ones_like(step) if schedule is None else schedule(step)
