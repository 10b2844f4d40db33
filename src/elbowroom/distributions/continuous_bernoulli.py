"""The continuous Bernoulli, in the form of an exponential family, which holds at every logit."""

import math
from functools import partial

import torch
from torch import Tensor
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli

from ._draw import Draw, draw
from .capabilities import declare
from .tails import log_ndtr

__all__ = ["ContinuousBernoulli"]

_SERIES_BELOW = 0.5
_LINEAR_BELOW = 1e-3


class ContinuousBernoulli(TorchContinuousBernoulli):
    """p(x) ∝ exp(logits · x) on [0, 1], of which torch's own form is wrong beyond |logits| = 16.

    torch clamps the probability to [ε, 1 − ε] in its normaliser but not in the rest: at a logit of 100 its density
    integrates to 0.16 in float32, and at one of 0.0041 it gives a variance of 0.25 for 0.083.
    Source: Loaiza-Ganem & Cunningham, "The continuous Bernoulli", 2019.

    >>> p = ContinuousBernoulli(logits=torch.tensor([0.0, 100.0]))
    >>> p.log_prob(torch.tensor([0.3, 1.0])).exp()
    tensor([  1.0000, 100.0000])
    >>> p.mean
    tensor([0.5000, 0.9900])
    """

    def __init__(self, logits: Tensor) -> None:
        super().__init__(logits=logits, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density, nats."""
        near, size, square = self._regions()
        small = torch.where(near, self.logits, 0.0)
        series = square * _polynomial(square, 1 / 24, -1 / 2880, 1 / 181440, -1 / 9676800, 1 / 479001600)
        centred = small * (value - 0.5) - series
        # The density is highest at one end; counted from there, no large numbers are subtracted.
        drop = torch.where(self.logits > 0, value - 1, value) * self.logits
        return torch.where(near, centred, drop + size.log() - torch.log(-torch.expm1(-size)))

    @property
    def mean(self) -> Tensor:
        """Mean."""
        near, size, square = self._regions()
        small = torch.where(near, self.logits, 0.0)
        series = 0.5 + small * _polynomial(square, 1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160)
        low = 1 / size + torch.exp(-size) / torch.expm1(-size)
        return torch.where(near, series, torch.where(self.logits > 0, 1 - low, low))

    @property
    def variance(self) -> Tensor:
        """Variance."""
        near, size, square = self._regions()
        series = _polynomial(square, 1 / 12, -1 / 240, 1 / 6048, -1 / 172800, 1 / 5322240)
        far = 1 / size**2 - torch.exp(-size) / torch.expm1(-size) ** 2
        return torch.where(near, series, far)

    def cdf(self, value: Tensor) -> Tensor:
        """P(X ≤ value)."""
        x, flat = value.clamp(0, 1), self.logits.abs() < _LINEAR_BELOW
        logits = torch.where(flat, self.logits, 0.0)
        series = x * (1 + (x - 1) * logits / 2 + logits**2 * (1 - x) * (1 - 2 * x) / 12)
        size = torch.where(flat, 1.0, self.logits.abs())
        share = torch.expm1(-size * x) / torch.expm1(-size)
        return torch.where(flat, series, torch.exp(-(1 - x) * self.logits.clamp_min(0)) * share)

    def icdf(self, value: Tensor) -> Tensor:
        """The value below which the given share lies."""
        tiny = torch.finfo(value.dtype).tiny
        return self._at(value.clamp_min(tiny).log(), torch.log1p(-value).clamp_min(math.log(tiny)))

    def _at(self, log_below: Tensor, log_above: Tensor) -> Tensor:
        """The value with these log-probabilities of lying below and above it."""
        up, flat = self.logits > 0, self.logits.abs() < _LINEAR_BELOW
        log_low, log_rest = torch.where(up, log_above, log_below), torch.where(up, log_below, log_above)
        size = torch.where(flat, 1.0, self.logits.abs())
        head = -torch.log1p(log_low.exp().clamp_max(0.5) * torch.expm1(-size)) / size
        tail = -torch.logaddexp(log_rest, log_low - size) / size
        steep = torch.where(log_low < -1.0, head, tail)
        logits, below = torch.where(flat, self.logits, 0.0), log_below.exp()
        gentle = below + logits * below * log_above.exp() / 2
        return torch.where(flat, gentle, torch.where(up, 1 - steep, steep)).clamp(0, 1)

    def _regions(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where the series serve, and |l| and l², each harmless where the other is used."""
        near = self.logits.abs() < _SERIES_BELOW
        square = torch.where(near, self.logits, 0.1) ** 2
        return near, torch.where(near, 1.0, self.logits.abs()), square


def _polynomial(x: Tensor, *coefficients: float) -> Tensor:
    total = torch.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total


@draw.register
def _(distribution: ContinuousBernoulli, noise: Tensor) -> Draw:
    value = distribution._at(log_ndtr(noise), log_ndtr(-noise))
    return value, partial(distribution.log_prob, value)


declare(ContinuousBernoulli, "mean", "variance", "cdf", "icdf", "draw", "stack")
