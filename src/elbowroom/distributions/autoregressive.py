"""Distributions whose elements are read one after another, each given those that have been."""

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Generator, Size, Tensor
from torch.distributions import Distribution, constraints

from ._draw import simulate
from .capabilities import Capability, capabilities

__all__ = ["Autoregressive"]


class Autoregressive(Distribution):
    """log p(x) = Σ_i log p(x_i | the elements known before i).

    conditional: from a value [..., *event] and the positions [n] of some elements in the flat event (None: all) to
    their distribution [*batch, n], given what is known before each of them, which alone it may read. fronts: the
    positions in an order of drawing, in groups whose elements do not read each other. like: a tensor of the dtype and
    on the device of draws. Exact: a log-density in one evaluation over all elements, a draw in as many as there are
    fronts. The mean is no finite sum, and is not offered:
    where elements are numbers, draws estimate it.

    >>> def walk(x, at):                                              # x_1 = x_0 + noise
    ...     before = torch.stack([torch.zeros_like(x[..., 0]), x[..., 0]], -1)
    ...     return torch.distributions.Normal(before if at is None else before[..., at], 1.0)
    >>> fronts = [torch.tensor([0]), torch.tensor([1])]
    >>> p = Autoregressive(walk, fronts, torch.Size([]), torch.Size([2]), torch.zeros(()))
    >>> round(p.log_prob(torch.tensor([3.0, 3.0])).item(), 3)         # −4.5 − log 2π
    -6.338
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}

    def __init__(
        self,
        conditional: Callable[[Tensor, Tensor | None], Distribution],
        fronts: Sequence[Tensor],
        batch_shape: Size,
        event_shape: Size,
        like: Tensor,
    ) -> None:
        super().__init__(batch_shape, event_shape, validate_args=False)
        self.conditional, self.fronts, self.like = conditional, fronts, like

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density, [*batch], nats."""
        return self.conditional(value, None).log_prob(value.flatten(-len(self.event_shape))).sum(-1)


@simulate.register
def _(distribution: Autoregressive, generator: Generator) -> Tensor:
    value = distribution.like.new_zeros(*distribution.batch_shape, distribution.event_shape.numel())
    with torch.no_grad():
        for here in distribution.fronts:
            seen = value.view(*distribution.batch_shape, *distribution.event_shape)
            value[..., here] = simulate(distribution.conditional(seen, here), generator).to(value)
    return value.view(*distribution.batch_shape, *distribution.event_shape)


@capabilities.register
def _(distribution: Autoregressive) -> frozenset[Capability]:
    value = distribution.like.new_zeros(*distribution.batch_shape, *distribution.event_shape)
    numbers = "mean" in capabilities(distribution.conditional(value, distribution.fronts[0]))
    return frozenset({"stack", "moments"} if numbers else {"stack"})
