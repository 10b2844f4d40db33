"""A grid of images."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from elbowroom.numerics import count

from .pictures import grey_range, tiled, to_bytes
from .style import canvas

__all__ = ["images"]


def images(
    x: ArrayLike,
    *,
    image_shape: Sequence[int],
    across: int = 8,
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Images side by side in rows: samples, reconstructions, data.

    Parameters
    ----------
    x : array [n, *event]
        Values of n images, flat or not, as `VAE.sample` returns them.
    image_shape : sequence of int
        (H, W) or (C, H, W) with one or three channels.
    across : int, default 8
        Images in a row.
    limits : (float, float), default None
        What is drawn black and white; None: 0 and 1 where the values lie there, else their range.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

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
    pictures = to_bytes(x, image_shape, limits or grey_range(x, None))
    gap = max(1, round(pictures.shape[2] / 14))
    grid = tiled([pictures[start : start + across] for start in range(0, len(pictures), across)], gap)
    tall, wide, channels = grid.shape
    with canvas(ax, 540 * tall / wide, grid="none") as ax:
        ax.imshow(grid if channels == 4 else grid[..., [0, 0, 0, 1]], interpolation="nearest")
        ax.set_axis_off()
        ax.set_label(f"{count(len(pictures), 'image')}, {across} in a row.")
    return ax
