"""Posterior predictive checks: statistics of held-out rows against those of replicates, a panel for each."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from elbowroom.numerics import InputError, count

from .style import ACCENT, INK, SOFT, Sheet, canvas, describe, new_figure, outside


def predictive_checks(panels: Mapping[str, ArrayLike], *, figure: Figure | None = None) -> NDArray[Any]:
    """Statistics of the data across, those of replicates up with their 5 to 95 % intervals, and the line of equality.

    Parameters
    ----------
    panels : mapping of str to array [n, 4]
        What the panel shows → for each gene or cell the value in the data, and the 5, 50 and 95 % quantiles of its
        replicates. Where all values of a panel are above 0 and span a factor of 30 its scales are logarithmic.
    figure : Figure, default None
        Where to draw; None: a new figure.

    Returns
    -------
    array of Axes
        One for each panel.

    Raises
    ------
    InputError
        For no panels, or arrays of another shape or without a finite row.

    Examples
    --------
    >>> axes = predictive_checks({"share of zeros": [[0.5, 0.4, 0.5, 0.6], [0.9, 0.5, 0.6, 0.7]]})
    >>> axes[0].get_title("left")
    'share of zeros'
    """
    arrays = {name: _finite(name, values) for name, values in panels.items()}
    if not arrays:
        raise InputError("There is no statistic to draw: give a panel or more.")
    figure = new_figure() if figure is None else figure
    narrow = figure.bbox.width / figure.dpi < 6.5
    across = min(2 if narrow else 3, len(arrays))
    down = -(-len(arrays) // across)
    if isinstance(figure, Sheet):
        figure.set_figheight((230 if narrow else 250) * down / 72)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for ax in grid[len(arrays) :]:
        ax.remove()
    for ax, (name, values) in zip(grid, arrays.items(), strict=False):
        _panel(ax, name, values)
    return np.asarray(grid[: len(arrays)])


def _finite(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 4:
        raise InputError(f"The panel {name!r} needs an array [n, 4]: value, 5, 50 and 95 % quantiles.")
    array = array[np.isfinite(array).all(1)]
    if not len(array):
        raise InputError(f"The panel {name!r} has no finite row, so there is nothing to draw.")
    return array


def _panel(ax: Any, name: str, values: NDArray[np.float64]) -> None:
    seen, low, middle, high = values.T
    inside = (seen >= low) & (seen <= high)
    logarithmic = values.min() > 0 and values.max() > 30 * values.min()
    with canvas(ax, grid="xy", log="xy" if logarithmic else "") as ax:
        ends = values.min(), values.max()
        ax.plot(ends, ends, color=SOFT, lw=1, ls=(0, (3, 3)))
        for chosen, colour in ((inside, INK), (~inside, ACCENT)):
            ax.vlines(seen[chosen], low[chosen], high[chosen], colors=colour, linewidth=1.2, alpha=0.55)
            ax.plot(seen[chosen], middle[chosen], "o", color=colour, markersize=3, markeredgewidth=0)
        about = f"{name}: {count(int(inside.sum()))} of {len(values):,} inside the 5 to 95 % interval of replicates."
        describe(ax, about, "held-out data")
        ax.set_title(name, loc="left", fontsize=12, weight="bold", color=outside(ax, INK))
