"""The rate–distortion plane with lines of equal ELBO."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from elbowroom.numerics import InputError, rounded, with_error

from .style import ACCENT, INK, PAPER, SOFT, canvas, describe, fits, interval, note

# Where a label may stand beside its dot, in points, best first.
_PLACES = [(14, 8), (14, -8), (-14, -8), (-14, 8), (18, 0), (14, 22), (14, -22), (-14, 22), (-14, -22)]


@dataclass(frozen=True)
class Value:
    """A mean and its standard error, for numbers that come from elsewhere than an Estimate.

    Parameters
    ----------
    mean : float
        Nats per example.
    se_total : float, default NaN
        From draws and examples together; NaN where unknown.
    """

    mean: float
    se_total: float = math.nan


@dataclass(frozen=True)
class Model:
    """A point of the plane that comes from elsewhere than a sweep.

    Parameters
    ----------
    label : str
        What people call it.
    rate, distortion : Value
        Nats per example.
    """

    label: str
    rate: Value
    distortion: Value


def rate_distortion(models: Sequence[Any], *, chosen: Any = None, joined: bool = True, ax: Axes | None = None) -> Axes:
    """Rate across, distortion up; ELBO = −(rate + distortion), so lines of equal ELBO fall from left to right.

    Crosses are 95 % intervals. Models whose rate or distortion is not finite are named and not drawn. The marks of
    model i have the ids "point-i.…", by which a page finds them.

    Parameters
    ----------
    models : sequence of Swept or Model
        What `er.sweep` returns, or anything with `label`, and `rate` and `distortion` (nats per example) that have
        `mean` and `se_total`.
    chosen : one of `models`, default None
        The model that is set apart.
    joined : bool, default True
        Whether a line runs from model to model by their rates, as suits a sweep along one number.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        Where no model has a finite rate and distortion.

    References
    ----------
    A. Alemi et al., "Fixing a Broken ELBO" (2018).

    Examples
    --------
    >>> from elbowroom.plots import Model, Value
    >>> ax = rate_distortion([Model("β = 1", Value(18.0, 0.3), Value(-85.0, 1.0))])
    >>> ax.get_xlabel(), ax.get_title("left")
    ('rate, nats per example', 'distortion, nats per example')
    """
    drawn = [i for i, m in enumerate(models) if math.isfinite(m.rate.mean + m.distortion.mean)]
    if not drawn:
        raise InputError("No model has a finite rate and distortion, so there is no plane to draw.")
    drawn.sort(key=lambda i: (models[i] is chosen, models[i].rate.mean))
    with canvas(ax, 440, 350) as ax:
        rates, distortions = ([getattr(models[i], part) for i in drawn] for part in ("rate", "distortion"))
        ax.set(xlim=_limits(rates, at_zero=True), ylim=_limits(distortions))
        taken = _equal_elbo(ax)
        if joined:
            ax.plot(*zip(*sorted(_place(models[i]) for i in drawn), strict=True), color=SOFT, linewidth=1)
        for i in drawn:
            _point(ax, i, models[i], models[i] is chosen)
        lost = [m.label for i, m in enumerate(models) if i not in drawn]
        note(ax, f"not finite: {', '.join(lost)}" * bool(lost), (1, 1), xycoords="axes fraction", ha="right", va="top")
        about = "; ".join(map(_said, models)) + "." + (f" Chosen: {chosen.label}." if chosen else "")
        describe(ax, about, "rate, nats per example", "distortion, nats per example")
        _label(ax, {i: models[i] for i in reversed(drawn)}, chosen, taken)
    return ax


def _place(model: Any) -> tuple[float, float]:
    return model.rate.mean, model.distortion.mean


def _limits(values: Sequence[Any], at_zero: bool = False) -> tuple[float, float]:
    reach = [v.mean + side * interval(v.se_total) for v in values for side in (-1, 1)]
    pad = 0.08 * (max(reach) - min(reach)) or 1.0
    low = min(reach) - pad
    # A rate near zero means collapse: where the sweep comes near it, show how near.
    return min(0.0, min(reach)) if at_zero and low < 0.3 * max(reach) else low, max(reach) + pad


def _equal_elbo(ax: Axes) -> list[Annotation]:
    """Lines rate + distortion = −ELBO across the frame, named where they leave it; the names that stand inside."""
    (x0, x1), (y0, y1), inside = ax.get_xlim(), ax.get_ylim(), []
    ticks = MaxNLocator(9, steps=[1, 2, 5, 10]).tick_values(-(x1 + y1), -(x0 + y0))
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    for elbo in ticks:
        ends = np.array([max(x0, -elbo - y1), min(x1, -elbo - y0)])
        if ends[1] - ends[0] < 0.03 * (x1 - x0):
            continue
        ax.plot(ends, -elbo - ends, color=SOFT, linewidth=1, linestyle=(0, (2, 5)), zorder=1)
        name, end = rounded(elbo, digits), (ends[1], -elbo - ends[1])
        if end[1] - y0 > 1e-6 * (y1 - y0):
            note(ax, name, end, (5, 0))
        elif end[0] > x0 + 0.1 * (x1 - x0):
            inside.append(note(ax, name, end, (-6, 3), ha="right", va="baseline"))
    note(ax, "ELBO", (1, 1), (5, 8), "axes fraction", va="baseline")
    return inside


def _point(ax: Axes, index: int, model: Any, chosen: bool) -> None:
    """A cross of 95 % intervals with a dot in its middle."""
    (x, y), colour = _place(model), ACCENT if chosen else INK
    across, up = interval(model.rate.se_total), interval(model.distortion.se_total)
    style: Any = {"color": colour, "linewidth": 1.5, "solid_capstyle": "butt", "clip_on": False}
    ax.plot([x - across, x + across], [y, y], gid=f"point-{index}.rate", **style)
    ax.plot([x, x], [y - up, y + up], gid=f"point-{index}.distortion", **style)
    ax.plot(x, y, "o", markersize=11 if chosen else 8, markeredgewidth=2, label=_said(model),
            markerfacecolor=colour if chosen else PAPER, gid=f"point-{index}.dot", **style)  # fmt: skip


def _label(ax: Axes, models: dict[int, Any], chosen: Any, names: list[Annotation]) -> None:
    """Names beside the dots, where none covers another or a dot; one that fits nowhere is left out."""
    ax.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]  # the layout decides where dots stand
    taken, reach = [name.get_window_extent() for name in names], 7 / 72 * ax.figure.dpi
    dots = ax.transData.transform([_place(m) for m in models.values()])
    taken += [Bbox.from_extents(*(dot - reach), *(dot + reach)) for dot in dots]
    for i, m in models.items():
        colour, name = (ACCENT, f"{m.label} (chosen)") if m is chosen else (INK, m.label)
        text = note(ax, name, _place(m), size=12, colour=colour, gid=f"point-{i}.name")
        text.set_fontweight("bold" if m is chosen else "normal")
        if not fits(text, _PLACES, taken, ax.get_window_extent()):
            text.remove()


def _said(model: Any) -> str:
    pairs = [(part.mean, part.se_total) for part in (model.rate, model.distortion)]
    elbo = rounded(-math.fsum(_place(model)), 1)
    return f"{model.label}: rate {with_error(*pairs[0])}, distortion {with_error(*pairs[1])}, ELBO {elbo} nats"
