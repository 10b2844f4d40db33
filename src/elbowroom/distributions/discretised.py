"""Probabilities of the levels 0 … levels − 1 of a grid."""

import torch
from torch import Generator, Tensor
from torch.distributions import Categorical, Distribution, constraints
from torch.distributions.utils import broadcast_all
from torch.nn.functional import logsigmoid

from elbowroom.numerics import plain_arguments

from ._draw import simulate
from .capabilities import declare
from .tails import log_mass, log_ndtr

__all__ = ["DiscretisedLogistic", "DiscretisedNormal", "Levels"]

_BEYOND = 40.0


class _Discretised(Distribution):
    """A continuous location–scale family rounded to 0 … levels − 1; the first and last level take the tails."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # noqa: RUF012

    def __init__(self, loc: Tensor, scale: Tensor, levels: int) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        self.levels = levels
        super().__init__(self.loc.shape, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """The levels."""
        return constraints.integer_interval(0, self.levels - 1)

    def cdf(self, value: Tensor) -> Tensor:
        """P(X ≤ value)."""
        level = value.floor()
        inner = self._below((level + 0.5 - self.loc) / self.scale)
        return torch.where(level < 0, 0.0, torch.where(level >= self.levels - 1, 1.0, inner))

    @property
    def mean(self) -> Tensor:
        """Σ P(X ≥ k) over k ≥ 1."""
        return sum((self._at_least(k) for k in range(1, self.levels)), torch.zeros_like(self.loc))

    @property
    def variance(self) -> Tensor:
        """Variance, summed about the level nearest to the location: no large squares are subtracted."""
        centre = self.loc.detach().round().clamp(0, self.levels - 1)
        first = second = torch.zeros_like(self.loc)
        for k in range(1, self.levels):
            # E(X − c) and E(X − c)², by their increments at every level crossed upwards or downwards.
            step = k - centre
            share = torch.where(step > 0, self._at_least(k), -self._less_than(k))
            first = first + share
            second = second + share * (2 * step - 1)
        return second - first**2

    def _at_least(self, k: int) -> Tensor:
        return self._below((self.loc - k + 0.5) / self.scale)

    def _less_than(self, k: int) -> Tensor:
        return self._below((k - 0.5 - self.loc) / self.scale)

    def _below(self, z: Tensor) -> Tensor:
        """The standard family's distribution function; it is symmetric."""
        raise NotImplementedError

    def _standard(self, noise: Tensor) -> Tensor:
        """A value of the standard family from standard-normal noise."""
        raise NotImplementedError

    def _edges(self, value: Tensor) -> tuple[Tensor, Tensor]:
        return value < 0.5, value > self.levels - 1.5


@plain_arguments
class DiscretisedNormal(_Discretised):
    """A normal rounded to the grid 0 … levels − 1; the first and last level take the tails.

    Formed in float64.

    Parameters
    ----------
    loc : Tensor
        Location, in levels.
    scale : Tensor
        Standard deviation before rounding, in levels, broadcast with `loc`.
    levels : int
        Number of levels.

    Examples
    --------
    >>> p = DiscretisedNormal(torch.tensor(3.0), torch.tensor(0.5), 8)
    >>> round(p.log_prob(torch.tensor(3.0)).exp().item(), 4), round(p.log_prob(torch.tensor(7.0)).item(), 2)
    (0.6827, -27.38)
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of a level, nats."""
        first, last = self._edges(value)
        loc, scale, level = self.loc.double(), self.scale.double(), value.double()
        low, high = (level - 0.5 - loc) / scale, (level + 0.5 - loc) / scale
        # An end so far beyond the other that its tail is 0 in float64 stands for an infinite one.
        far = torch.where(first, high, low).detach().abs() + _BEYOND
        return log_mass(torch.where(first, -far, low), torch.where(last, far, high)).to(self.loc.dtype)

    def _below(self, z: Tensor) -> Tensor:
        return torch.special.ndtr(z)

    def _standard(self, noise: Tensor) -> Tensor:
        return noise


@plain_arguments
class DiscretisedLogistic(_Discretised):
    """A logistic rounded to the grid 0 … levels − 1; the first and last level take the tails.

    Parameters
    ----------
    loc : Tensor
        Location, in levels.
    scale : Tensor
        Scale before rounding, in levels, broadcast with `loc`; the standard deviation is π / √3 of it.
    levels : int
        Number of levels.

    Notes
    -----
    With σ the sigmoid, σ(b) − σ(a) = σ(b) σ(−a) (1 − exp(a − b)): no nearly equal numbers are subtracted.

    References
    ----------
    Kingma et al., "Improved variational inference with inverse autoregressive flow" (2016).

    Examples
    --------
    >>> p = DiscretisedLogistic(torch.tensor(3.0), torch.tensor(0.5), 8)
    >>> sum(p.log_prob(torch.tensor(float(k))).exp().item() for k in range(8))
    1.0...
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of a level, nats."""
        first, last = self._edges(value)
        low, high = (value - 0.5 - self.loc) / self.scale, (value + 0.5 - self.loc) / self.scale
        width = torch.log(-torch.expm1(-1 / self.scale))
        below = torch.where(last, 0.0, logsigmoid(high))
        above = torch.where(first, 0.0, logsigmoid(-low))
        return below + above + torch.where(first | last, 0.0, width)

    def _below(self, z: Tensor) -> Tensor:
        return torch.sigmoid(z)

    def _standard(self, noise: Tensor) -> Tensor:
        return log_ndtr(noise) - log_ndtr(-noise)


class Levels(Categorical):
    """A categorical whose classes are the numbers 0 … levels − 1, so that it has a mean.

    Parameters
    ----------
    logits : Tensor
        [*batch, levels].

    Examples
    --------
    >>> Levels(torch.zeros(5)).mean
    tensor(2.)
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Mean."""
        return self.probs @ self._numbers()

    @property
    def variance(self) -> Tensor:
        """Variance."""
        return (self.probs * (self._numbers() - self.mean.unsqueeze(-1)) ** 2).sum(-1)

    def _numbers(self) -> Tensor:
        return torch.arange(self.logits.shape[-1], dtype=self.logits.dtype, device=self.logits.device)


@simulate.register
def _(distribution: _Discretised, generator: Generator) -> Tensor:
    loc, scale = distribution.loc.detach(), distribution.scale.detach()
    noise = torch.randn(loc.shape, generator=generator, device=generator.device, dtype=loc.dtype)
    return (loc + scale * distribution._standard(noise)).round().clamp(0, distribution.levels - 1)


declare(_Discretised, "mean", "variance", "cdf", "stack")
declare(Levels, "mean", "variance", "enumerate", "stack")
