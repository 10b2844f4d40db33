"""Normal probabilities that are accurate far in both tails and over narrow intervals."""

import math
from typing import Any

import torch
from torch import Tensor

from .elementwise import Elementwise

__all__ = ["log_mass", "log_mass_and_densities", "log_ndtr", "mass_and_densities", "quantile_of_log", "slopes"]

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
_SQRT_HALF = math.sqrt(0.5)
_DENSITY_AT_0 = 1 / math.sqrt(2 * math.pi)
_FAR = -30.0  # in standard deviations: beyond, erfc nears the least float64 and log-masses are formed by erfcx
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

    Notes
    -----
    Its gradient is the density at the bounds of the normal given that it lies between them, which the value comes with;
    it can be differentiated again.

    Examples
    --------
    >>> bounds = torch.tensor([40.0, 41.0], dtype=torch.float64)
    >>> round(log_mass(bounds[0], bounds[1]).item(), 3)
    -804.608
    """
    if torch.is_grad_enabled():
        return log_mass_and_densities(low, high)[0]
    inside, edge = _mass_and_edge(*torch.broadcast_tensors(low, high))
    return inside.log_() if edge is None else inside.log_().sub_(edge.square_().div_(2))


def log_mass_and_densities(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`log_mass`, and the densities at both bounds of the normal given that it lies between them, with gradients.

    Parameters
    ----------
    low, high : Tensor
        As of `log_mass`.

    Returns
    -------
    tuple of Tensor
        In nats; per unit of the bounds, at `low` and at `high`.

    Examples
    --------
    >>> bounds = torch.tensor([-1e-6, 1e-6], dtype=torch.float64)
    >>> [round(x.item(), 3) for x in log_mass_and_densities(bounds[0], bounds[1])]      # uniform over 2e-6
    [-14.041, 500000.0, 500000.0]
    """
    found: tuple[Tensor, Tensor, Tensor] = _LogMass.apply(*torch.broadcast_tensors(low, high))
    return found


class _LogMass(Elementwise):
    """log_mass, and the densities at both bounds given that the normal lies between them: its slopes but for a sign."""

    @staticmethod
    def forward(low: Tensor, high: Tensor) -> tuple[Tensor, ...]:
        """Value and densities."""
        return tuple(mass_and_densities(low, high))

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *of_densities: Tensor | None) -> tuple[Any, Any]:
        """Of the value, and, where it is differentiated twice, of the densities."""
        low, high, _, at_low, at_high = ctx.saved_tensors
        return slopes(low, high, at_low, at_high, grad, *of_densities)


def mass_and_densities(low: Tensor, high: Tensor) -> list[Tensor]:
    """log_mass, and the densities at both bounds of the normal given that it lies between them; without gradient.

    Parameters
    ----------
    low, high : Tensor
        As of `log_mass`.

    Returns
    -------
    list of Tensor
        In nats; per unit of the bounds, at `low` and at `high`.
    """
    inside, edge = _mass_and_edge(low, high)
    inside_log = inside.log()
    if edge is None:
        return [inside_log, *(x.square().mul_(-0.5).sub_(inside_log).exp_().mul_(_DENSITY_AT_0) for x in (low, high))]
    at = (torch.exp((edge - x.abs()) * (edge + x.abs()) / 2 - inside_log) * _DENSITY_AT_0 for x in (low, high))
    return [inside_log - edge.square() / 2, *at]


def slopes(
    low: Tensor,
    high: Tensor,
    at_low: Tensor,
    at_high: Tensor,
    grad: Tensor | None,
    of_low: Tensor | None = None,
    of_high: Tensor | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients with respect to both bounds, from those with respect to what `mass_and_densities` returns.

    Parameters
    ----------
    low, high, at_low, at_high : Tensor
        The bounds, and the densities there.
    grad, of_low, of_high : Tensor or None
        Of the log-mass, and of the two densities, which only a second derivative asks for.

    Returns
    -------
    tuple of (Tensor or None)
        To the lower and to the upper bound.
    """
    to_low = None if grad is None else -grad * at_low
    to_high = None if grad is None else grad * at_high
    if of_low is not None:
        to_low, to_high = _sum(to_low, of_low * at_low * (at_low - low)), _sum(to_high, -of_low * at_low * at_high)
    if of_high is not None:
        to_low = _sum(to_low, of_high * at_low * at_high)
        to_high = _sum(to_high, -of_high * at_high * (at_high + high))
    return to_low, to_high


def _mass_and_edge(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor | None]:
    """A mass relative to exp(−edge² / 2), and the edge: 0 but in the far tail, None for none."""
    # Mirrored where it reaches further up than down: its lower tail is then never the greater.
    low, high = torch.minimum(low, -high), torch.minimum(high, -low)
    inside = torch.special.erfc(high * -_SQRT_HALF).sub_(torch.special.erfc(low * -_SQRT_HALF)).mul_(0.5)
    far = high < _FAR
    if not bool(far.any()):
        return inside, None
    low, high = low[far], high[far]
    below = torch.special.erfcx(low * -_SQRT_HALF) * torch.exp((high - low) * (high + low) / 2)
    inside[far] = (torch.special.erfcx(high * -_SQRT_HALF) - below) / 2
    return inside, torch.zeros_like(inside).masked_scatter_(far, -high)


def _sum(one: Tensor | None, other: Tensor) -> Tensor:
    return other if one is None else one + other


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
