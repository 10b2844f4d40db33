"""The rate–distortion plane with lines of equal ELBO, and the rate–distortion curve of a decoder."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from elbowroom.numerics import InputError, plain_arguments, rounded, with_error

from .style import ACCENT, INK, PAPER, SOFT, Plain, canvas, describe, fits, interval_of, note

_EQUAL = "equal-elbo"

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


@plain_arguments
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
        With the figure on it.

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
    drawn = {i: m for i, m in enumerate(models) if math.isfinite(m.rate.mean + m.distortion.mean)}
    if not drawn:
        raise InputError("No model has a finite rate and distortion, so there is no plane to draw.")
    ordered = sorted(drawn, key=lambda i: (models[i] is chosen, models[i].rate.mean))
    with canvas(ax, 440, 350) as ax:
        rates, distortions = ([getattr(m, part) for m in drawn.values()] for part in ("rate", "distortion"))
        ax.set(xlim=_limits(rates, at_zero=True), ylim=_limits(distortions))
        _equal_elbo(ax)
        if joined:
            ax.plot(*zip(*sorted(map(_place, drawn.values())), strict=True), color=SOFT, linewidth=1)
        for i in ordered:
            _point(ax, i, models[i], models[i] is chosen)
        lost = [m.label for i, m in enumerate(models) if i not in drawn]
        note(ax, f"not finite: {', '.join(lost)}" * bool(lost), (1, 1), xycoords="axes fraction", ha="right", va="top")
        about = "; ".join(map(_said, models)) + "." + (f" Chosen: {chosen.label}." if chosen else "")
        describe(ax, about, "rate, nats per example", "distortion, nats per example")
        _label(ax, {i: models[i] for i in reversed(ordered)}, chosen)
    return ax


def rate_distortion_curve(curve: Any, *, ax: Axes | None = None) -> Axes:
    """The fewest nats that reach each distortion, at most, with crosses of 95 % intervals.

    It may be drawn onto the plane that `rate_distortion` returns, where distortions are −log p(x | z); the plane grows
    until every point is on it. Points that are not finite are counted in the name of the axis, and not drawn.

    Parameters
    ----------
    curve : RateDistortionCurve
        What `er.evidence.rate_distortion_curve` returns.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where no point is finite.

    References
    ----------
    S. Huang et al., "Evaluating Lossy Compression Rates of Deep Generative Models" (2020).

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from elbowroom.plots import Value
    >>> curve = SimpleNamespace(rates=[Value(5.0), Value(10.0)], distortions=[Value(-60.0), Value(-80.0)])
    >>> rate_distortion_curve(curve).get_label()
    'rate 5 at distortion -60; rate 10 at distortion -80.'
    """
    rates, distortions = ([e.mean for e in part] for part in (curve.rates, curve.distortions))
    across, up = ([interval_of(e) for e in part] for part in (curve.rates, curve.distortions))
    finite = [i for i, place in enumerate(zip(rates, distortions, strict=True)) if math.isfinite(sum(place))]
    if not finite:
        raise InputError("No point of the rate–distortion curve is finite, so there is nothing to draw.")
    lost = len(rates) - len(finite)
    without = f" ({lost} of {len(rates)} points not drawn, because not finite)" * bool(lost)
    with canvas(ax, 400, 340) as ax:
        ax.errorbar(rates, distortions, up, across, fmt="o-", color=ACCENT, markersize=6, linewidth=1.5)
        about = "; ".join(map("rate {:.4g} at distortion {:.4g}".format, rates, distortions)) + "."
        _grow(ax, [curve.rates[i] for i in finite], [curve.distortions[i] for i in finite])
        said = f"{ax.get_label()} {about}{without}".strip()
        describe(ax, said, f"rate, nats per example{without}", "distortion per example")
    return ax


def _place(model: Any) -> tuple[float, float]:
    return model.rate.mean, model.distortion.mean


def _limits(values: Sequence[Any], at_zero: bool = False) -> tuple[float, float]:
    reach = [v.mean + side * interval_of(v) for v in values for side in (-1, 1)]
    pad = 0.08 * (max(reach) - min(reach)) or 1.0
    low = min(reach) - pad
    # A rate near zero means collapse: where the sweep comes near it, show how near.
    return min(0.0, min(reach)) if at_zero and low < 0.3 * max(reach) else low, max(reach) + pad


def _grow(ax: Axes, rates: Sequence[Any], distortions: Sequence[Any]) -> None:
    """Fixed limits, as those of a plane, made to hold these points; lines of equal ELBO run to the new frame."""
    (x0, x1), (y0, y1), across, up = ax.get_xlim(), ax.get_ylim(), _limits(rates), _limits(distortions)
    wide, high = (min(x0, across[0]), max(x1, across[1])), (min(y0, up[0]), max(y1, up[1]))
    if ax.get_autoscale_on() or (wide, high) == ((x0, x1), (y0, y1)):
        return
    ax.set(xlim=wide, ylim=high)
    if lines := [one for one in (*ax.get_lines(), *ax.texts) if one.get_gid() == _EQUAL]:
        for one in lines:
            one.remove()
        _equal_elbo(ax)


def _equal_elbo(ax: Axes) -> None:
    """Lines rate + distortion = −ELBO across the frame, named where they leave it."""
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    ticks = MaxNLocator(9, steps=[1, 2, 5, 10]).tick_values(-(x1 + y1), -(x0 + y0))
    for elbo, name in zip(ticks, Plain("").format_ticks(ticks), strict=True):
        left, right = max(x0, -elbo - y1), min(x1, -elbo - y0)
        if right - left > 0.05 * (x1 - x0):
            ax.plot(
                [left, right],
                [-elbo - left, -elbo - right],
                color=SOFT,
                lw=1,
                linestyle=(0, (2, 5)),
                zorder=1,
                gid=_EQUAL,
            )
            look = {"ha": "right", "va": "baseline"} if right < x1 else {}
            note(ax, name, (right, -elbo - right), (-6, 3) if look else (5, 0), gid=_EQUAL, **look)
    note(ax, "ELBO", (1, 1), (5, 8), "axes fraction", va="baseline", gid=_EQUAL)


def _point(ax: Axes, index: int, model: Any, chosen: bool) -> None:
    """A cross of 95 % intervals with a dot in its middle."""
    (x, y), colour = _place(model), ACCENT if chosen else INK
    across, up = interval_of(model.rate), interval_of(model.distortion)
    style: Any = {"color": colour, "linewidth": 1.5, "solid_capstyle": "butt", "clip_on": False}
    ax.plot([x - across, x + across], [y, y], gid=f"point-{index}.rate", **style)
    ax.plot([x, x], [y - up, y + up], gid=f"point-{index}.distortion", **style)
    dot: Any = {"markersize": 11 if chosen else 8, "mfc": colour if chosen else PAPER, "markeredgewidth": 2}
    ax.plot(x, y, "o", gid=f"point-{index}.dot", label=_said(model), **dot, **style)


def _label(ax: Axes, models: dict[int, Any], chosen: Any) -> None:
    """Names beside the dots, where none covers another or a dot; one that fits nowhere is left out."""
    ax.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]  # the layout decides where dots stand
    taken = [text.get_window_extent() for text in ax.texts]
    dots = ax.transData.transform([_place(m) for m in models.values()])
    taken += [Bbox([dot, dot]).padded(7 / 72 * ax.figure.dpi) for dot in dots]
    for i, m in models.items():
        name, colour, weight = (f"{m.label} (chosen)", ACCENT, "bold") if m is chosen else (m.label, INK, "normal")
        text = note(ax, name, _place(m), fontsize=12, color=colour, weight=weight, gid=f"point-{i}.name")
        if not fits(text, _PLACES, taken, ax.get_window_extent()):
            text.remove()


def _said(model: Any) -> str:
    pairs = [(part.mean, part.se_total) for part in (model.rate, model.distortion)]
    elbo = rounded(-math.fsum(_place(model)), 1)
    return f"{model.label}: rate {with_error(*pairs[0])}, distortion {with_error(*pairs[1])}, ELBO {elbo} nats"
