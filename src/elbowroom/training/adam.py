"""The optimizer's settings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from elbowroom.numerics import InputError

__all__ = ["Adam"]


@dataclass(frozen=True)
class Adam:
    """Settings of the optimizer.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate.
    lr_final : float, optional
        Where it ends, falling by the same factor every epoch; by default it stays.
    betas : tuple of float, default (0.9, 0.999)
        Decay rates of the two moments.
    clip : float, optional
        Largest norm of a model's gradient; by default there is none.

    Raises
    ------
    InputError
        For numbers outside their ranges.
    """

    lr: float = 1e-3
    lr_final: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("lr", self.lr), ("lr_final", self.lr_final), ("clip", self.clip)):
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name} must be a positive number; got {value}.")
        pair = isinstance(self.betas, Sequence) and len(self.betas) == 2
        if not (pair and all(isinstance(beta, Real) and 0 <= beta < 1 for beta in self.betas)):
            raise InputError(
                f"betas are Adam's two decay rates, a pair from 0 to below 1 such as (0.9, 0.999); for the weight of "
                f"the KL say beta; got {self.betas!r}."
            )

    def rate_at(self, epoch: int, epochs: int) -> float:
        """The learning rate of an epoch (from 1): `lr` in the first, `lr_final` in the last.

        >>> [round(Adam(1e-3, 1e-5).rate_at(epoch, 3), 6) for epoch in (1, 2, 3)]
        [0.001, 0.0001, 1e-05]
        """
        if self.lr_final is None or epochs == 1:
            return self.lr
        return float(self.lr * (self.lr_final / self.lr) ** ((epoch - 1) / (epochs - 1)))

    def over(self, parameters: Sequence[Tensor]) -> torch.optim.Adam:
        """The fused optimizer over these parameters."""
        return torch.optim.Adam(parameters, lr=self.lr, betas=self.betas, fused=True)
