"""Planar and radial maps that are invertible whatever their numbers are, with their inverses."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Transform, constraints
from torch.nn.functional import softplus

__all__ = ["PlanarTransform", "RadialTransform"]

_HALVINGS = 60  # of the interval in which a planar map's inverse lies
_LEAST = 1e-3  # least α of a radial map
_STEEPEST = -1.0  # the least w · u at which z + u tanh(w · z + b) is invertible


class _Vector(Transform):
    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = Transform.__hash__

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The value and the log-determinant at x."""
        y = self._call(x)
        return y, self.log_abs_det_jacobian(x, y)


class PlanarTransform(_Vector):
    """z + u tanh(w · z + b), with u turned so that w · u > −1: the map is then invertible.

    Parameters
    ----------
    numbers : Tensor
        [..., 2 d + 1]: u, w and b.
    d : int
        Dimensions.

    References
    ----------
    Rezende & Mohamed, "Variational inference with normalizing flows" (2015), appendix A.1.

    Examples
    --------
    >>> planar = PlanarTransform(torch.tensor([-3.0, 1.0, 0.2]), 1)      # w · u = −3 is turned to more than −1
    >>> z = torch.tensor([0.7])
    >>> torch.allclose(planar.inv(planar(z)), z, atol=1e-5)
    True
    """

    def __init__(self, numbers: Tensor, d: int) -> None:
        super().__init__()
        u, self.w, self.b = numbers.split([d, d, 1], -1)
        along = (self.w * u).sum(-1, keepdim=True)
        self.slope = _STEEPEST + softplus(along)  # w · u after turning
        self.u = u + (self.slope - along) * self.w / self.w.square().sum(-1, keepdim=True).clamp(min=1e-12)

    @staticmethod
    def numbers(d: int) -> int:
        """How many numbers a map of d dimensions has."""
        return 2 * d + 1

    @staticmethod
    def identity(d: int) -> Tensor:
        """Numbers of a map that changes nothing, [2 d + 1], along a random direction: w · u is 0 after turning."""
        w = torch.randn(d) / math.sqrt(d)
        return torch.cat([_softplus_inverse(-_STEEPEST) * w / w.square().sum().clamp(min=1e-12), w, torch.zeros(1)])

    def _call(self, x: Tensor) -> Tensor:
        return x + self.u * torch.tanh(self._along(x) + self.b)

    def _inverse(self, y: Tensor) -> Tensor:
        reached = self._along(y)
        with torch.no_grad():
            low, high = reached - self.slope.abs(), reached + self.slope.abs()
            for _ in range(_HALVINGS):
                middle = (low + high) / 2
                above = middle + self.slope * torch.tanh(middle + self.b) > reached
                low, high = torch.where(above, low, middle), torch.where(above, middle, high)
            found = (low + high) / 2
        t = torch.tanh(found + self.b)  # one Newton step from the root carries the gradient
        along = found - (found + self.slope * t - reached) / (1 + self.slope * (1 - t.square())).detach()
        return y - self.u * torch.tanh(along + self.b)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log(1 + w · u (1 − tanh²)), [...]."""
        t = torch.tanh(self._along(x) + self.b)
        return torch.log1p(self.slope * (1 - t.square())).squeeze(-1)

    def _along(self, x: Tensor) -> Tensor:
        return (self.w * x).sum(-1, keepdim=True)


class RadialTransform(_Vector):
    """z + β (z − c) / (α + |z − c|), with α > 0 and β > −α: the map is then invertible.

    Parameters
    ----------
    numbers : Tensor
        [..., d + 2]: the centre c, and raw numbers of α and β.
    d : int
        Dimensions.

    References
    ----------
    Rezende & Mohamed, "Variational inference with normalizing flows" (2015), appendix A.2.

    Examples
    --------
    >>> radial = RadialTransform(torch.tensor([0.5, -0.5, 0.1, -4.0]), 2)
    >>> z = torch.tensor([1.0, 2.0])
    >>> torch.allclose(radial.inv(radial(z)), z, atol=1e-5)
    True
    """

    def __init__(self, numbers: Tensor, d: int) -> None:
        super().__init__()
        self.centre, alpha, beta = numbers.split([d, 1, 1], -1)
        self.alpha = softplus(alpha) + _LEAST
        self.beta = -self.alpha + softplus(beta)
        self.d = d

    @staticmethod
    def numbers(d: int) -> int:
        """How many numbers a map of d dimensions has."""
        return d + 2

    @staticmethod
    def identity(d: int) -> Tensor:
        """Numbers of a map that changes nothing, [d + 2], about a random centre: β is 0."""
        raw = torch.zeros(1)
        return torch.cat([torch.randn(d), raw, torch.full((1,), _softplus_inverse(math.log(2) + _LEAST))])

    def _call(self, x: Tensor) -> Tensor:
        away = x - self.centre
        return x + self.beta / (self.alpha + _length(away)) * away

    def _inverse(self, y: Tensor) -> Tensor:
        away = y - self.centre
        reached = _length(away)
        half = (self.alpha + self.beta - reached) / 2
        root = (half.square() + reached * self.alpha).sqrt()
        # r² + 2 half r − reached · α = 0, by the form of its root that does not subtract
        r = torch.where(half > 0, reached * self.alpha / (root + half.abs()), root - half)
        return self.centre + away / (1 + self.beta / (self.alpha + r))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """(d − 1) log(1 + β h) + log(1 + β α h²) with h = 1 / (α + r), [...]."""
        h = 1 / (self.alpha + _length(x - self.centre))
        across, along = torch.log1p(self.beta * h), torch.log1p(self.beta * self.alpha * h.square())
        return ((self.d - 1) * across + along).squeeze(-1)


def _softplus_inverse(value: float) -> float:
    return math.log(math.expm1(value))


def _length(away: Tensor) -> Any:
    """|away|, with a gradient at 0."""
    return (away.square().sum(-1, keepdim=True) + 1e-24).sqrt()
