"""The log-density of the cells that are seen, the others integrated out; and draws of these given the seen ones."""

import math
from functools import singledispatch
from typing import Any

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution, Independent, constraints

from elbowroom.numerics import CapabilityError

from ._draw import simulate
from .autoregressive import Autoregressive
from .capabilities import capabilities
from .columns import Columns
from .correlated_normal import CorrelatedNormal
from .low_rank_normal import LowRankNormal

__all__ = ["check_order", "inside", "log_prob_seen", "simulate_missing"]

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
_MOST_ELEMENTS = 1024  # a dense covariance of more, per example and draw, is no work for a batch


@singledispatch
def log_prob_seen(distribution: Distribution, x: Tensor, seen: Tensor) -> Tensor:
    """The log-density of the cells of x that are seen; the missing ones are integrated out.

    Parameters
    ----------
    distribution : Distribution
        One with the capability "marginal": independent elements, groups of columns, Gaussians with any covariance. An
        `Autoregressive` leaves out cells at the end of its order.
    x : Tensor
        [..., *event]; what stands in a missing cell does not matter, nor for gradients.
    seen : Tensor
        [..., *event] bool, False where a cell is missing.

    Returns
    -------
    Tensor
        [*batch], in nats; exactly 0 where no cell is seen.

    Raises
    ------
    CapabilityError
        For a distribution that cannot leave these cells out.

    Examples
    --------
    >>> p = Independent(torch.distributions.Normal(torch.zeros(2), 1.0), 1)
    >>> round(log_prob_seen(p, torch.tensor([0.0, 7.0]), torch.tensor([True, False])).item(), 4)
    -0.9189
    """
    if "marginal" not in capabilities(distribution):
        raise _cannot(distribution)
    return torch.where(seen, distribution.log_prob(inside(distribution, x, seen)), 0.0)


def inside(distribution: Distribution, x: Tensor, seen: Tensor) -> Tensor:
    """The same x with a value of the distribution's support in every missing cell.

    Parameters
    ----------
    distribution : Distribution
        Any distribution.
    x : Tensor
        [..., *event].
    seen : Tensor
        [..., *event] bool.

    Returns
    -------
    Tensor
        [..., *event].

    Examples
    --------
    >>> p = torch.distributions.Beta(torch.ones(2), torch.ones(2))
    >>> inside(p, torch.tensor([0.2, 9.0]), torch.tensor([True, False]))
    tensor([0.2000, 0.5000])
    """
    if isinstance(distribution, Columns):
        parts = zip(distribution.groups, x.split(distribution.sizes, -1), _masks(distribution, seen), strict=True)
        return torch.cat([inside(*part) for part in parts], -1)
    try:
        value = _value_in(distribution.support)
    except NotImplementedError:
        value = 0.0
    return torch.where(seen, x, value)


def check_order(distribution: Distribution, seen: Tensor) -> None:
    """Refuse missing cells that an autoregressive distribution cannot leave out; others are not looked at.

    Parameters
    ----------
    distribution : Distribution
        Any distribution.
    seen : Tensor
        [..., *event] bool.

    Raises
    ------
    CapabilityError
        Where a cell is missing before one that is seen.

    Examples
    --------
    >>> check_order(torch.distributions.Normal(torch.zeros(2), 1.0), torch.tensor([False, True]))
    """
    if not isinstance(distribution, Autoregressive):
        return
    flat = seen.flatten(-len(distribution.event_shape))
    place = torch.empty(flat.shape[-1], dtype=torch.int64, device=flat.device)
    for number, front in enumerate(distribution.fronts):
        place[front] = number
    last_seen = torch.where(flat, place, -1).amax(-1)
    first_missing = torch.where(flat, len(distribution.fronts), place).amin(-1)
    if bool((last_seen > first_missing).any()):
        raise CapabilityError(
            "An autoregressive p(x | z) leaves out cells at the end of its order only, and here some are missing "
            "before others that are seen: take a likelihood of independent elements, or fill the cells in."
        )


@singledispatch
def simulate_missing(distribution: Distribution, x: Tensor, seen: Tensor, generator: Generator) -> Tensor:
    """Draw the missing cells of x given the seen ones, from a generator; it carries no gradient.

    Parameters
    ----------
    distribution : Distribution
        As for `log_prob_seen`.
    x : Tensor
        [..., *event]; what stands in a missing cell does not matter.
    seen : Tensor
        [..., *event] bool, False where a cell is missing.
    generator : Generator
        Source of randomness.

    Returns
    -------
    Tensor
        [*batch, *event]: the draws, and x where it is seen.

    Raises
    ------
    CapabilityError
        As for `log_prob_seen`.

    Examples
    --------
    >>> p = Independent(torch.distributions.Bernoulli(torch.ones(2)), 1)
    >>> simulate_missing(p, torch.tensor([0.0, 7.0]), torch.tensor([True, False]), Generator())
    tensor([0., 1.])
    """
    if "marginal" not in capabilities(distribution):
        raise _cannot(distribution)
    drawn = simulate(distribution, generator)
    return torch.where(seen, x, drawn.to(x))


@log_prob_seen.register
def _(distribution: Independent, x: Tensor, seen: Tensor) -> Tensor:
    cells = log_prob_seen(distribution.base_dist, x, seen)
    dims = distribution.reinterpreted_batch_ndims
    return cells.flatten(-dims).sum(-1) if dims else cells


@log_prob_seen.register
def _(distribution: Columns, x: Tensor, seen: Tensor) -> Tensor:
    parts = zip(distribution.groups, x.split(distribution.sizes, -1), _masks(distribution, seen), strict=True)
    return sum((log_prob_seen(*part) for part in parts), torch.zeros(()))


@log_prob_seen.register
def _(distribution: CorrelatedNormal, x: Tensor, seen: Tensor) -> Tensor:
    there, residual = _flat(distribution, x, seen)
    root = _root(_covariance(distribution), there)
    white = torch.linalg.solve_triangular(root, residual.double().unsqueeze(-1), upper=False).squeeze(-1)
    half_log_determinant = root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    total = -0.5 * white.square().sum(-1) - half_log_determinant - there.double().sum(-1) * _HALF_LOG_TAU
    return total.to(distribution.loc.dtype)


@log_prob_seen.register
def _(distribution: LowRankNormal, x: Tensor, seen: Tensor) -> Tensor:
    there, residual = _flat(distribution, x, seen)
    scale = torch.where(there, distribution.scale, 1.0)
    factor = torch.where(there.unsqueeze(-2), distribution.factor, 0.0)
    others = LowRankNormal(torch.zeros_like(residual), scale, factor, 1, validate_args=False)  # N(0, 1) if missing
    squares = others.whitened(residual).square().sum(-1)
    return -0.5 * (squares + others.log_determinant()) - there.to(residual).sum(-1) * _HALF_LOG_TAU


@log_prob_seen.register
def _(distribution: Autoregressive, x: Tensor, seen: Tensor) -> Tensor:
    check_order(distribution, seen)
    start = -len(distribution.event_shape)
    cells = distribution.conditional(torch.where(seen, x, 0.0), None)
    return log_prob_seen(cells, x.flatten(start), seen.flatten(start)).sum(-1)


@simulate_missing.register
def _(distribution: Columns, x: Tensor, seen: Tensor, generator: Generator) -> Tensor:
    parts = zip(distribution.groups, x.split(distribution.sizes, -1), _masks(distribution, seen), strict=True)
    drawn = [simulate_missing(*part, generator) for part in parts]
    return torch.cat([part.expand(*distribution.batch_shape, -1) for part in drawn], -1)


@simulate_missing.register
@torch.no_grad()
def _(distribution: CorrelatedNormal, x: Tensor, seen: Tensor, generator: Generator) -> Tensor:
    """A draw of all cells, corrected by what the seen ones differ (Matheron's rule)."""
    whole = simulate(distribution, generator)
    there, residual = _flat(distribution, x, seen)
    covariance = _covariance(distribution)
    off = torch.where(there, residual - (whole - distribution.loc).flatten(-len(distribution.event_shape)), 0.0)
    weights = torch.cholesky_solve(off.double().unsqueeze(-1), _root(covariance, there))
    moved = (covariance @ weights).squeeze(-1).to(whole).unflatten(-1, distribution.event_shape)
    return torch.where(seen, x.to(whole), whole + moved)


@simulate_missing.register
@torch.no_grad()
def _(distribution: Autoregressive, x: Tensor, seen: Tensor, generator: Generator) -> Tensor:
    check_order(distribution, seen)
    start = -len(distribution.event_shape)
    shape = distribution.batch_shape + distribution.event_shape
    value = torch.where(seen, x, 0.0).expand(shape).flatten(start).clone()
    known = seen.expand(shape).flatten(start)
    for here in distribution.fronts:
        cells = distribution.conditional(value.unflatten(-1, distribution.event_shape), here)
        value[..., here] = simulate_missing(cells, value[..., here], known[..., here], generator)
    return value.unflatten(-1, distribution.event_shape)


def _masks(columns: Columns, seen: Tensor) -> tuple[Tensor, ...]:
    return seen.split(columns.sizes, -1)


def _flat(distribution: CorrelatedNormal, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Mask and x − mean as rows [..., n]; the difference is 0, and has no gradient, where a cell is missing."""
    start = -len(distribution.event_shape)
    residual = torch.where(seen, x - distribution.loc, 0.0)
    return seen.flatten(start), residual.flatten(start)


def _covariance(distribution: CorrelatedNormal) -> Tensor:
    """Σ [*batch, n, n] in float64, from the values that unit vectors of noise become."""
    size, lead = distribution.event_shape.numel(), len(distribution.batch_shape)
    if size > _MOST_ELEMENTS:
        raise CapabilityError(
            f"A {type(distribution).__name__} over {size:,} elements leaves missing cells out by a dense covariance, "
            f"which is for {_MOST_ELEMENTS:,} at most: take likelihoods.LowRankNormal, or one of independent elements."
        )
    units = torch.eye(distribution.noise_shape.numel(), dtype=distribution.loc.dtype, device=distribution.loc.device)
    noise = units.view(-1, *[1] * lead, *distribution.noise_shape)
    rows = distribution.correlated(noise).flatten(-len(distribution.event_shape)).double().movedim(0, -2)
    return rows.mT @ rows


def _root(covariance: Tensor, there: Tensor) -> Tensor:
    """Cholesky factor of Σ with rows and columns of the identity in place of those that are missing."""
    both = there.unsqueeze(-1) & there.unsqueeze(-2)
    identity = torch.eye(there.shape[-1], dtype=covariance.dtype, device=covariance.device)
    root, failed = torch.linalg.cholesky_ex(torch.where(both, covariance, identity))
    return torch.where(failed[..., None, None] == 0, root, torch.nan)


def _value_in(support: Any) -> Any:
    """A value that lies in a support."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    low, high = getattr(support, "lower_bound", None), getattr(support, "upper_bound", None)
    if getattr(support, "is_discrete", False):
        return 0.0 if low is None else low
    if low is not None and high is not None:
        return 0.5 * (low + high)
    return low + 1.0 if low is not None else high - 1.0 if high is not None else 0.0


def _cannot(distribution: Distribution) -> CapabilityError:
    return CapabilityError(
        f"A {type(distribution).__name__} cannot leave missing cells out, as its density of the others is not known: "
        f"take a likelihood of independent elements or a Gaussian, or fill the cells in."
    )
