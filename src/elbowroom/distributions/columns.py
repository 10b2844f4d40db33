"""One distribution over the columns of a table, a family per group of columns."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution, Independent, constraints

from ._draw import simulate
from .capabilities import Capability, capabilities, require

__all__ = ["Columns", "Masses", "known_mean", "level_masses"]

Masses = Callable[[float, slice], Tensor]
"""From a level, and which columns are asked for, to its probability in each of them."""


class Columns(Distribution):
    """Independent groups of columns of a table, each with a family of its own; the event is [columns].

    Parameters
    ----------
    groups : sequence of Distribution
        Distributions over [columns of the group], in the order of the columns.

    Examples
    --------
    >>> from torch.distributions import Bernoulli, Independent, Normal
    >>> p = Columns([Independent(Normal(torch.zeros(2), 1.0), 1), Independent(Bernoulli(logits=torch.zeros(1)), 1)])
    >>> p.event_shape, round(p.log_prob(torch.tensor([0.0, 0.0, 1.0])).item(), 4)
    (torch.Size([3]), -2.531)
    """

    arg_constraints = {}  # noqa: RUF012

    def __init__(self, groups: Sequence[Distribution]) -> None:
        self.groups = list(groups)
        self.sizes = [group.event_shape[0] for group in self.groups]
        batch = torch.broadcast_shapes(*(group.batch_shape for group in self.groups))
        super().__init__(batch, torch.Size([sum(self.sizes)]), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """The groups' supports, side by side."""
        return constraints.cat([group.support for group in self.groups], -1, self.sizes)

    def log_prob(self, value: Tensor) -> Tensor:
        """Sum over the groups, nats."""
        parts = zip(self.groups, value.split(self.sizes, -1), strict=True)
        return sum((group.log_prob(part) for group, part in parts), torch.zeros(()))

    @property
    def mean(self) -> Tensor:
        """Means of the columns; CapabilityError where a group has none."""
        return self._concatenate("mean")

    @property
    def variance(self) -> Tensor:
        """Variances of the columns; CapabilityError where a group has none."""
        return self._concatenate("variance")

    def _concatenate(self, what: Capability) -> Tensor:
        for group in self.groups:
            require(group, what)
        parts = [getattr(group, what).expand(*self.batch_shape, -1) for group in self.groups]
        return torch.cat(parts, -1)


def known_mean(p: Distribution) -> Tensor:
    """The mean of a distribution, where it has one.

    Parameters
    ----------
    p : Distribution
        Any distribution.

    Returns
    -------
    Tensor
        [*batch, *event]; NaN in the columns, or everywhere, where there is none (classes without an order).

    Examples
    --------
    >>> from torch.distributions import Categorical, Independent, Normal
    >>> classes = Independent(Categorical(logits=torch.zeros(1, 3)), 1)
    >>> known_mean(Columns([Independent(Normal(torch.ones(1), 1.0), 1), classes]))
    tensor([1., nan])
    """
    if isinstance(p, Columns):
        return torch.cat([known_mean(group).expand(*p.batch_shape, -1) for group in p.groups], -1)
    if "mean" in capabilities(p):
        return p.mean
    return torch.full((*p.batch_shape, *p.event_shape), torch.nan, device=_device_of(p))


def level_masses(p: Distribution) -> Masses | None:
    """The probability of a level in every element.

    Parameters
    ----------
    p : Distribution
        Any distribution.

    Returns
    -------
    callable or None
        From a level and a slice of columns, the last dimension, to its probabilities there, [*batch, *event]. None
        where elements depend on one another, or all make one draw.

    Examples
    --------
    >>> from torch.distributions import Bernoulli, Independent
    >>> level_masses(Independent(Bernoulli(torch.tensor([0.25, 0.5])), 1))(1.0, slice(None))
    tensor([0.2500, 0.5000])
    """
    if isinstance(p, Columns):
        found = [level_masses(group) for group in p.groups]
        groups = [masses for masses in found if masses is not None]
        return _side_by_side(p, groups) if len(groups) == len(found) else None
    if isinstance(p, Independent):
        return level_masses(p.base_dist)
    if p.event_shape:
        return None
    return lambda level, columns: p.log_prob(torch.full(p.batch_shape, level, device=_device_of(p))).exp()[..., columns]


def _side_by_side(p: Columns, groups: Sequence[Masses]) -> Masses:
    """Of the groups that have some of the columns asked for: to others the level may mean nothing."""

    def masses(level: float, columns: slice) -> Tensor:
        first, last, _ = columns.indices(p.event_shape[0])
        parts, start = [], 0
        for size, group in zip(p.sizes, groups, strict=True):
            own = slice(max(first - start, 0), max(min(last - start, size), 0))
            if own.start < own.stop:
                parts.append(group(level, own).expand(*p.batch_shape, -1))
            start += size
        return torch.cat(parts, -1)

    return masses


def _device_of(p: Distribution) -> torch.device:
    """Where its parameters are."""
    parts = [part for part in vars(p).values() if isinstance(part, Tensor | Distribution)]
    return _device_of(parts[0]) if isinstance(parts[0], Distribution) else parts[0].device


@simulate.register
def _(distribution: Columns, generator: Generator) -> Tensor:
    parts = [simulate(group, generator) for group in distribution.groups]
    dtype = next((part.dtype for part in parts if part.is_floating_point()), torch.get_default_dtype())
    return torch.cat([part.to(dtype).expand(*distribution.batch_shape, -1) for part in parts], -1)


@capabilities.register
def _(distribution: Columns) -> frozenset[Capability]:
    return frozenset.intersection(*(capabilities(group) for group in distribution.groups)) - {"draw", "icdf", "cdf"}
