"""What a distribution can do: estimators, sampling and coding ask for capabilities, not for classes."""

from functools import singledispatch
from typing import Any, Literal

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
    constraints,
)

from elbowroom.numerics import CapabilityError

__all__ = ["Capability", "capabilities", "declare", "detached", "on_real_line", "require"]

Capability = Literal["mean", "variance", "moments", "cdf", "icdf", "draw", "enumerate", "stack", "marginal"]
"""moments: there is no mean in closed form, but draws are numbers, whose moments more draws estimate; draw: it can be
drawn from standard-normal noise, with a gradient where draws are numbers; marginal: any of its elements can be left out
of its log-density (`log_prob_seen`)."""


@singledispatch
def capabilities(distribution: Distribution) -> frozenset[Capability]:
    """What a distribution can do.

    By default what its class defines; `declare` registers something else.

    Parameters
    ----------
    distribution : Distribution
        Any distribution.

    Returns
    -------
    frozenset of str
        Some of "mean", "variance", "moments", "cdf", "icdf", "draw", "enumerate", "stack", "marginal"; see
        `Capability`.

    Examples
    --------
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
    return frozenset(found) | _marginal(distribution)


def _marginal(distribution: Distribution) -> frozenset[Capability]:
    """What has no event is one element by itself, and so can be left out."""
    return frozenset() if distribution.event_shape else frozenset({"marginal"})


def declare(kind: type[Distribution], *can: Capability) -> None:
    """Register what every distribution of a class can do.

    Parameters
    ----------
    kind : type
        A class of distributions.
    *can : str
        Its capabilities.
    """
    capabilities.register(kind, lambda distribution: frozenset(can) | _marginal(distribution))


_INSTEAD = "Its classes are no numbers: read their probabilities, or draw them (mode='ancestral')."

declare(Normal, "mean", "variance", "cdf", "icdf", "draw", "stack")
declare(Laplace, "mean", "variance", "cdf", "icdf", "draw", "stack")
declare(Bernoulli, "mean", "variance", "enumerate", "stack")
declare(Categorical, "enumerate", "stack")
declare(OneHotCategorical, "mean", "variance", "draw", "enumerate", "stack")
declare(Poisson, "mean", "variance", "stack")


@capabilities.register
def _(distribution: Independent) -> frozenset[Capability]:
    return capabilities(distribution.base_dist) - {"cdf", "icdf", "enumerate"}


@capabilities.register
def _(distribution: MixtureSameFamily) -> frozenset[Capability]:
    return (capabilities(distribution.component_distribution) & {"mean", "variance", "cdf", "stack"}) | _marginal(
        distribution
    )


def require(distribution: Distribution, capability: Capability) -> None:
    """Raise an error in words where a distribution lacks a capability.

    Parameters
    ----------
    distribution : Distribution
        Any distribution.
    capability : str
        One of those that `capabilities` returns.

    Raises
    ------
    CapabilityError
        Where it is lacking.

    Examples
    --------
    >>> import torch
    >>> require(Poisson(torch.tensor(2.0)), "icdf")
    Traceback (most recent call last):
    elbowroom.numerics.errors.CapabilityError: Poisson has no icdf; it offers: marginal, mean, stack, variance.
    """
    has = capabilities(distribution)
    if capability not in has:
        for group in getattr(distribution, "groups", ()):
            require(group, capability)
        base = distribution.base_dist if isinstance(distribution, Independent) else distribution
        can = ", ".join(sorted(has)) or "nothing beyond log_prob"
        classes = isinstance(base, Categorical) and capability in ("mean", "variance")
        way_out = f" {_INSTEAD}" if classes else ""
        raise CapabilityError(f"{type(base).__name__} has no {capability}; it offers: {can}.{way_out}")


def on_real_line(distribution: Distribution) -> bool:
    """Whether every element of a draw may be any real number.

    Parameters
    ----------
    distribution : Distribution
        Any distribution.

    Returns
    -------
    bool
        False for a bounded or discrete support.

    Raises
    ------
    CapabilityError
        Where the distribution does not say its support.

    Examples
    --------
    >>> import torch
    >>> on_real_line(Normal(torch.zeros(2), 1.0)), on_real_line(Poisson(torch.ones(2)))
    (True, False)
    """
    try:
        support: Any = distribution.support
    except NotImplementedError as error:
        name = type(distribution).__name__
        raise CapabilityError(
            f"{name} does not say what its support is: define a property `support` on it, as torch's own "
            f"distributions have."
        ) from error
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support is constraints.real


@singledispatch
def detached(distribution: Distribution) -> Distribution:
    """The same distribution with parameters that pass no gradient on.

    Its log-density still has a gradient in the value.

    Parameters
    ----------
    distribution : Distribution
        One whose parameters are plain tensors.

    Returns
    -------
    Distribution
        The same distribution at detached parameters.

    Raises
    ------
    CapabilityError
        For a distribution whose parameters are not plain tensors of its own, such as a flow.

    Examples
    --------
    >>> import torch
    >>> loc = torch.zeros(2, requires_grad=True)
    >>> detached(Normal(loc, torch.ones(2))).loc.requires_grad
    False
    """
    names = [name for name in getattr(distribution, "arg_constraints", {}) if name in vars(distribution)]
    if not names or any(isinstance(part, Distribution) for part in vars(distribution).values()):
        raise CapabilityError(
            f"{type(distribution).__name__} holds more than parameters of its own, so its log-density cannot be had at "
            f"detached ones: use an objective that does not ask for it (kl='sampled')."
        )
    parameters = {name: getattr(distribution, name).detach() for name in names}
    return type(distribution)(**parameters, validate_args=False)


@detached.register
def _(distribution: Independent) -> Distribution:
    return Independent(detached(distribution.base_dist), distribution.reinterpreted_batch_ndims, False)
