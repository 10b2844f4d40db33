"""What pixels leave to one another: the correlation of residuals by lag, and the variance of the total ink."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import InputError, own_modes, plain_arguments

from .arrays import Array, as_images, as_tensor
from .score import Score

__all__ = ["ResidualCorrelation", "residual_correlation", "total_ink"]

_IMAGES_AT_ONCE = 1_000
_CONSTANT = 1e-6


@dataclass(frozen=True)
class ResidualCorrelation:
    """Mean correlation of the residuals of two pixels, by their lag.

    Parameters
    ----------
    by_lag : array
        [2·lags + 1, 2·lags + 1], lag (dy, dx) at [lags + dy, lags + dx], so 1 in the middle.
    se : array
        Standard errors over images, of the same shape.
    constant : array
        [C, H, W], the pixels without residual variance, which are left out.
    n : int
        Images.
    """

    by_lag: NDArray[np.float64]
    se: NDArray[np.float64]
    constant: NDArray[np.bool_]
    n: int

    @property
    def adjacent(self) -> float:
        """Mean correlation of pixels side by side or one above the other."""
        middle = len(self.by_lag) // 2
        return float((self.by_lag[middle, middle + 1] + self.by_lag[middle + 1, middle]) / 2)

    def __str__(self) -> str:
        lags = len(self.by_lag) // 2
        across = ", ".join(f"{value:.3f}" for value in self.by_lag[lags, lags + 1 :])
        left_out = f"; {self.constant.sum():,} constant pixels left out" if self.constant.any() else ""
        return f"residual correlation at lags 1 … {lags} across: {across} (n = {self.n:,}{left_out})"


@own_modes
@plain_arguments
def residual_correlation(
    residuals: Array, *, lags: int = 5, image_shape: Sequence[int] | None = None
) -> ResidualCorrelation:
    """Correlation of the residuals of images between pixels of a channel that lie (dy, dx) apart.

    Each pixel is standardised by its own mean and standard deviation over images; every pair of pixels counts alike.

    Parameters
    ----------
    residuals : array or Tensor
        [n, *event]: x − μ(z) of data, which show what the model leaves; x′ − μ(z) of x′ drawn at the same z, which show
        the correlation that the model gives them; or whitened residuals, where whitening keeps pixels.
    lags : int, default 5
        Greatest lag, in pixels.
    image_shape : sequence of int, optional
        (H, W) or (C, H, W), where images are given as rows.

    Returns
    -------
    ResidualCorrelation
        By lag, with standard errors.

    Raises
    ------
    InputError
        For what are no images, for lags that leave them, and where too few pixels vary.

    Examples
    --------
    >>> white = torch.randn(2000, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> smooth = white + white.roll(1, 2)
    >>> residual_correlation(smooth, lags=2).by_lag[2].round(2).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    images = as_images(residuals, "residuals", image_shape)
    n, _, height, width = images.shape
    if not 1 <= lags < min(height, width) or n < 3:
        raise InputError(f"Lags up to {lags} need 3 images that are larger; got {n:,} of {height} × {width}.")
    centre, deviation = images.double().mean(0), images.double().std(0, correction=0)
    alive = deviation > _CONSTANT * float(deviation.max())
    pairs = _by_lag(alive.double()[None], lags)[0]
    if float(pairs.min()) < 0.5:
        raise InputError("Too few pixels have residual variance for a correlation at every lag; ask for fewer lags.")
    sums = [
        _by_lag((part.double() - centre) / deviation.where(alive, 1.0) * alive, lags)
        for part in images.split(_IMAGES_AT_ONCE)
    ]
    maps = torch.cat(sums) / pairs.round()
    correlation = maps.mean(0)
    # Its own variance an image brings to lag 0; that each correlation is a ratio to it takes this much off the error.
    influence = maps - correlation * maps[:, lags, lags, None, None]
    return ResidualCorrelation(
        by_lag=correlation.numpy(),
        se=(influence.std(0) / math.sqrt(n)).numpy(),
        constant=(~alive).numpy(),
        n=n,
    )


def _by_lag(images: Tensor, lags: int) -> Tensor:
    """Sums over the pixels of products with the pixel (dy, dx) further, [n, 2·lags + 1, 2·lags + 1]; zero outside."""
    size = [side + lags for side in images.shape[2:]]
    power = torch.fft.rfft2(images, s=size).abs().square().sum(1)
    sums = torch.fft.irfft2(power, s=size)
    steps = torch.arange(-lags, lags + 1)
    return sums[:, steps % size[0]][:, :, steps % size[1]]


def total_ink(x: Array) -> Score:
    """Variance over images of the sum of their elements.

    Where elements correlate it differs from the sum of their variances; `variance_budget` splits that of a model.

    Parameters
    ----------
    x : array or Tensor
        [n, *event], n ≥ 4.

    Returns
    -------
    Score
        In squared units of x, with a standard error by the fourth moment.

    Raises
    ------
    InputError
        For fewer than 4 images.

    Examples
    --------
    >>> print(total_ink(np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])))
    6.667 ± 2.6 (n = 4)
    """
    ink = as_tensor(x, "images").flatten(1).double().sum(1)
    n = len(ink)
    if n < 4:
        raise InputError(f"The variance of the total ink needs 4 images or more; got {n}.")
    variance, fourth = float(ink.var()), float((ink - ink.mean()).pow(4).mean())
    return Score(variance, math.sqrt(max(fourth - (n - 3) / (n - 1) * variance**2, 0.0) / n), n)
