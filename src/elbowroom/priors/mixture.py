"""A learned mixture of Gaussians."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal
from torch.nn.functional import softplus

from elbowroom.components import Component
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

__all__ = ["Mixture"]


@described("mixture-prior")
class Mixture(Component):
    """A learned mixture of Gaussians with diagonal covariances and learned weights.

    Its KL from q has no closed form and is sampled. Draws of it carry no gradient.

    Parameters
    ----------
    event : int or sequence of int
        Shape of one draw; a number n stands for (n,).
    components : int, default 10
        Number of Gaussians. Their means start at draws of N(0, I), their standard deviations at 1.
    floor : float, default 0.01
        Least standard deviation of a component. Without one, a component can shrink onto a single code.

    Raises
    ------
    InputError
        For fewer than one component or a floor that is not positive.

    References
    ----------
    Dilokthanakul et al., "Deep unsupervised clustering with Gaussian mixture variational autoencoders" (2016).

    Examples
    --------
    >>> Mixture(2, components=3)({}).log_prob(torch.zeros(4, 5, 2)).shape
    torch.Size([4, 5])
    """

    def __init__(self, event: int | Sequence[int], *, components: int = 10, floor: float = 0.01) -> None:
        super().__init__(event)
        if components < 1 or not floor > 0:
            raise InputError(f"A mixture needs 1 component or more and a positive floor; got {components} and {floor}.")
        self.floor = floor
        self.means = nn.Parameter(torch.randn(1, 1, components, *self.event))
        self.raw = nn.Parameter(torch.full_like(self.means, math.log(math.expm1(1.0))))
        self.logits = nn.Parameter(torch.zeros(1, 1, components))

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1, 1]."""
        normal = Normal(self.means, self.floor + softplus(self.raw), validate_args=False)
        each = Independent(normal, len(self.event), False)
        return MixtureSameFamily(Categorical(logits=self.logits, validate_args=False), each, validate_args=False)
