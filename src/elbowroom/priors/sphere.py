"""The uniform prior on the sphere."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from elbowroom.components import Component
from elbowroom.distributions.sphere import UniformSphere
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

__all__ = ["Sphere"]


@described("sphere-prior")
class Sphere(Component):
    """The uniform distribution on the unit sphere in d dimensions.

    Its posterior is `posteriors.VonMisesFisher`. Samplers work on the real line, so that annealing refuses z on a
    sphere: the ELBO and importance weights measure it.

    Parameters
    ----------
    event : int or sequence of int
        Dimensions of the space around it: d or (d,), 2 or more.

    Raises
    ------
    InputError
        For one dimension, or an event that is not one row.

    References
    ----------
    Davidson, Falorsi, De Cao, Kipf & Tomczak, "Hyperspherical variational auto-encoders" (2018).

    Examples
    --------
    >>> Sphere(2)({}).log_prob(torch.tensor([[[1.0, 0.0]]])).exp()      # 1 / 2π
    tensor([[0.1592]])
    """

    form = "sphere"
    over = "the sphere"

    like: Tensor

    def __init__(self, event: int | Sequence[int]) -> None:
        super().__init__(event)
        if len(self.event) > 1 or self.event[0] < 2:
            raise InputError(f"A sphere lies in 2 dimensions or more, in one row; got event {self.event}.")
        self.register_buffer("like", torch.zeros(1, 1, *self.event), persistent=False)

    def forward(self, given: Given) -> Distribution:
        """The uniform, with batch shape [1, 1]."""
        return UniformSphere(self.like)
