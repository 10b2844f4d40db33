"""The rate held at a capacity."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .loss import Loss
from .objective import Objective
from .schedules import Schedule, share_of

__all__ = ["Capacity"]


@described("capacity")
class Capacity(Objective):
    """Distortion + weight · |rate − capacity|: the least distortion at a given rate.

    No bound on log p(x): below the capacity a nat of rate costs −weight. With a weight above the slope of the
    rate–distortion curve, training ends at rate = capacity. "capacity", the one in force, is logged.

    Parameters
    ----------
    capacity : float
        The rate that is aimed at, in nats per example, 0 or more.
    weight : float, default 10.0
        Cost of a nat of difference, above 0.
    schedule : Schedule, optional
        The share of the capacity that is in force at a step; without one it is fixed.
    draws : int, default 1
        Draws of z per example and step.

    Raises
    ------
    InputError
        For an argument outside its range.

    Notes
    -----
    The rate is the mean over the batch. Epochs are compared by distortion + weight · |rate − capacity| of the
    validation means at the final capacity.

    References
    ----------
    Burgess et al., "Understanding disentangling in β-VAE" (2018).
    Alemi et al., "Fixing a broken ELBO" (2018): the rate that is pinned.

    Examples
    --------
    >>> Capacity(20.0).kept_by({"rate": 21.0, "distortion": 80.0})
    90.0
    """

    capacity: Tensor
    weight: Tensor

    def __init__(
        self, capacity: float, *, weight: float = 10.0, schedule: Schedule | None = None, draws: int = 1
    ) -> None:
        super().__init__()
        if not (0 <= capacity < math.inf and 0 < weight < math.inf):
            raise InputError(
                f"A rate is 0 or more, so capacity must be too, and weight above 0; got {capacity} and {weight}."
            )
        if draws < 1:
            raise InputError(f"Capacity needs draws of 1 or more; got {draws}.")
        self.draws, self.schedule = draws, schedule
        self.register_buffer("capacity", torch.tensor(float(capacity)))
        self.register_buffer("weight", torch.tensor(float(weight)))

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch at one step (a float scalar)."""
        terms, capacity = vae(batch, noise), self.capacity * share_of(self.schedule, step)
        total = self.weight * (terms.rate().mean() - capacity).abs() - terms.log_likelihood.mean()
        return Loss(total, terms, {"capacity": capacity})

    def kept_by(self, means: Mapping[str, float]) -> float:
        """Distortion + weight · |rate − capacity|."""
        return means["distortion"] + float(self.weight) * abs(means["rate"] - float(self.capacity))
