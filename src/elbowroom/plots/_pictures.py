"""Pictures: a grid of images onto an Axes or as a PNG in a data address, and residuals by their lag."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from numpy.typing import ArrayLike, NDArray

from elbowroom.numerics import InputError, count

from .style import ACCENT, INK, canvas, describe, outside


def images(x: ArrayLike, *, image_shape: Sequence[int], across: int = 8, ax: Axes | None = None) -> Axes:
    """Images side by side in rows: samples, reconstructions, data.

    Black and white are 0 and 1 where the finite values lie there, else their range. A pixel that is not finite is teal,
    and the words beside the picture count them.

    Parameters
    ----------
    x : array [n, *event]
        Values of n images, flat or not, as `VAE.sample` returns them.
    image_shape : sequence of int
        (H, W) or (C, H, W); channels that are neither one nor three stand side by side, in grey.
    across : int, default 8
        Images in a row.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where the values are no images of that shape.

    Examples
    --------
    >>> ax = images(np.zeros((6, 4)), image_shape=(2, 2), across=3)
    >>> ax.images[0].get_array().shape
    (5, 8, 4)
    """
    pictures = to_bytes(x, image_shape, grey_range(x, None))
    lost = to_bytes(~np.isfinite(np.asarray(x, dtype=np.float64)), image_shape, (0.0, 1.0)).any(-1)
    if lost.any():
        pictures = np.broadcast_to(pictures, (*pictures.shape[:3], 3)).copy()
        pictures[lost] = np.round(255 * np.array(to_rgb(ACCENT)))
    rows = [pictures[first : first + across] for first in range(0, len(pictures), across)]
    grid = tiled(rows, max(1, round(pictures.shape[2] / 14)))
    with canvas(ax, 540 * grid.shape[0] / grid.shape[1], grid="") as ax:
        ax.imshow(grid if grid.shape[2] == 4 else grid[..., [0, 0, 0, 1]], interpolation="nearest")
        ax.set_axis_off()
        without = f"; {count(int(lost.sum()), 'pixel')} not finite, in teal" * bool(lost.any())
        describe(ax, f"{count(len(pictures), 'image')}, {across} in a row{without}.")
    return ax


def residual_correlation(found: Any, *, ax: Axes | None = None) -> Axes:
    """A heat map of the mean correlation of the residuals of two pixels by their lag, from −1, blue, to 1, red.

    Parameters
    ----------
    found : ResidualCorrelation
        What `er.metrics.residual_correlation` returns.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> found = SimpleNamespace(by_lag=np.array([[0.0, 0.1, 0.0], [0.2, 1.0, 0.2], [0.0, 0.1, 0.0]]), n=100)
    >>> residual_correlation(found).get_label()
    'Across, from lag 1: 0.200 (n = 100).'
    """
    lags = len(found.by_lag) // 2
    reach = (-lags - 0.5, lags + 0.5)
    with canvas(ax, 380, grid="") as ax:
        picture = ax.imshow(found.by_lag, cmap="RdBu_r", vmin=-1, vmax=1, extent=(*reach, *reach[::-1]))
        bar = ax.figure.colorbar(picture, ax=ax)
        bar.set_label("correlation", color=outside(ax, INK))
        bar.ax.tick_params(colors=outside(ax, INK))
        across = ", ".join(f"{value:.3f}" for value in found.by_lag[lags, lags + 1 :])
        describe(ax, f"Across, from lag 1: {across} (n = {found.n:,}).", "lag across, pixels", "lag down, pixels")
    return ax


def grey_range(x: ArrayLike, levels: int | None) -> tuple[float, float]:
    """Values that are drawn black and white: 0 … levels − 1 on a grid, [0, 1] where data lie there, else their range.

    Values that are not finite do not count.

    Parameters
    ----------
    x : array
        Values of images.
    levels : int or None
        Of the grid that the data lie on; None: they lie on none.

    Returns
    -------
    (float, float)
        Black and white.

    Examples
    --------
    >>> grey_range([0.0, 0.5], None), grey_range([-2.0, 4.0], None), grey_range([3.0], 17)
    ((0.0, 1.0), (-2.0, 4.0), (0.0, 16.0))
    """
    if levels:
        return 0.0, levels - 1.0
    values = np.asarray(x, dtype=np.float64)
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return low, high if high > low else low + 1.0


def to_bytes(x: ArrayLike, image_shape: Sequence[int], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Images of bytes, channels last; values outside `limits` are cut to them, NaN is 0.

    Parameters
    ----------
    x : array [n, *event]
        Values of n images, flat or not.
    image_shape : sequence of int
        (H, W) or (C, H, W); channels that are neither one nor three stand side by side, in grey.
    limits : (float, float)
        What becomes 0 and 255.

    Returns
    -------
    array of uint8 [n, H, W, 1 or 3]; [n, H, C · W, 1] of other channels
        0 is black, 255 white.

    Raises
    ------
    InputError
        Where the values are no images of that shape.

    Examples
    --------
    >>> to_bytes([[0.0, 8.0, 16.0, 20.0]], (2, 2), (0.0, 16.0)).ravel().tolist()
    [0, 128, 255, 255]
    """
    array, shape = np.asarray(x, dtype=np.float64), tuple(image_shape)
    channels, *size = shape if len(shape) == 3 else (1, *shape)
    if len(size) != 2 or array[:1].size not in (0, channels * math.prod(size)):
        raise InputError(f"Values of shape {array.shape[1:]} are no images of shape {shape}.")
    scaled = np.interp(np.nan_to_num(array, nan=-np.inf), limits, (0.0, 255.0))
    pictures = scaled.round().astype(np.uint8).reshape(len(array), channels, *size)
    if channels in (1, 3):
        return pictures.transpose(0, 2, 3, 1)
    return pictures.transpose(0, 2, 1, 3).reshape(len(array), size[0], channels * size[1], 1)


def tiled(rows: Sequence[NDArray[np.uint8]], gap: int) -> NDArray[np.uint8]:
    """One picture [height, width, 2 or 4] of rows of images [n, H, W, 1 or 3]; gaps of `gap` pixels are transparent."""
    most = max(map(len, rows))
    opaque = [np.concatenate([row, np.full_like(row[..., :1], 255)], -1) for row in rows]
    padded = np.stack([np.pad(row, ((0, most - len(row)), (0, gap), (0, gap), (0, 0))) for row in opaque])
    _, _, height, width, channels = padded.shape
    whole = padded.swapaxes(1, 2).reshape(len(rows) * height, most * width, channels)
    return whole[: len(whole) - gap, : most * width - gap]


def mosaic(rows: Sequence[NDArray[np.uint8]], gap: int) -> str:
    """Rows of images side by side as one PNG in a data address, at twice their size.

    Parameters
    ----------
    rows : sequence of array of uint8 [n, H, W, 1 or 3]
        As `to_bytes` makes them.
    gap : int
        Pixels between images, transparent, so that the picture stands on any background.

    Returns
    -------
    str
        "data:image/png;base64,…", for the `src` of an image.

    Examples
    --------
    >>> mosaic([np.zeros((3, 2, 2, 1), np.uint8)], gap=1)[:22]
    'data:image/png;base64,'
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(tiled(rows, gap).repeat(2, axis=0).repeat(2, axis=1)).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
