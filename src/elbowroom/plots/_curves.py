"""Curves: series over one axis, the bound against the number of draws, and what happened over epochs of training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from elbowroom.numerics import InputError, plain_arguments, rounded

from .style import (
    ACCENT,
    BAND,
    INK,
    KEY,
    SOFT,
    Sheet,
    canvas,
    describe,
    interval,
    key,
    label_colour,
    new_figure,
    outside,
)

_LOOKS = {"line": "o-", "dashed": "--", "points": "o"}
_PANELS = {"objective": "objective (minimised)", "rate": "rate (the KL)", "distortion": "distortion"}
_PARTS = {"train": ("training", SOFT, "--"), "validation": ("validation", ACCENT, "-")}


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


@plain_arguments
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
        With the figure on it.

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
        With the figure on it.

    References
    ----------
    Y. Burda et al., "Importance Weighted Autoencoders" (2016).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from elbowroom.numerics import Estimate
    >>> kind = {"quantity": "log p(x)", "estimator": "IWAE", "direction": "lower"}
    >>> curve = SimpleNamespace(draws=(1, 100), estimates=[Estimate.of([mean, mean], **kind) for mean in (-90, -88)])
    >>> iwae_curve(curve).get_title("left")
    'bound on log p(x), nats per example'
    """
    means, errors = [e.mean for e in curve.estimates], [e.se_mc for e in curve.estimates]
    bound, e = Series("IWAE, mean over examples", list(map(float, curve.draws)), means, errors), curve.estimates[0]
    return lines([bound], across="draws", up=f"bound on {e.quantity}, {e.unit} per example", log_x=True, ax=ax)


def learning_curves(history: Any, *, figure: Figure | None = None) -> NDArray[np.object_]:
    """Objective, rate and distortion over epochs in nats per example, training beside validation.

    A dashed line marks the epoch whose parameters were kept, if any. A line breaks at an epoch whose number is not
    finite. Grey: a number of the objective is still on its
    schedule. The first epochs may run out of a panel at the top, so that the rest can be read.

    Parameters
    ----------
    history : History
        What `er.fit` returns.
    figure : Figure, default None
        Where to draw; None: a new one. Panels stand side by side where it is wide, else one under another.

    Returns
    -------
    array of Axes, [3]
        Those of objective, rate and distortion.

    Raises
    ------
    InputError
        Where there is no epoch.

    Examples
    --------
    >>> from elbowroom.runs import History
    >>> numbers = {"objective": 90.0, "rate": 10.0, "distortion": 80.0}
    >>> history = History([{"epoch": 1, "train": numbers, "validation": numbers}], best_epoch=1)
    >>> [ax.get_title("left") for ax in learning_curves(history)]
    ['objective (minimised)', 'rate (the KL)', 'distortion']
    """
    if not history.rows:
        raise InputError("The history has no epoch, so there are no curves to draw.")
    figure = new_figure() if figure is None else figure
    narrow = figure.bbox.width / figure.dpi < 6.5
    if isinstance(figure, Sheet):
        figure.set_figheight((570 if narrow else 240) / 72)
    axes = figure.subplots(*(3, 1) if narrow else (1, 3))
    for ax, part in zip(axes, _PANELS, strict=True):
        _panel(ax, history, part, _scheduled(history.rows))
    handles, place = axes[0].get_legend_handles_labels()[0], {"loc": "outside upper left", "borderpad": 0.5}
    figure.legend(handles=handles, ncols=2 if narrow else 4, **KEY | place | {"labelcolor": outside(axes[0], INK)})
    axes[0].set_label(_said(history))
    return np.asarray(axes)


def _panel(ax: Axes, history: Any, part: str, warm: float | None) -> None:
    epochs = _column(history.rows, "epoch")
    values = np.array([_column(history.rows, part, of) for of in _PARTS])
    values[~np.isfinite(values)] = np.nan
    late = values[:, len(epochs) // 20 :]  # the first twentieth of the epochs alone may run out of the panel
    with canvas(ax) as ax:
        for one, of in zip(values, _PARTS, strict=True):
            label, colour, dashes = _PARTS[of]
            seen = np.isfinite(one)
            # An epoch on which nothing was measured is passed over; a number that was not finite breaks the line.
            kept = [bool(row.get(of)) and bool(seen.any()) for row in history.rows]
            ax.plot(epochs[kept], one[kept], "o" if seen.sum() == 1 else dashes, color=colour, lw=1.8, label=label)
            if seen.sum() > 1 and (alone := _alone(one[kept])):
                ax.get_lines()[-1].set(marker="o", markersize=4, markevery=alone)
        if np.isfinite(late).any():
            pad = 0.06 * (np.nanmax(late) - np.nanmin(values)) or 1.0
            ax.set_ylim(np.nanmin(values) - pad, np.nanmax(late) + pad)
        ax.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=True))
        if history.best_epoch in epochs:
            name = f"kept: epoch {history.best_epoch}"
            ax.axvline(history.best_epoch, color=ACCENT, linewidth=1, linestyle=(0, (3, 3)), label=name)
        if warm:
            ax.axvspan(epochs[0] - 0.5, warm, color=BAND, linewidth=0, zorder=0, label="schedule running")
        describe(ax, "", "epoch")
        ax.set_title(_PANELS[part], loc="left", fontsize=13, weight="bold", color=outside(ax, INK))


def _alone(values: NDArray[np.float64]) -> list[int]:
    """Positions of numbers between two that are not finite, which no line reaches."""
    seen = np.pad(np.isfinite(values), 1)
    return np.flatnonzero(seen[1:-1] & ~seen[:-2] & ~seen[2:]).tolist()


def _column(rows: Sequence[Any], name: str, of: str = "") -> NDArray[np.float64]:
    """A number of every epoch; NaN where it is missing."""
    return np.array([(row.get(of) or {} if of else row).get(name) for row in rows], dtype=np.float64)


def _scheduled(rows: Sequence[Any]) -> float | None:
    """The last epoch before a number of the objective's own came to rest; None where none moved and then rested."""
    columns = [_column(rows, name, "train") for name in set(rows[-1].get("train") or {}) - set(_PANELS)]
    ends = [np.flatnonzero(~np.isclose(column, column[-1], 1e-9, 0)).max(initial=-1) for column in columns]
    return max((float(rows[end]["epoch"]) for end in ends if 0 <= end < len(rows) - 2), default=None)


def _said(history: Any) -> str:
    kept = [row for row in history.rows if row["epoch"] == history.best_epoch]
    which, kept = ("kept", kept) if kept else ("last", history.rows[-1:])
    ends = ", ".join(f"{part} {rounded(_column(kept, part, 'validation')[0], 1)}" for part in _PANELS)
    return (
        f"{len(history.rows)} epochs; at the {which} epoch {kept[0]['epoch']}, on validation: {ends} nats per example."
    )
