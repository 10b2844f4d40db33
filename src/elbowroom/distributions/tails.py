"""Normal probabilities that are accurate far in both tails and over narrow intervals."""

import math

import torch
from torch import Tensor

__all__ = ["log_mass", "log_ndtr", "quantile_of_log"]

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
_SQRT_HALF = math.sqrt(0.5)
_ASYMPTOTIC_BELOW = -600.0  # where exp(y) nears the least float64


def log_ndtr(x: Tensor) -> Tensor:
    """log Φ(x), as torch.special.log_ndtr, for which vmap has no rule (PyTorch 2.13).

    Parameters
    ----------
    x : Tensor
        Any real numbers.

    Returns
    -------
    Tensor
        In nats, of the shape of x.

    Examples
    --------
    >>> log_ndtr(torch.tensor([-100.0, 0.0, 9.0], dtype=torch.float64)).tolist()
    [-5005.524..., -0.693..., -1.128...e-19]
    """
    low = x < -1
    y = torch.where(low, -x, 1.0)
    tail = torch.log(torch.special.erfcx(y * _SQRT_HALF) / 2) - 0.5 * y**2
    rest = torch.log1p(-torch.special.erfc(torch.where(low, 0.0, x) * _SQRT_HALF) / 2)
    return torch.where(low, tail, rest)


def log_mass(low: Tensor, high: Tensor) -> Tensor:
    """log P(low < N(0, 1) < high), accurate over narrow intervals and in the tails.

    Parameters
    ----------
    low : Tensor
        Finite lower bounds, in float64: over a narrow interval the two log-probabilities agree in most of their digits.
    high : Tensor
        Finite upper bounds, in float64, above `low`.

    Returns
    -------
    Tensor
        In nats, in float64.

    Examples
    --------
    >>> bounds = torch.tensor([40.0, 41.0], dtype=torch.float64)
    >>> round(log_mass(bounds[0], bounds[1]).item(), 3)
    -804.608
    """
    upper = low + high > 0  # mirrored there, so that every interval reaches further down than up
    low, high = torch.where(upper, -high, low), torch.where(upper, -low, high)
    across = high > 0
    below = torch.special.erfcx(-low * _SQRT_HALF)
    above = torch.special.erfcx(torch.where(across, high, -high) * _SQRT_HALF)
    edge = torch.where(across, 0.0, high)  # what the mass is relative to: exp(−edge² / 2) may underflow
    below = below * torch.exp(-0.5 * (low - edge) * (low + edge))
    inside = torch.where(across, 1 - 0.5 * (above * torch.exp(-0.5 * high**2) + below), 0.5 * (above - below))
    return inside.log() - 0.5 * edge**2


def quantile_of_log(y: Tensor) -> Tensor:
    """The x with log Φ(x) = y, with its gradient.

    Parameters
    ----------
    y : Tensor
        Log-probabilities below 0, in nats, in float64.

    Returns
    -------
    Tensor
        In float64, of the shape of y.

    Examples
    --------
    >>> y = log_ndtr(torch.tensor([-1e4, -1.0, 3.0], dtype=torch.float64))
    >>> quantile_of_log(y)
    tensor([-1.0000e+04, -1.0000e+00,  3.0000e+00], dtype=torch.float64)
    """
    with torch.no_grad():
        near = torch.special.ndtri(y.clamp_min(_ASYMPTOTIC_BELOW).exp())
        t = (-2 * y).clamp_min(-2 * _ASYMPTOTIC_BELOW)
        far = -(t - torch.log(2 * math.pi * (t - torch.log(2 * math.pi * t)))).sqrt()
        x = torch.where(y > _ASYMPTOTIC_BELOW, near, far)
        for _ in range(2):  # Newton on log Φ, which is nearly a parabola there
            x = torch.where(y > _ASYMPTOTIC_BELOW, x, x - (log_ndtr(x) - y) * _slope(x))
        slope = _slope(x)
    return x + (y - y.detach()) * slope


def _slope(x: Tensor) -> Tensor:
    """dx / d log Φ(x)."""
    return torch.exp(log_ndtr(x) + 0.5 * x**2 + _HALF_LOG_TAU)
