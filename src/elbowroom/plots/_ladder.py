"""The ladder: held-out log-likelihoods with intervals on one axis, best at the top."""

import math
from collections.abc import Collection, Sequence

from matplotlib.axes import Axes

from elbowroom.numerics import Estimate, InputError, count, with_error

from .style import ACCENT, INK, SOFT, canvas, interval, is_narrow, name_axes, name_row, room

__all__ = ["ladder"]

_ARROW = 32.0
_OUTLYING = 8.0
_SIGN = {"lower": "≥ ", "upper": "≤ "}


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
    names = [e.estimator for e in estimates] if names is None else names
    details = [{"lower": "lower bound", "upper": "upper bound", "none": ""}.get(e.direction, e.direction)
               for e in estimates] if details is None else details  # fmt: skip
    finite = {i: e.mean for i, e in enumerate(estimates) if math.isfinite(e.mean)}
    if not finite:
        raise InputError("A ladder needs an estimate whose mean is a finite number.")
    order = sorted(range(len(estimates)), key=lambda i: -finite.get(i, -math.inf))
    with canvas(ax, 52 + 42 * len(order), 58 + 54 * len(order), grid="x") as ax:
        low, high = _range([estimates[i] for i in order if i in finite])
        ax.set_ylim(-len(order) + 0.5, 0.7 if is_narrow(ax) else 0.5)
        ax.set_xlim(low, high + (high - low) * _ARROW / room(ax))
        ax.set_yticks([])
        best = max((finite[i] for i in rivals if i in finite), default=math.nan)
        if low <= best <= high:
            ax.axvline(best, color=SOFT, linewidth=1, linestyle=(0, (3, 4)), zorder=1)
        said = []
        for level, i in enumerate(order):
            e, own = estimates[i], i not in rivals
            number = _SIGN.get(e.direction, "") * (i in finite) + with_error(e.mean, e.se_total)
            colour = ACCENT if own else INK
            name_row(
                ax,
                -level,
                names[i],
                detail=details[i],
                number=number,
                colour=colour,
                bold=own,
                above=18,
                aside=(10, 0 if is_narrow(ax) else 8),
            )
            _mark(ax, -level, e, colour, low)
            said.append(f"{names[i]}, {details[i]}: {number}".replace("≥", "at least").replace("≤", "at most"))
        name_axes(ax, f"{e.quantity}, {e.unit} per example" + " (right is better)" * bool(rivals))
        ax.set_label(f"{count(len(order), 'row')}, best first. " + "; ".join(said) + ".")
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
    """Intervals first, then a dot or an arrow."""
    arrow = {"arrowstyle": "<|-", "color": colour, "linewidth": 2, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 13}
    if not math.isfinite(e.mean):
        return
    if e.mean < low:
        outside = {**arrow, "arrowstyle": "-|>", "color": SOFT, "linestyle": (0, (2, 2)), "linewidth": 1}
        ax.annotate("", (0, level), (30, 0), ("axes fraction", "data"), "offset points", arrowprops=outside)
        return
    for error, thickness in ((e.se_total, 1.5), (e.se_mc, 5.0)):
        reach = interval(error)
        ax.plot([e.mean - reach, e.mean + reach], [level] * 2, color=colour, linewidth=thickness,
                solid_capstyle="butt")  # fmt: skip
    if e.direction in _SIGN:
        ax.plot(e.mean, level, "|", color=colour, markersize=16, markeredgewidth=2)
        aside = _ARROW if e.direction == "lower" else -_ARROW
        ax.annotate("", (e.mean, level), (aside, 0), "data", "offset points", arrowprops=arrow)
    else:
        ax.plot(e.mean, level, "o", color=colour, markersize=8)
