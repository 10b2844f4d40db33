"""Distributions on the unit interval whose entropy, and so whose KL from the uniform, is in closed form."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.kl import register_kl
from torch.distributions.utils import broadcast_all

from ._draw import Draw, draw
from .bounded import TruncatedNormal
from .capabilities import declare
from .tails import log_mass_and_densities, log_ndtr

__all__ = ["Kumaraswamy", "UnitUniform"]

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
_EULER = 0.5772156649015329


class UnitUniform(Distribution):
    """The uniform distribution on [0, 1], per element.

    Parameters
    ----------
    like : Tensor
        A tensor of the shape, floating type and device of one draw; its values do not matter.

    Examples
    --------
    >>> UnitUniform(torch.zeros(2)).log_prob(torch.tensor([0.3, 1.5]))
    tensor([0., -inf])
    """

    arg_constraints = {}  # noqa: RUF012
    support = constraints.unit_interval

    def __init__(self, like: Tensor) -> None:
        self.like = torch.zeros_like(like)
        super().__init__(like.shape, validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "UnitUniform":
        """The same over a larger batch."""
        return UnitUniform(self.like.expand(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """0 inside, −inf outside."""
        inside = (value >= 0) & (value <= 1)
        return torch.where(inside, torch.zeros_like(value), -math.inf) + self.like

    def icdf(self, value: Tensor) -> Tensor:
        """The share itself."""
        return value + self.like

    @property
    def mean(self) -> Tensor:
        """1/2."""
        return self.like + 0.5

    @property
    def variance(self) -> Tensor:
        """1/12."""
        return self.like + 1 / 12


class Kumaraswamy(Distribution):
    """The Kumaraswamy distribution on [0, 1]: P(X ≤ x) = 1 − (1 − xᵃ)ᵇ.

    Like the Beta it bends up, down, or to both ends, and its draws are an elementary function of uniform noise.

    Parameters
    ----------
    a, b : Tensor
        Positive exponents.

    References
    ----------
    Kumaraswamy, "A generalized probability density function for double-bounded random processes" (1980).

    Examples
    --------
    >>> p = Kumaraswamy(torch.tensor(2.0), torch.tensor(1.0))      # density 2 x
    >>> round(p.log_prob(torch.tensor(0.25)).item(), 4), round(p.mean.item(), 4)
    (-0.6931, 0.6667)
    """

    arg_constraints = {"a": constraints.positive, "b": constraints.positive}  # noqa: RUF012
    support = constraints.unit_interval

    def __init__(self, a: Tensor, b: Tensor, validate_args: bool | None = None) -> None:
        self.a, self.b = broadcast_all(a, b)
        super().__init__(self.a.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density, formed in float64; −inf outside, and at the ends it may be ±inf."""
        inside = (value >= 0) & (value <= 1)
        log_x = torch.where(inside, value, 0.5).double().log()
        a, b = self.a.double(), self.b.double()
        log_density = a.log() + b.log() + (a - 1) * log_x + (b - 1) * torch.log(-torch.expm1(a * log_x))
        return torch.where(inside, log_density, -math.inf).to(self.a.dtype)

    @property
    def mean(self) -> Tensor:
        """b · B(1 + 1/a, b)."""
        return self._power(1)

    @property
    def variance(self) -> Tensor:
        """From the first two moments."""
        return (self._power(2) - self._power(1).square()).clamp_min(0.0)

    def _power(self, k: int) -> Tensor:
        a, b = self.a.double(), self.b.double()
        logs = torch.lgamma(1 + k / a) + torch.lgamma(b) - torch.lgamma(1 + k / a + b)
        return (b.log() + logs).exp().to(self.a.dtype)


@draw.register
def _(distribution: Kumaraswamy, noise: Tensor) -> Draw:
    a, b = distribution.a.double(), distribution.b.double()
    log_x = torch.log(-torch.expm1(log_ndtr(-noise.double()) / b)) / a
    least = torch.finfo(noise.dtype)
    value = log_x.exp().to(noise.dtype).clamp(least.tiny, 1 - least.eps / 2)
    return value, partial(distribution.log_prob, value)


declare(UnitUniform, "mean", "variance", "icdf", "draw", "stack")
declare(Kumaraswamy, "mean", "variance", "draw", "stack")


@register_kl(Kumaraswamy, UnitUniform)
def _(q: Kumaraswamy, p: UnitUniform) -> Tensor:
    a, b = q.a.double(), q.b.double()
    harmonic = torch.digamma(b + 1) + _EULER
    return (a.log() + b.log() - (1 - 1 / b) - (1 - 1 / a) * harmonic).to(q.a.dtype)


@register_kl(TruncatedNormal, UnitUniform)
def _(q: TruncatedNormal, p: UnitUniform) -> Tensor:
    loc, scale = q.loc.double(), q.scale.double()
    low, high = (q.low - loc) / scale, (q.high - loc) / scale
    log_inside, at_low, at_high = log_mass_and_densities(low, high)
    squares = 1 + low * at_low - high * at_high  # of (z − loc) / scale
    return (-scale.log() - _HALF_LOG_TAU - log_inside - squares / 2).to(q.loc.dtype)
