"""What Gaussians with correlated elements share: a linear map of noise, its inverse, and a log-determinant."""

import math
from typing import ClassVar

import torch
from torch import Generator, Size, Tensor
from torch.distributions import Distribution, constraints

from elbowroom.numerics import InputError

from ._draw import Draw, draw, simulate
from .capabilities import Capability, capabilities

__all__ = ["CorrelatedNormal"]

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


class CorrelatedNormal(Distribution):
    """Base of Gaussians N(mean, Σ) with correlated elements.

    A subclass defines Σ by `correlated` (noise to a value), `whitened` (its inverse) and `log_determinant`.

    Parameters
    ----------
    mean : Tensor
        [*batch, *event] or what broadcasts to it.
    batch_shape : Size
        Shape of a batch.
    event_shape : Size
        Shape of one x.
    noise_shape : Size
        Shape of the standard normals that one draw takes.
    validate_args : bool or None, default None
        Whether to check values, and at construction that Σ is positive definite; None as torch's default says.

    Attributes
    ----------
    way_out : str
        What to do where Σ is not positive definite in the arithmetic at hand; it ends the sentence of the InputError,
        which `simulate` raises too, but not `log_prob`.

    Raises
    ------
    InputError
        With validate_args, where Σ is not positive definite in this arithmetic.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_rsample = True
    way_out = "raise the floor of the scale, or compute in float64"

    def __init__(
        self, mean: Tensor, batch_shape: Size, event_shape: Size, noise_shape: Size, validate_args: bool | None = None
    ) -> None:
        super().__init__(batch_shape, event_shape, validate_args=validate_args)
        self.loc, self.noise_shape = mean, noise_shape
        if self._validate_args:
            self.check()

    def log_determinant(self) -> Tensor:
        """log |Σ|, [*batch] or what broadcasts to it."""
        raise NotImplementedError

    def whitened(self, residual: Tensor) -> Tensor:
        """Numbers [*batch, m] whose squares sum to rᵀ Σ⁻¹ r, for r [*batch, *event]."""
        raise NotImplementedError

    def correlated(self, noise: Tensor) -> Tensor:
        """The zero-mean value [*batch, *event] that standard normals [*batch, *noise_shape] become; linear in them."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise InputError where Σ is not positive definite in this arithmetic."""
        if not bool(torch.isfinite(self.log_determinant()).all()):
            kind = str(self.loc.dtype).removeprefix("torch.")
            raise InputError(f"A {type(self).__name__} is not positive definite in {kind}: {self.way_out}.")

    @property
    def support(self) -> constraints.Constraint:
        """The real numbers, over the whole event."""
        return constraints.independent(constraints.real, len(self.event_shape))

    @property
    def mean(self) -> Tensor:
        """The mean, [*batch, *event]."""
        return self.loc.expand(self.batch_shape + self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density, [*batch], in nats."""
        if self._validate_args:
            self._validate_sample(value)
        squares = self.whitened(value - self.loc).square().sum(-1)
        return -0.5 * (squares + self.log_determinant()) - self.event_shape.numel() * _HALF_LOG_TAU

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Values [*sample, *batch, *event] from torch's own generator."""
        shape = Size(sample_shape) + self.batch_shape + self.noise_shape
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + self.correlated(noise)


@draw.register
def _(distribution: CorrelatedNormal, noise: Tensor) -> Draw:
    value = distribution.loc + distribution.correlated(noise)
    return value, lambda: distribution.log_prob(value)


@simulate.register
def _(distribution: CorrelatedNormal, generator: Generator) -> Tensor:
    distribution.check()
    shape = distribution.batch_shape + distribution.noise_shape
    with torch.no_grad():
        noise = torch.randn(shape, generator=generator, device=generator.device, dtype=distribution.loc.dtype)
        value = distribution.loc + distribution.correlated(noise)
    if not bool(torch.isfinite(value).all()):
        raise InputError(f"A sample of a {type(distribution).__name__} is not finite: {distribution.way_out}.")
    return value


@capabilities.register
def _(distribution: CorrelatedNormal) -> frozenset[Capability]:
    return frozenset({"mean", "variance", "draw", "stack", "marginal"})
