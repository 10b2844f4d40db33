"""Images as bytes, side by side in rows, and as PNG data addresses."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elbowroom.numerics import InputError

__all__ = ["grey_range", "mosaic", "tiled", "to_bytes"]

_TWICE = 2


def grey_range(x: ArrayLike, levels: int | None) -> tuple[float, float]:
    """Values drawn black and white: 0 … levels − 1 on a grid, [0, 1] where the data lie there, else their range."""
    if levels:
        return 0.0, levels - 1.0
    array = np.asarray(x)
    low, high = float(np.nanmin(array)), float(np.nanmax(array))
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high if high > low else low + 1.0


def to_bytes(x: ArrayLike, image_shape: Sequence[int], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Images [n, H, W, 1 or 3] of bytes from [n, *event]; values outside `limits` are cut to them.

    `image_shape`: [H, W] or [C, H, W] with one or three channels; raises InputError for anything else.
    """
    shape = tuple(image_shape)
    array = np.asarray(x, dtype=np.float64)
    channels, height, width = (1, *shape) if len(shape) == 2 else shape if len(shape) == 3 else (0, 0, 0)
    if channels not in (1, 3) or array[:1].size not in (0, channels * height * width):
        raise InputError(f"Values of shape {array.shape[1:]} are no images of shape {shape} with 1 or 3 channels.")
    pictures = array.reshape(len(array), channels, height, width).transpose(0, 2, 3, 1)
    low, high = limits
    scaled = np.nan_to_num((pictures - low) / (high - low), nan=0.0, posinf=1.0, neginf=0.0)
    return np.round(255 * np.clip(scaled, 0.0, 1.0)).astype(np.uint8)


def tiled(rows: Sequence[NDArray[np.uint8]], gap: int = 1) -> NDArray[np.uint8]:
    """One picture [height, width, 2 or 4] of rows of images [n, H, W, 1 or 3]; gaps of `gap` pixels are transparent."""
    count = max(len(row) for row in rows)
    _, height, width, channels = rows[0].shape
    canvas = np.zeros((len(rows) * (height + gap) - gap, count * (width + gap) - gap, channels + 1), np.uint8)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            y, x = r * (height + gap), c * (width + gap)
            canvas[y : y + height, x : x + width, :channels] = picture
            canvas[y : y + height, x : x + width, channels] = 255
    return canvas


def mosaic(rows: Sequence[NDArray[np.uint8]], gap: int = 1) -> str:
    """The tiled rows as one PNG in a data address, at twice their size."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(tiled(rows, gap).repeat(_TWICE, axis=0).repeat(_TWICE, axis=1)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
