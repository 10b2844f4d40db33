"""What pixels leave to one another: the correlation of residuals by lag, and the variance of the total ink."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import InputError

from .arrays import Array, as_images, as_tensor
from .score import Score

__all__ = ["ResidualCorrelation", "residual_correlation", "total_ink"]

_IMAGES_AT_ONCE = 1_000
_CONSTANT = 1e-6


@dataclass(frozen=True)
class ResidualCorrelation:
    """Mean correlation of the residuals of two pixels, by their lag.

    by_lag, se: [2·lags + 1, 2·lags + 1], lag (dy, dx) at [lags + dy, lags + dx], so 1 in the middle; standard errors
    are over images. constant: [C, H, W], the pixels without residual variance, which are left out. n: images.
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


def residual_correlation(
    residuals: Array, *, lags: int = 5, image_shape: Sequence[int] | None = None
) -> ResidualCorrelation:
    """Correlation of residuals [n, *event] of images between pixels of a channel that lie (dy, dx) apart.

    Residuals are x − μ of data, before; after, they are x′ − μ of x′ simulated at the same μ, which show the
    correlation that a model gives them, or whitened residuals where whitening keeps pixels. Each pixel is
    standardised by its own mean and standard deviation over images; every pair of pixels counts alike. Raises
    InputError for what are no images, for lags that leave them, and where all or all but one pixel are constant.

    >>> white = torch.randn(2000, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> smooth = white + white.roll(1, 2)
    >>> residual_correlation(smooth, lags=2).by_lag[2].round(2).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    images = as_images(residuals, "residuals", image_shape)
    n, _, height, width = images.shape
    if not 1 <= lags < min(height, width) or n < 3:
        raise InputError(f"Lags up to {lags} need 3 images that are larger; got {n:,} of {height} × {width}.")
    centre, spread = images.double().mean(0), images.double().std(0, correction=0)
    alive = spread > _CONSTANT * float(spread.max())
    pairs = _by_lag(alive.double()[None], lags)[0]
    if float(pairs.min()) < 0.5:
        raise InputError("Too few pixels have residual variance for a correlation at every lag; ask for fewer lags.")
    sums = [
        _by_lag((part.double() - centre) / spread.where(alive, 1.0) * alive, lags)
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
    """Variance over images [n, *event] of the sum of their elements, in squared units of x.

    Where elements correlate, it differs from the sum of their variances; `variance_budget` splits that of a model.
    The standard error is by the fourth moment. Raises InputError for fewer than 4 images.

    >>> print(total_ink(np.array([[0.0, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 4.0]])))
    6.667 ± 2.6 (n = 4)
    """
    ink = as_tensor(x, "images").flatten(1).double().sum(1)
    n = len(ink)
    if n < 4:
        raise InputError(f"The variance of the total ink needs 4 images or more; got {n}.")
    variance, fourth = float(ink.var()), float((ink - ink.mean()).pow(4).mean())
    return Score(variance, math.sqrt(max(fourth - (n - 3) / (n - 1) * variance**2, 0.0) / n), n)
