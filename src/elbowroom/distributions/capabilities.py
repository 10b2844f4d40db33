"""What a distribution can do: estimators, sampling modes and coders ask for capabilities, not for classes."""

from functools import singledispatch
from typing import Literal

from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    Laplace,
    MixtureSameFamily,
    Normal,
    OneHotCategorical,
    Poisson,
)

from elbowroom.numerics import CapabilityError

__all__ = ["Capability", "capabilities", "declare", "require"]

Capability = Literal["mean", "variance", "moments", "cdf", "icdf", "draw", "enumerate", "stack"]
"""moments: there is no mean in closed form, but draws are numbers, whose moments more draws estimate."""


@singledispatch
def capabilities(distribution: Distribution) -> frozenset[Capability]:
    """The capabilities of a distribution; what a class defines, unless it is registered otherwise.

    >>> import torch
    >>> "icdf" in capabilities(torch.distributions.Poisson(torch.tensor(2.0)))
    False
    """
    names: tuple[Capability, ...] = ("mean", "variance", "cdf", "icdf")
    kind = type(distribution)
    found: set[Capability] = {name for name in names if getattr(kind, name) is not getattr(Distribution, name)}
    if "icdf" in found:
        found.add("draw")
    if kind.has_enumerate_support:
        found.add("enumerate")
    return frozenset(found)


def declare(kind: type[Distribution], *can: Capability) -> None:
    """Register what every distribution of a class can do."""
    capabilities.register(kind, lambda _: frozenset(can))


_INSTEAD = "Its classes are no numbers: read their probabilities, or draw them (mode='ancestral')."

declare(Normal, "mean", "variance", "cdf", "icdf", "draw", "stack")
declare(Laplace, "mean", "variance", "cdf", "icdf", "draw", "stack")
declare(Bernoulli, "mean", "variance", "enumerate", "stack")
declare(Categorical, "enumerate", "stack")
declare(OneHotCategorical, "mean", "variance", "enumerate", "stack")
declare(Poisson, "mean", "variance", "stack")


@capabilities.register
def _(distribution: Independent) -> frozenset[Capability]:
    return capabilities(distribution.base_dist) - {"cdf", "icdf", "enumerate"}


@capabilities.register
def _(distribution: MixtureSameFamily) -> frozenset[Capability]:
    return capabilities(distribution.component_distribution) & {"mean", "variance", "cdf", "stack"}


def require(distribution: Distribution, capability: Capability) -> None:
    """Raise CapabilityError, in words, where the distribution lacks the capability."""
    has = capabilities(distribution)
    if capability not in has:
        for group in getattr(distribution, "groups", ()):
            require(group, capability)
        base = distribution.base_dist if isinstance(distribution, Independent) else distribution
        can = ", ".join(sorted(has)) or "nothing beyond log_prob"
        classes = isinstance(base, Categorical) and capability in ("mean", "variance")
        way_out = f" {_INSTEAD}" if classes else ""
        raise CapabilityError(f"{type(base).__name__} has no {capability}; it offers: {can}.{way_out}")
