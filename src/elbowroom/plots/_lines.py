"""Lines over one axis: an estimate against its cost, a bound against a setting or the number of draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from elbowroom.numerics import InputError, rounded

from .style import BAND, canvas, describe, interval, key, label_colour

_LOOKS = {"line": "o-", "dashed": "--", "points": "o"}


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
    series: Sequence[Series],
    *,
    across: str,
    up: str,
    log_x: bool = False,
    limits: tuple[float, float] | None = None,
    band: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
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
    points = np.concatenate([one.points for one in series], axis=1)
    if not points.size:
        raise InputError(f"The figure of {up} against {across} has no finite point to draw.")
    if log_x and points[0].min() <= 0:
        raise InputError(f"{across} has a logarithmic axis, on which x must be positive.")
    said = []
    with canvas(ax, 340, log="x" * log_x) as ax:
        if log_x and points[0].max() < 1000 * points[0].min():
            ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        if band:
            ax.axhspan(*band, color=BAND, linewidth=1.5, zorder=0)
        for number, one in enumerate(series):
            (x, y, half), colour = one.points, label_colour(number)
            ax.vlines(x, y - half, y + half, color=colour, linewidth=1.5)
            ax.plot(x, y, _LOOKS[one.look], color=colour, linewidth=2, markersize=7, label=one.name)
            said.append(f"{one.name}: " + ", ".join(f"{rounded(b, 2)} at {a:g}" for a, b in zip(x, y, strict=True)))
        ax.set_ylim(limits)
        key(ax, ax.get_lines(), lift=24)
        describe(ax, f"{up} against {across}. {'; '.join(said)}.", across, up)
    return ax


def iwae_curve(curve: Any, *, ax: Axes | None = None) -> Axes:
    """The IWAE bound on log p(x) against the number of draws, with 95 % intervals from draws alone.

    All numbers of draws see the same examples, so what examples add to the error moves the whole curve up or down.

    Parameters
    ----------
    curve : IwaeCurve
        What `er.evidence.iwae_curve` returns.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    References
    ----------
    Y. Burda et al., "Importance Weighted Autoencoders" (2016).
    """
    means, errors = [e.mean for e in curve.estimates], [e.se_mc for e in curve.estimates]
    bound, e = Series("IWAE, mean over examples", list(map(float, curve.draws)), means, errors), curve.estimates[0]
    return lines([bound], across="draws", up=f"bound on {e.quantity}, {e.unit} per example", log_x=True, ax=ax)
