"""Lines over one axis: an estimate against its cost, a bound against a setting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from elbowroom.numerics import InputError, rounded

from .style import BAND, canvas, describe, interval, key, label_colour

_LOOKS: dict[str, dict[str, Any]] = {
    "line": {"marker": "o", "markersize": 7},
    "dashed": {"linestyle": (0, (4, 2))},
    "points": {"marker": "o", "markersize": 7, "linestyle": "none"},
}


@dataclass(frozen=True)
class Series:
    """One line of `lines`: y over x; what is not finite is left out.

    Parameters
    ----------
    name : str
        What the key calls it.
    x, y : sequence of float
        Its points.
    error : sequence of float, default None
        Standard errors of y, drawn as 95 % intervals; None, or NaN for a point: unknown.
    look : {"line", "dashed", "points"}, default "line"
        A line with dots, a dashed one without, or dots alone.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None
    look: Literal["line", "dashed", "points"] = "line"

    @property
    def points(self) -> NDArray[np.float64]:
        """x, y and half the interval of what can be drawn, [3, n]."""
        half = [0.0] * len(self.x) if self.error is None else [interval(error) for error in self.error]
        points = np.array([self.x, self.y, half], dtype=np.float64)
        return points[:, np.isfinite(points).all(0)]


def lines(
    series: Sequence[Series], *, across: str, up: str, log_x: bool = False, limits: tuple[float, float] | None = None,
    band: tuple[float, float] | None = None, ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Every series over the same axes, with 95 % intervals and a key above.

    Parameters
    ----------
    series : sequence of Series
        What is drawn.
    across, up : str
        Names of the axes.
    log_x : bool, default False
        Whether the axis of x, which must be positive then, is logarithmic.
    limits : (float, float), default None
        Of y, outside which lines are cut; None: what all intervals need.
    band : (float, float), default None
        An interval of y shaded behind all.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        Where nothing can be drawn.

    Examples
    --------
    >>> ax = lines([Series("IWAE", [1, 10, 100], [-90.0, -88.0, -87.0])], across="draws", up="nats", log_x=True)
    >>> ax.get_xscale()
    'log'
    """
    drawn = [one.points for one in series]
    if not sum(points.shape[1] for points in drawn):
        raise InputError(f"The figure of {up} against {across} has no finite point to draw.")
    if log_x and min(points[0].min() for points in drawn if points.size) <= 0:
        raise InputError(f"{across} has a logarithmic axis, on which x must be positive.")
    with canvas(ax, 340, log="x" * log_x) as ax:
        handles, ends = [], np.concatenate([points[0] for points in drawn])
        if log_x and ends.max() < 1000 * ends.min():
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        if band:
            ax.axhspan(*band, color=BAND, linewidth=1.5, zorder=0)
        for number, (one, (x, y, half)) in enumerate(zip(series, drawn, strict=True)):
            colour = label_colour(number)
            ax.vlines(x, y - half, y + half, color=colour, linewidth=1.5)
            handles += ax.plot(x, y, color=colour, linewidth=2, label=one.name, **_LOOKS[one.look])
        ax.set_ylim(limits)
        key(ax, handles, lift=24)
        pairs = (", ".join(f"{rounded(b, 2)} at {a:g}" for a, b in points[:2].T) for points in drawn)
        said = "; ".join(f"{one.name}: {words}" for one, words in zip(series, pairs, strict=True))
        describe(ax, f"{up} against {across}. {said}.", across, up)
    return ax
