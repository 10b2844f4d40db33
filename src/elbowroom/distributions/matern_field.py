"""Stationary Gaussian fields on the pixel grid, diagonal under the cosine transform."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Size, Tensor

from elbowroom.numerics import InputError, plain_arguments

from .correlated_normal import CorrelatedNormal

__all__ = ["MaternField", "likeliest_field"]

_FOLDS = 1  # aliases of a frequency on either side, of infinitely many: the rest is 1 % of the least mode


@plain_arguments
class MaternField(CorrelatedNormal):
    """An image as mean + scale ⊙ f, with f a Matérn field of variance 1 that has a white part.

    Parameters
    ----------
    mean : Tensor
        [*batch, C, H, W].
    scale : Tensor
        Standard deviations; broadcasts to `mean`, so each pixel may have its own.
    length : Tensor
        Length scale in pixels, [] or [*batch].
    nugget : Tensor
        Share of f's variance that is white, [] or [*batch].
    image_shape : sequence of int
        (C, H, W).
    order : {1, 2}, default 1
        The smoothness ν.
    mixing : Tensor or None, default None
        Lower triangular [C, C] with rows of norm 1: the channels are `mixing` times C independent fields. None: they
        are independent.
    flat : bool, default False
        Whether events are [C·H·W] instead of [C, H, W].
    validate_args : bool or None, default None
        Whether to check values, and at construction that Σ is positive definite; None as torch's default says.

    Raises
    ------
    InputError
        For another order, or an image shape that is not (C, H, W).

    Notes
    -----
    The field solves (κ² − Δ)^{(ν+1)/2} u = white noise on the image's rectangle with reflecting (Neumann) edges, κ =
    √(2ν) / length, and is evaluated at the pixels' centres. So its covariance is diagonal under the cosine transform
    and, away from the edges, the Matérn covariance of Rasmussen & Williams and scikit-learn's kernel: correlation 0.44
    (ν = 1) or 0.51 (ν = 2) at `length` pixels. The mean over the grid of f's variance is exactly 1. Log-density and
    draws are exact: one transform of the image each, computed by two matrix products, which at the usual sides are
    faster than a fast transform.

    References
    ----------
    Lindgren, Rue & Lindström, "An explicit link between Gaussian fields and Gaussian Markov random fields: the
    stochastic partial differential equation approach" (2011).

    Examples
    --------
    >>> one = torch.tensor(1.0)
    >>> p = MaternField(torch.zeros(1, 8, 8), one, length=2 * one, nugget=0.1 * one, image_shape=(1, 8, 8))
    >>> round(p.variance.mean().item(), 4)
    1.0
    """

    way_out = "raise the floor of the scale or of the white share (nugget), or shorten the length"

    def __init__(
        self,
        mean: Tensor,
        scale: Tensor,
        length: Tensor,
        nugget: Tensor,
        image_shape: Sequence[int],
        order: int = 1,
        mixing: Tensor | None = None,
        flat: bool = False,
        validate_args: bool | None = None,
    ) -> None:
        image = Size(image_shape)
        if len(image) != 3 or order not in (1, 2):
            raise InputError(
                f"A MaternField is over images (C, H, W), of order 1 or 2; got {tuple(image)}, order {order}."
            )
        self.image_shape, self.mixing, self.length, self.nugget = image, mixing, length, nugget
        event = Size([image.numel()]) if flat else image
        self.scale = scale.expand(torch.broadcast_shapes(scale.shape, event))
        batch = torch.broadcast_shapes(
            mean.shape[: mean.dim() - len(event)], self.scale.shape[: self.scale.dim() - len(event)], length.shape
        )
        self.spectrum = _spectrum(length, nugget, image, order)
        self._across, self._down = (_basis(side, like=mean) for side in (image[2], image[1]))
        super().__init__(mean, batch, event, event, validate_args)

    def log_determinant(self) -> Tensor:
        """log |Σ|, [*batch] or what broadcasts to it."""
        channels, pixels = self.image_shape[0], math.prod(self.image_shape[1:])
        scales = self.scale.log().flatten(-len(self.event_shape)).sum(-1)
        total = 2 * scales + channels * self.spectrum.log().flatten(-2).sum(-1)
        if self.mixing is not None:
            total = total + 2 * pixels * self.mixing.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return total

    def whitened(self, residual: Tensor) -> Tensor:
        """The image's cosine coefficients, channels unmixed, each in standard deviations."""
        image = self._as_image(residual / self.scale)
        if self.mixing is not None:
            apart = torch.linalg.solve_triangular(self.mixing, torch.eye(*self.mixing.shape).to(image), upper=False)
            image = _mix(apart, image)
        coefficients = self._down @ image @ self._across.mT
        return (coefficients * self._amplitude.reciprocal()).flatten(-3)

    def correlated(self, noise: Tensor) -> Tensor:
        """scale ⊙ mixing · (the field whose cosine coefficients are the noise, each times its amplitude)."""
        image = self._down.mT @ (self._as_image(noise) * self._amplitude) @ self._across
        if self.mixing is not None:
            image = _mix(self.mixing, image)
        return self._as_event(image) * self.scale

    @property
    def variance(self) -> Tensor:
        """Marginal variances, [*batch, *event]: somewhat larger at the edges than inside."""
        field = self._down.square().mT @ self.spectrum @ self._across.square()
        field = self._as_event(field.unsqueeze(-3).expand(*field.shape[:-2], *self.image_shape))
        return (self.scale.square() * field).expand(self.batch_shape + self.event_shape)

    @property
    def _amplitude(self) -> Tensor:
        return self.spectrum.sqrt().unsqueeze(-3)

    def _as_image(self, value: Tensor) -> Tensor:
        return value.unflatten(-1, self.image_shape) if len(self.event_shape) == 1 else value

    def _as_event(self, image: Tensor) -> Tensor:
        return image.flatten(-3) if len(self.event_shape) == 1 else image


def likeliest_field(images: Tensor, lengths: Tensor, nuggets: Tensor, order: int = 1) -> tuple[float, float]:
    """The length and white share under which residuals are likeliest, of those on a grid.

    Each element is first divided by its root mean square. A field's log-density depends on the images only through the
    mean squares of their cosine coefficients, so the images are transformed once.

    Parameters
    ----------
    images : Tensor
        Residuals, [n, C, H, W].
    lengths : Tensor
        Candidate length scales in pixels.
    nuggets : Tensor
        Candidate white shares.
    order : {1, 2}, default 1
        The smoothness ν.

    Returns
    -------
    length : float
        In pixels.
    nugget : float
        The white share.
    """
    images = images / images.square().mean(0).sqrt().clamp_min(torch.finfo(images.dtype).tiny)
    across, down = (_basis(side, like=images) for side in (images.shape[-1], images.shape[-2]))
    power = (down @ images @ across.mT).square().mean((0, 1))
    spectra = _spectrum(lengths[:, None], nuggets[None], Size(images.shape[1:]), order)
    loss = (spectra.log() + power / spectra).sum((-2, -1))
    length, nugget = divmod(int(loss.argmin()), len(nuggets))
    return lengths[length].item(), nuggets[nugget].item()


def _basis(side: int, like: Tensor) -> Tensor:
    """The orthonormal cosine transform (DCT-II) of `side` values as a matrix [frequency, place]."""
    return torch.from_numpy(_cosine_basis(side)).to(like)


@lru_cache(maxsize=16)
def _cosine_basis(side: int) -> np.ndarray:
    frequency, place = np.arange(side)[:, None], np.arange(side)[None]
    basis = np.sqrt(2 / side) * np.cos(np.pi * frequency * (2 * place + 1) / (2 * side))
    basis[0] = math.sqrt(1 / side)
    return basis


@lru_cache(maxsize=16)
def _frequencies(height: int, width: int) -> np.ndarray:
    """Squared frequencies [fold, H, W] of the continuous cosine modes that agree at the pixels' centres."""
    down, across = (
        (np.pi / side * (np.arange(side) + 2 * side * np.arange(-_FOLDS, _FOLDS + 1)[:, None])) ** 2
        for side in (height, width)
    )
    return (down[:, None, :, None] + across[None, :, None, :]).reshape(-1, height, width)


def _spectrum(length: Tensor, nugget: Tensor, image: Size, order: int) -> Tensor:
    """Variances [*batch, H, W] of f's cosine coefficients; their mean is 1."""
    kappa_squared = (2 * order / length.square())[..., None, None, None]
    frequencies = torch.from_numpy(_frequencies(*image[1:])).to(length)
    # Relative to the greatest, at frequency 0: neither end of the range of lengths then leaves float32.
    power = ((1 + frequencies / kappa_squared) ** -(order + 1)).sum(-3)
    smooth = power / power.mean((-2, -1), keepdim=True)
    white = nugget[..., None, None]
    return (1 - white) * smooth + white


def _mix(matrix: Tensor, image: Tensor) -> Tensor:
    """Channels of [..., C, H, W] times a matrix [C, C]."""
    return (matrix @ image.flatten(-2)).unflatten(-1, image.shape[-2:])
