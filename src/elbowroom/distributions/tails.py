"""Normal probabilities that hold far in both tails and over narrow intervals."""

import math

import torch
from torch import Tensor

__all__ = ["log_mass", "quantile_of_log"]

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
_ASYMPTOTIC_BELOW = -600.0  # where exp(y) nears the least float64


def log_mass(low: Tensor, high: Tensor) -> Tensor:
    """log P(low < N(0, 1) < high) in nats, for finite float64 bounds low < high.

    Float64 is part of the method: over a narrow interval the two log-probabilities agree in most of their digits.

    >>> bounds = torch.tensor([40.0, 41.0], dtype=torch.float64)
    >>> round(log_mass(bounds[0], bounds[1]).item(), 3)
    -804.608
    """
    upper = low + high > 0  # mirrored, the interval lies where log Φ tells its ends apart
    low, high = torch.where(upper, -high, low), torch.where(upper, -low, high)
    below = torch.special.log_ndtr(high)
    return below + _log_one_minus_exp(torch.special.log_ndtr(low) - below)


def _log_one_minus_exp(y: Tensor) -> Tensor:
    """log(1 − exp(y)) for y < 0 (Mächler, "Accurately computing log(1 − exp(−|a|))", 2012)."""
    y = y.clamp_max(-torch.finfo(y.dtype).tiny)
    near = y > -math.log(2.0)
    return torch.where(
        near,
        torch.log(-torch.expm1(torch.where(near, y, -1.0))),
        torch.log1p(-torch.exp(torch.where(near, -1.0, y))),
    )


def quantile_of_log(y: Tensor) -> Tensor:
    """The x with log Φ(x) = y, for float64 y < 0, with its gradient.

    >>> y = torch.special.log_ndtr(torch.tensor([-1e4, -1.0, 3.0], dtype=torch.float64))
    >>> quantile_of_log(y)
    tensor([-1.0000e+04, -1.0000e+00,  3.0000e+00], dtype=torch.float64)
    """
    with torch.no_grad():
        near = torch.special.ndtri(y.clamp_min(_ASYMPTOTIC_BELOW).exp())
        t = (-2 * y).clamp_min(-2 * _ASYMPTOTIC_BELOW)
        far = -(t - torch.log(2 * math.pi * (t - torch.log(2 * math.pi * t)))).sqrt()
        x = torch.where(y > _ASYMPTOTIC_BELOW, near, far)
        for _ in range(2):  # Newton on log Φ, which is nearly a parabola out there
            x = torch.where(y > _ASYMPTOTIC_BELOW, x, x - (torch.special.log_ndtr(x) - y) * _slope(x))
        slope = _slope(x)
    return x + (y - y.detach()) * slope


def _slope(x: Tensor) -> Tensor:
    """dx / d log Φ(x)."""
    return torch.exp(torch.special.log_ndtr(x) + 0.5 * x**2 + _HALF_LOG_TAU)
