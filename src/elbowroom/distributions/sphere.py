"""The uniform and the von Mises–Fisher distribution on the unit sphere."""

import math
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.kl import register_kl

from ._draw import Draw, draw
from .capabilities import declare
from .elementwise import Elementwise

__all__ = ["UniformSphere", "VonMisesFisher", "log_area"]

_PANELS, _REACH = 20, 12.0  # of the quadrature: panels, and standard deviations to either side of the mode
_NODES, _WEIGHTS = (torch.tensor(t) for t in np.polynomial.legendre.leggauss(10))
_NEWTON = 6
_LEAST = 1e-300


class _Sphere(constraints.Constraint):
    """Vectors of length 1."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        return (value.norm(dim=-1) - 1).abs() < 1e-3

    def __repr__(self) -> str:
        return "the unit sphere"


_SPHERE = _Sphere()


def log_area(d: int) -> float:
    """Log of the area of the unit sphere in d dimensions.

    Parameters
    ----------
    d : int
        Dimensions of the space around it, 1 or more; the sphere in 1 is two points.

    Returns
    -------
    float
        log 2 + (d / 2) log π − log Γ(d / 2).

    Examples
    --------
    >>> round(math.exp(log_area(3)) / math.pi, 6)
    4.0
    """
    return math.log(2) + d / 2 * math.log(math.pi) - math.lgamma(d / 2)


class UniformSphere(Distribution):
    """The uniform distribution on the unit sphere in d dimensions.

    Parameters
    ----------
    like : Tensor
        A tensor [*batch, d] of the floating type and device of a draw; its values do not matter.

    Examples
    --------
    >>> UniformSphere(torch.zeros(2)).log_prob(torch.tensor([1.0, 0.0])).exp()      # 1 / 2π
    tensor(0.1592)
    """

    arg_constraints = {}  # noqa: RUF012
    support = _SPHERE

    def __init__(self, like: Tensor) -> None:
        self.like = torch.zeros_like(like)
        super().__init__(like.shape[:-1], like.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "UniformSphere":
        """The same over a larger batch."""
        return UniformSphere(self.like.expand(*batch_shape, *self.event_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Minus the log of the area."""
        return (0 * value + self.like).sum(-1) - log_area(self.event_shape[0])

    @property
    def mean(self) -> Tensor:
        """0."""
        return self.like

    @property
    def variance(self) -> Tensor:
        """1 / d."""
        return self.like + 1 / self.event_shape[0]


@draw.register
def _(distribution: UniformSphere, noise: Tensor) -> Draw:
    value = torch.nn.functional.normalize(noise + distribution.like, dim=-1)
    return value, partial(distribution.log_prob, value)


class VonMisesFisher(Distribution):
    """The von Mises–Fisher distribution on the unit sphere in d ≥ 2 dimensions: density ∝ exp(κ μ·z).

    Parameters
    ----------
    loc : Tensor
        Mean directions μ of length 1, [*batch, d].
    concentration : Tensor
        κ, 0 or more, [*batch].

    Notes
    -----
    z·μ is the cosine of an angle whose distribution function is inverted by quadrature, in float64: no draw is
    rejected, so that a number of noise is a draw, and the gradient is that of the draw alone. Ulrich's sampler rejects,
    and its gradient needs a correction. The normaliser comes from the same quadrature in place of Bessel functions.

    References
    ----------
    Ulrich, "Computer generation of distributions on the m-sphere" (1984).
    Wood, "Simulation of the von Mises–Fisher distribution" (1994).
    Davidson, Falorsi, De Cao, Kipf & Tomczak, "Hyperspherical variational auto-encoders" (2018).

    Examples
    --------
    >>> q = VonMisesFisher(torch.tensor([0.0, 0.0, 1.0]), torch.tensor(2.0))
    >>> round(q.mean[2].item(), 4)      # coth κ − 1 / κ
    0.5373
    """

    arg_constraints = {"loc": constraints.real_vector, "concentration": constraints.positive}  # noqa: RUF012
    support = _SPHERE

    def __init__(self, loc: Tensor, concentration: Tensor, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = loc, concentration
        batch = torch.broadcast_shapes(loc.shape[:-1], concentration.shape)
        super().__init__(batch, loc.shape[-1:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density on the sphere; κ (μ·z − 1) is −κ |z − μ|² / 2, without cancellation."""
        kappa, log_mass, _, _ = self._moments()
        away = (value - self.loc).double().square().sum(-1) / 2
        return (-kappa * away - log_mass - log_area(self.event_shape[0] - 1)).to(self.loc.dtype)

    @property
    def mean(self) -> Tensor:
        """μ times the mean of the cosine."""
        return self.loc * self._moments()[2].to(self.loc.dtype).unsqueeze(-1)

    @property
    def variance(self) -> Tensor:
        """Of each element."""
        _, _, mean, variance = self._moments()
        across = (1 - mean.square() - variance) / (self.event_shape[0] - 1)
        along = self.loc.double().square()
        return (variance.unsqueeze(-1) * along + across.unsqueeze(-1) * (1 - along)).to(self.loc.dtype)

    def _moments(self) -> tuple[Tensor, ...]:
        """κ in float64; log ∫ exp(κ (cos θ − 1)) sinᵈ⁻² θ dθ; mean and variance of cos θ."""
        kappa = self.concentration.double()
        return (kappa, *_Moments.apply(kappa, self.event_shape[0]))


class _Moments(Elementwise):
    """Log-mass of the angle's density, and mean and variance of its cosine; the variance passes no gradient on."""

    @staticmethod
    def forward(kappa: Tensor, d: int) -> tuple[Tensor, ...]:
        """Of float64."""
        away, each = _panels(*_edges(kappa, d), kappa, d)
        mass = each.sum((-1, -2))
        mean = (each * away).sum((-1, -2)) / mass
        spread = (each * (away - mean[..., None, None]).square()).sum((-1, -2)) / mass
        return mass.log() + _peak(kappa, d), 1 - mean, spread

    @staticmethod
    def backward(ctx: Any, of_log: Tensor | None, of_mean: Tensor | None, _: Tensor | None) -> tuple[Any, ...]:
        """The log-mass grows by the mean of cos θ − 1, the mean by the variance."""
        _, _, mean, variance = ctx.saved_tensors
        parts = [] if of_log is None else [of_log * (mean - 1)]
        parts += [] if of_mean is None else [of_mean * variance]
        return (sum(parts) if parts else None), None


class _Angle(Elementwise):
    """The angle from μ below which the share Φ(noise) lies, and its slope in κ."""

    @staticmethod
    def forward(noise: Tensor, kappa: Tensor, d: int) -> tuple[Tensor, ...]:
        """Of float64; the slope is −∂F/∂κ over the density, by the integral of (mean cos − cos) times the density."""
        alike = kappa.dim() > 1 and kappa.stride(-2) == 0  # all draws of an example share a κ, and so a table
        table = kappa[..., :1, :] if alike else kappa
        low, width = _edges(table, d)
        away, each = _panels(low, width, table, d)
        panels = each.sum(-1)
        mass = panels.sum(-1)
        mean = (each * away).sum((-1, -2)) / mass
        drifts = (each * (mean[..., None, None] - away)).sum(-1)
        ends = panels.cumsum(-1)
        share = torch.special.ndtr(noise)
        wanted = share * mass
        which = (wanted.unsqueeze(-1) > ends[..., :-1]).sum(-1, keepdim=True)
        before, part, drifted = (
            values.expand(*which.shape[:-1], -1).take_along_dim(which, -1).squeeze(-1)
            for values in (ends - panels, panels, drifts.cumsum(-1) - drifts)
        )
        start = low + which.squeeze(-1) * width
        theta = start + width * _first_guess((wanted - before) / part, which.squeeze(-1), low, d)
        for _ in range(_NEWTON):
            missing = wanted - before - _panel(start, theta - start, kappa, d)[1].sum(-1)
            step = missing / _density(theta, kappa, d).clamp_min(_LEAST)
            theta = torch.minimum(torch.maximum(theta + step, start), start + width)
        away, each = _panel(start, theta - start, kappa, d)
        drifted = drifted + (each * (mean.unsqueeze(-1) - away)).sum(-1)
        return theta, -drifted / _density(theta, kappa, d).clamp_min(_LEAST)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple[Any, ...]:
        """To κ; noise takes none."""
        _, _, _, slope = ctx.saved_tensors
        return None, (None if grad is None else grad * slope), None


def _first_guess(share: Tensor, which: Tensor, low: Tensor, d: int) -> Tensor:
    """Where in its panel a share of its mass lies, nearly: at the poles mass grows as a power of the angle."""
    share = share.clamp(0.0, 1.0)
    from_pole, to_pole = share ** (1 / (d - 1)), 1 - (1 - share) ** (1 / (d - 1))
    share = torch.where((which == 0) & (low == 0), from_pole, share)
    return torch.where(which == _PANELS - 1, to_pole, share)


def _mode(kappa: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """The angle where exp(κ cos θ) sinᵈ⁻² θ is largest, and the curvature of its log there."""
    m = d - 2
    cosine = 2 * kappa / (m + (m**2 + 4 * kappa.square()).sqrt()).clamp_min(_LEAST)
    square = (1 - cosine.square()).clamp_min(_LEAST)
    return torch.acos(cosine.clamp(max=1.0)), kappa * cosine + m / square


def _edges(kappa: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """Where the first panel begins, and the width of each: all that is within a reach of the mode."""
    mode, curvature = _mode(kappa, d)
    reach = _REACH / curvature.sqrt().clamp_min(_LEAST)
    low = (mode - reach).clamp_min(0.0)
    return low, ((mode + reach).clamp_max(math.pi) - low) / _PANELS


def _panels(low: Tensor, width: Tensor, kappa: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """1 − cos θ and weighted densities at the nodes of all panels, [..., panels, nodes]."""
    starts = low.unsqueeze(-1) + width.unsqueeze(-1) * torch.arange(_PANELS, device=low.device)
    return _panel(starts, width.unsqueeze(-1), kappa.unsqueeze(-1), d)


def _panel(low: Tensor, width: Tensor, kappa: Tensor, d: int) -> tuple[Tensor, Tensor]:
    """1 − cos θ and weighted densities at the nodes of one panel, [..., nodes]."""
    nodes, weights = _NODES.to(low.device), _WEIGHTS.to(low.device)
    theta = low.unsqueeze(-1) + width.unsqueeze(-1) * (1 + nodes) / 2
    return 2 * torch.sin(theta / 2).square(), _density(theta, kappa.unsqueeze(-1), d) * weights * width.unsqueeze(
        -1
    ) / 2


def _log_density(theta: Tensor, kappa: Tensor, d: int) -> Tensor:
    return -2 * kappa * torch.sin(theta / 2).square() + torch.special.xlogy(torch.full_like(theta, d - 2), theta.sin())


def _density(theta: Tensor, kappa: Tensor, d: int) -> Tensor:
    """Of the angle, relative to its peak."""
    return (_log_density(theta, kappa, d) - _peak(kappa, d)).exp()


def _peak(kappa: Tensor, d: int) -> Tensor:
    return _log_density(_mode(kappa, d)[0], kappa, d)


@draw.register
def _(distribution: VonMisesFisher, noise: Tensor) -> Draw:
    loc, kappa = distribution.loc, distribution.concentration
    first, kappa = torch.broadcast_tensors(noise[..., 0].double(), kappa.double())
    theta = _Angle.apply(first, kappa, distribution.event_shape[0])[0]
    tangent = torch.nn.functional.normalize(noise[..., 1:], dim=-1) * theta.sin().to(noise.dtype).unsqueeze(-1)
    sign = torch.where(loc[..., :1] < 0, -1.0, 1.0)  # the reflection takes e₁ to −sign μ, and is never near 0
    flat = torch.cat([-sign * theta.cos().to(noise.dtype).unsqueeze(-1), tangent], -1)
    mirror = torch.cat([loc[..., :1] + sign, loc[..., 1:]], -1)
    along = (mirror * flat).sum(-1, keepdim=True) / mirror.square().sum(-1, keepdim=True)
    value = flat - 2 * along * mirror
    return value, partial(distribution.log_prob, value)


declare(UniformSphere, "mean", "variance", "draw", "stack")
declare(VonMisesFisher, "mean", "variance", "draw", "stack")


@register_kl(VonMisesFisher, UniformSphere)
def _(q: VonMisesFisher, p: UniformSphere) -> Tensor:
    d = q.event_shape[0]
    kappa, log_mass, mean, _ = q._moments()
    return (kappa * (mean - 1) - log_mass - log_area(d - 1) + log_area(d)).to(q.loc.dtype)
