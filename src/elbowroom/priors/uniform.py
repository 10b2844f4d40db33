"""The uniform prior on the unit box."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from elbowroom.components import Component
from elbowroom.distributions.unit_box import UnitUniform
from elbowroom.numerics import Given
from elbowroom.recipes import described

__all__ = ["Uniform"]


@described("uniform-prior")
class Uniform(Component):
    """The uniform distribution on the unit box [0, 1]ᵈ.

    Its posterior is `posteriors.Bounded`. Samplers work on the real line, so that annealing refuses z in a box: the
    ELBO and importance weights measure it.

    Parameters
    ----------
    event : int or sequence of int
        Shape of one draw; a number n stands for (n,).

    Examples
    --------
    >>> Uniform(2)({}).log_prob(torch.full((1, 1, 2), 0.3))
    tensor([[0.]])
    """

    form = "uniform"
    over = "the unit box"

    like: Tensor

    def __init__(self, event: int | Sequence[int]) -> None:
        super().__init__(event)
        self.register_buffer("like", torch.zeros(1, 1, *self.event), persistent=False)

    def forward(self, given: Given) -> Distribution:
        """The uniform, with batch shape [1, 1]."""
        return Independent(UnitUniform(self.like), len(self.event), False)
