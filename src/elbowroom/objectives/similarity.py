"""The multi-scale structural similarity of images."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from elbowroom.numerics import InputError

__all__ = ["dissimilarity"]

_WINDOW, _SIGMA = 11, 1.5
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, from the finest; those that fit are used
_STABLE = (0.01**2, 0.03**2)  # of luminance and contrast, for grey levels from 0 to 1


def dissimilarity(x: Tensor, decoded: Tensor) -> Tensor:
    """1 − the multi-scale structural similarity of two batches of images [n, channels, height, width] in [0, 1]: [n].

    The scales are those on which a window of 11 × 11 fits, five at most, their weights made to add to 1; each halves
    the one before. With one scale it is 1 − SSIM. A negative contrast counts as 0, as a power of it would be none.
    """
    if x.dim() != 4 or min(x.shape[-2:]) < _WINDOW:
        raise InputError(
            f"distance='ms-ssim' compares images of {_WINDOW} × {_WINDOW} pixels or more, [channels, height, width]; "
            f"this x has event {tuple(x.shape[1:])}: take 'squared' or 'absolute', or give the data their image shape."
        )
    scales = [s for s in range(len(_WEIGHTS)) if min(x.shape[-2:]) >> s >= _WINDOW]
    weights = [_WEIGHTS[s] / sum(_WEIGHTS[: len(scales)]) for s in scales]
    product = torch.ones_like(x[:, 0, 0, 0])
    for scale, weight in zip(scales, weights, strict=True):
        luminance, contrast = _compared(x, decoded)
        if scale == scales[-1]:
            contrast = luminance * contrast
        product = product * contrast.mean((1, 2, 3)).clamp(min=1e-6) ** weight
        x, decoded = avg_pool2d(x, 2), avg_pool2d(decoded, 2)
    return 1 - product


def _compared(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance and contrast-and-structure at every place where the window fits, for every channel."""
    mean_x, mean_y, square_x, square_y, across = _local_means(torch.stack([x, y, x * x, y * y, x * y]))
    covariance = across - mean_x * mean_y
    spread = square_x - mean_x.square() + square_y - mean_y.square()
    luminance = (2 * mean_x * mean_y + _STABLE[0]) / (mean_x.square() + mean_y.square() + _STABLE[0])
    return luminance, (2 * covariance + _STABLE[1]) / (spread + _STABLE[1])


def _local_means(images: Tensor) -> Tensor:
    """Weighted means by a Gaussian window, [..., height, width] less the window's edges."""
    away = torch.arange(_WINDOW, dtype=images.dtype, device=images.device) - _WINDOW // 2
    window = torch.exp(-0.5 * (away / _SIGMA).square())
    window = window / window.sum()
    flat = images.flatten(0, -3).unsqueeze(1)
    flat = conv2d(conv2d(flat, window.view(1, 1, -1, 1)), window.view(1, 1, 1, -1))
    return flat.view(*images.shape[:-2], *flat.shape[-2:])
