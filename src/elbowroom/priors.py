"""Priors p(z | context)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from elbowroom.components import Component
from elbowroom.distributions.unit_normal import UnitNormal
from elbowroom.numerics import Given
from elbowroom.runs import described

__all__ = ["StandardNormal"]


@described("standard-normal")
class StandardNormal(Component):
    """N(0, I) over an event.

    >>> StandardNormal(2)({}).log_prob(torch.zeros(1, 1, 2)).exp()      # 1 / 2π
    tensor([[0.1592]])
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, event: int | Sequence[int]) -> None:
        super().__init__(event)
        self.register_buffer("loc", torch.zeros(1, 1, *self.event), persistent=False)
        self.register_buffer("scale", torch.ones(1, 1, *self.event), persistent=False)

    def forward(self, given: Given) -> Distribution:
        """N(0, I) with batch shape [1, 1]."""
        return Independent(UnitNormal(self.loc, self.scale, validate_args=False), len(self.event), False)
