"""A learned normal."""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.distributions import Distribution, Independent
from torch.distributions import Normal as TorchNormal
from torch.nn.functional import softplus

from elbowroom.components import Component
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

__all__ = ["Normal"]


@described("normal-prior")
class Normal(Component):
    """A normal with independent elements whose mean and scale are learned, or returned by a network.

    With a network it is the prior of a lower layer, p(z1 | z2), or one given a context, p(z | label).

    Parameters
    ----------
    event : int or sequence of int
        Shape of one draw; a number n stands for (n,).
    network : nn.Module or None, default None
        Reads the tensors named in `given` and returns 2 numbers per element: the means of all elements, then raw
        scales. None learns one mean and one scale per element, which begin at 0 and 1.
    given : sequence of str, default ()
        Names of the tensors that the network reads, in the order of its arguments: contexts and earlier blocks. Empty
        without a network.
    floor : float, default 0.01
        Least standard deviation, above 0: a scale is floor + softplus(raw).

    Raises
    ------
    InputError
        For a floor that is not positive, or a network without `given`.

    Examples
    --------
    >>> Normal(2)({}).log_prob(torch.zeros(1, 1, 2)).exp()      # 1 / 2π
    tensor([[0.1592]], grad_fn=<ExpBackward0>)
    """

    form = "independent normal"

    def __init__(
        self,
        event: int | Sequence[int],
        *,
        network: nn.Module | None = None,
        given: Sequence[str] = (),
        floor: float = 0.01,
    ) -> None:
        super().__init__(event, given=given, network=network)
        if (network is None) != (not given):
            raise InputError("A Normal prior has a network that reads what is in `given`, or neither of the two.")
        if not 0 < floor < 1:
            raise InputError(f"The floor of a scale must be in (0, 1); got {floor}.")
        self.floor = floor
        if network is None:
            self.means = nn.Parameter(torch.zeros(1, 1, *self.event))
            self.raw = nn.Parameter(torch.full_like(self.means, math.log(math.expm1(1.0 - floor))))

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1, 1], or [draws or 1, batch] of what the network reads."""
        mean, raw = (self.means, self.raw) if self.network is None else self.parameters_from(given, 2)
        normal = TorchNormal(mean, self.floor + softplus(raw), validate_args=False)
        return Independent(normal, len(self.event), False)
