"""The rate–distortion plane with lines of equal ELBO."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from elbowroom.numerics import InputError, rounded, with_error

from .records import Measured, PointOfPlane
from .style import ACCENT, INK, PAPER, SOFT, canvas, halo, interval, name_axes

__all__ = ["rate_distortion"]

# Where a label may stand beside its dot, in points, best first.
_PLACES = [(12, 8), (12, -8), (-12, -8), (-12, 8), (18, 0), (12, 22), (12, -22), (-12, 22), (-12, -22)]


def rate_distortion(
    models: Sequence[PointOfPlane], *, chosen: PointOfPlane | None = None, joined: bool = True, ax: Axes | None = None
) -> Axes:
    """Rate across, distortion up; ELBO = −(rate + distortion), so lines of equal ELBO fall from left to right.

    Crosses are 95 % intervals. Models whose rate or distortion is not finite are named and not drawn. The marks of
    model i have the ids "point-i.…", by which a page finds them.

    Parameters
    ----------
    models : sequence
        What `er.sweep` returns, or anything with `label`, `rate` and `distortion` (nats per example).
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
    drawn.sort(key=lambda i: models[i].rate.mean)
    with canvas(ax, 440, 350) as ax:
        ax.set_xlim(*_limits([models[i].rate for i in drawn], at_zero=True))
        ax.set_ylim(*_limits([models[i].distortion for i in drawn]))
        name_axes(ax, "rate, nats per example", "distortion, nats per example")
        names = _equal_elbo(ax)
        if joined:
            ax.plot(*zip(*[_place(models[i]) for i in drawn], strict=True), color=SOFT, linewidth=1)
        for i in sorted(drawn, key=lambda i: models[i] is chosen):
            _point(ax, i, models[i], models[i] is chosen)
        lost = [m.label for i, m in enumerate(models) if i not in drawn]
        if lost:
            ax.text(1, 1, f"not finite: {', '.join(lost)}", ha="right", va="top", fontsize=11, color=SOFT,
                    transform=ax.transAxes)  # fmt: skip
        _label(ax, {i: models[i] for i in sorted(drawn, key=lambda i: models[i] is not chosen)}, chosen, names)
        ax.set_label("; ".join(map(_said, models)) + "." + (f" Chosen: {chosen.label}." if chosen else ""))
    return ax


def _place(model: PointOfPlane) -> tuple[float, float]:
    return model.rate.mean, model.distortion.mean


def _limits(values: Sequence[Measured], at_zero: bool = False) -> tuple[float, float]:
    reach = [v.mean + side * interval(v.se_total) for v in values for side in (-1, 1)]
    pad = 0.08 * (max(reach) - min(reach)) or 1.0
    low = min(reach) - pad
    # A rate near zero means collapse: where the sweep comes near it, show how near.
    return min(0.0, min(reach)) if at_zero and low < 0.3 * max(reach) else low, max(reach) + pad


def _equal_elbo(ax: Axes) -> list[Any]:
    """Lines rate + distortion = −ELBO across the frame, named where they leave it; the names that stand inside."""
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    ticks = MaxNLocator(9, steps=[1, 2, 5, 10]).tick_values(-(x1 + y1), -(x0 + y0))
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    inside = []
    for elbo in ticks:
        left, right = max(x0, -elbo - y1), min(x1, -elbo - y0)
        if right - left < 0.03 * (x1 - x0):
            continue
        ends = np.array([left, right])
        ax.plot(ends, -elbo - ends, color=SOFT, linewidth=1, linestyle=(0, (2, 5)), gid=f"elbo {elbo:g}", zorder=1)
        if -elbo - right > y0 + 1e-6 * (y1 - y0):
            aside: dict[str, Any] = {"xytext": (5, 0), "va": "center", "annotation_clip": False}
        elif right > x0 + 0.1 * (x1 - x0):
            aside = {"xytext": (-6, 3), "ha": "right"}
        else:
            continue
        name = ax.annotate(rounded(elbo, digits), (right, -elbo - right), textcoords="offset points", fontsize=11,
                           color=SOFT, **aside)  # fmt: skip
        inside += [halo(name)] if "ha" in aside else []
    ax.annotate("ELBO", (1, 1), (5, 8), "axes fraction", "offset points", fontsize=11, color=SOFT)
    return inside


def _point(ax: Axes, index: int, model: PointOfPlane, chosen: bool) -> None:
    """A cross of 95 % intervals with a dot in its middle."""
    (x, y), colour = _place(model), ACCENT if chosen else INK
    across, up = interval(model.rate.se_total), interval(model.distortion.se_total)
    style: dict[str, Any] = {"color": colour, "linewidth": 1.5, "solid_capstyle": "butt", "clip_on": False}
    ax.plot([x - across, x + across], [y, y], gid=f"point-{index}.rate", **style)
    ax.plot([x, x], [y - up, y + up], gid=f"point-{index}.distortion", **style)
    ax.plot(x, y, "o", color=colour, markersize=11 if chosen else 8, markeredgewidth=2, label=_said(model),
            markerfacecolor=colour if chosen else PAPER, gid=f"point-{index}.dot", clip_on=False)  # fmt: skip


def _label(ax: Axes, models: dict[int, PointOfPlane], chosen: PointOfPlane | None, names: list[Any]) -> None:
    """Names beside the dots, where none covers another or a dot; one that fits nowhere is left out."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout decides where the dots stand
    points, frame = figure.dpi / 72, ax.get_window_extent()
    dots = ax.transData.transform([_place(m) for m in models.values()])
    taken = [name.get_window_extent() for name in names]
    taken += [Bbox.from_bounds(a - 7 * points, b - 7 * points, 14 * points, 14 * points) for a, b in dots]
    for i, m in models.items():
        own: dict[str, Any] = {"weight": "bold", "color": ACCENT} if m is chosen else {"color": INK}
        text = ax.annotate(m.label + " (chosen)" * (m is chosen), _place(m), (0, 0), "data", "offset points",
                           va="center", fontsize=12, gid=f"point-{i}.name", **own)  # fmt: skip
        halo(text)
        for x, y in _PLACES:
            text.set_position((x, y))
            text.set_horizontalalignment("left" if x > 0 else "right")
            box = text.get_window_extent()
            inside = frame.x0 < box.x0 and box.x1 < frame.x1 + 4 * points and frame.y0 < box.y0 and box.y1 < frame.y1
            if inside and not box.count_overlaps(taken):
                taken.append(box)
                break
        else:
            text.remove()


def _said(model: PointOfPlane) -> str:
    pairs = [(getattr(model, part).mean, getattr(model, part).se_total) for part in ("rate", "distortion")]
    elbo = rounded(-(pairs[0][0] + pairs[1][0]), 1)
    return f"{model.label}: rate {with_error(*pairs[0])}, distortion {with_error(*pairs[1])}, ELBO {elbo} nats"
