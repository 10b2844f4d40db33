"""The standard normal."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from elbowroom.components import Component
from elbowroom.distributions.unit_normal import UnitNormal
from elbowroom.numerics import Given
from elbowroom.recipes import described

__all__ = ["StandardNormal"]


@described("standard-normal")
class StandardNormal(Component):
    """The standard normal N(0, I) over a latent block.

    Parameters
    ----------
    event : int or sequence of int
        Shape of one draw; a number n stands for (n,).

    Examples
    --------
    >>> StandardNormal(2)({}).log_prob(torch.zeros(1, 1, 2)).exp()      # 1 / 2π
    tensor([[0.1592]])
    """

    form = "independent normal"

    like: Tensor

    def __init__(self, event: int | Sequence[int]) -> None:
        super().__init__(event)
        self.register_buffer("like", torch.zeros(1, 1, *self.event), persistent=False)

    def forward(self, given: Given) -> Distribution:
        """N(0, I) with batch shape [1, 1]."""
        return Independent(UnitNormal(self.like), len(self.event), False)
