"""The ladder: held-out log-likelihoods with intervals on one axis, best at the top."""

import math
from collections.abc import Collection, Sequence
from typing import Any

from matplotlib.axes import Axes

from elbowroom.numerics import Estimate, InputError, count, with_error

from .style import ACCENT, INK, SOFT, canvas, describe, interval, is_narrow, name_row, room

_ARROW = 32.0
_OUTLYING = 8.0
_SIGN = {"lower": "≥ ", "upper": "≤ "}
_BOUND = {"lower": "lower bound", "upper": "upper bound", "none": ""}


def ladder(
    estimates: Sequence[Estimate],
    *,
    names: Sequence[str] | None = None,
    details: Sequence[str] | None = None,
    rivals: Collection[int] = (),
    ax: Axes | None = None,
) -> Axes:
    """Means of estimates with two kinds of interval, best at the top; a bound is an arrow to where the truth lies.

    The thin interval is 1.96 standard errors from examples and draws together, the thick one from draws alone. A
    value far below the others is named at the left edge and not drawn to scale, one that is not finite only named.

    Parameters
    ----------
    estimates : sequence of Estimate
        Of one quantity, in one unit.
    names : sequence of str, default None
        What each row is called; None: its estimator.
    details : sequence of str, default None
        A second line for each name on wide axes; None: the direction of each estimate.
    rivals : collection of int, default ()
        Positions of the estimates that others are compared with, drawn in ink; the best of them has a dashed line.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        Where no estimate is finite.

    Examples
    --------
    >>> e = Estimate.of([-1.0, -3.0], quantity="log p(x)", estimator="IWAE-10", direction="lower")
    >>> ladder([e]).get_xlabel()
    'log p(x), nats per example'
    """
    names = names or [e.estimator for e in estimates]
    details = details or [_BOUND.get(e.direction, e.direction) for e in estimates]
    finite = {i: e.mean for i, e in enumerate(estimates) if math.isfinite(e.mean)}
    if not finite:
        raise InputError("A ladder needs an estimate whose mean is a finite number.")
    order, said = sorted(range(len(estimates)), key=lambda i: -finite.get(i, -math.inf)), []
    with canvas(ax, 52 + 42 * len(order), 58 + 54 * len(order), grid="x") as ax:
        low, high = _range([estimates[i] for i in order if i in finite])
        ax.set_xlim(low, high + (high - low) * _ARROW / room(ax))
        ax.set(yticks=[], ylim=(-len(order) + 0.5, 0.7 if is_narrow(ax) else 0.5))
        best = max((finite[i] for i in rivals if i in finite), default=math.nan)
        if low <= best <= high:
            ax.axvline(best, color=SOFT, linewidth=1, linestyle=(0, (3, 4)), zorder=1)
        for level, i in enumerate(order):
            colour, e = INK if i in rivals else ACCENT, estimates[i]
            number = _SIGN.get(e.direction, "") * (i in finite) + with_error(e.mean, e.se_total)
            look: Any = {"color": colour, "weight": "normal" if i in rivals else "bold", "above": 18}
            name_row(ax, -level, names[i], number, details[i], aside=(10, 8 - 8 * is_narrow(ax)), **look)
            if i in finite:
                _mark(ax, -level, e, colour, low)
            said.append(f"{names[i]}, {details[i]}: {number}".replace("≥", "at least").replace("≤", "at most"))
        about = f"{count(len(order), 'row')}, best first. " + "; ".join(said) + "."
        describe(ax, about, f"{e.quantity}, {e.unit} per example" + " (right is better)" * bool(rivals))
    return ax


def _range(estimates: Sequence[Estimate]) -> tuple[float, float]:
    """Limits of the axis, best first; a value that would squeeze the others into an eighth of it is left outside."""
    apart = [estimates[0].mean - e.mean for e in estimates]
    while len(apart) > 3 and apart[-1] > _OUTLYING * apart[-2] > 0:
        apart.pop()
    reach = [e.mean + side * interval(e.se_total) for e in estimates[: len(apart)] for side in (-1, 1)]
    pad = 0.06 * (max(reach) - min(reach)) or 1.0
    return min(reach) - pad, max(reach) + pad


def _mark(ax: Axes, level: float, e: Estimate, colour: str, low: float) -> None:
    """Intervals first, then a dot or an arrow; an arrow at the edge for what lies outside."""
    arrow: Any = {"arrowstyle": "<|-", "color": colour, "lw": 2, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 13}
    if e.mean < low:
        arrow |= {"arrowstyle": "-|>", "color": SOFT, "linestyle": (0, (2, 2)), "lw": 1}
        ax.annotate("", (0, level), (30, 0), ("axes fraction", "data"), "offset points", arrowprops=arrow)
        return
    for error, thickness in ((e.se_total, 1.5), (e.se_mc, 5.0)):
        ends = [e.mean - interval(error), e.mean + interval(error)]
        ax.plot(ends, [level] * 2, color=colour, linewidth=thickness, solid_capstyle="butt")
    bound = e.direction in _SIGN
    ax.plot(e.mean, level, "|" if bound else "o", color=colour, markersize=16 if bound else 8, markeredgewidth=2)
    if bound:
        aside = _ARROW if e.direction == "lower" else -_ARROW
        ax.annotate("", (e.mean, level), (aside, 0), "data", "offset points", arrowprops=arrow)
