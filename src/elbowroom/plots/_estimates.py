"""Estimates: side by side on a ladder; and example by example, with whether their weights can be trusted."""

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from elbowroom.numerics import Estimate, InputError, count, rounded, with_error

from .style import ACCENT, INK, SOFT, canvas, describe, interval, is_narrow, name_row, note, room

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
        A second line for each name on wide axes; None: the direction of each estimate. On narrow axes names that
        recur have their estimator beside them.
    rivals : collection of int, default ()
        Positions of the estimates that others are compared with, drawn in ink; the best of them has a dashed line.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

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
    names = list(names or [e.estimator for e in estimates])
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
            name = f"{names[i]}, {e.estimator}" if is_narrow(ax) and names.count(names[i]) > 1 else names[i]
            name_row(ax, -level, name, number, details[i], aside=(10, 8 - 8 * is_narrow(ax)), **look)
            if i in finite:
                _mark(ax, -level, e, colour, low)
            said.append(f"{names[i]}, {details[i]}: {number}".replace("≥", "at least").replace("≤", "at most"))
        about = f"{count(len(order), 'row')}, best first. " + "; ".join(said) + "."
        describe(ax, about, f"{e.quantity}, {e.unit} per example" + " (right is better)" * bool(rivals))
    return ax


def log_likelihoods(estimate: Estimate, *, lowest: int = 5, ax: Axes | None = None) -> Axes:
    """A histogram of the values per example; the lowest, where outliers stand, have ticks with their indices.

    Parameters
    ----------
    estimate : Estimate
        Of log p(x) by any estimator.
    lowest : int, default 5
        How many are marked; their indices are those of the data set.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Examples
    --------
    >>> e = Estimate.of([-9.0, -1.0, -1.5], quantity="log p(x)", estimator="IWAE-10", direction="lower")
    >>> log_likelihoods(e, lowest=1).get_label()
    '3 examples, from −9.0 to −1.0 nats; the lowest: 0.'
    """
    finite = np.isfinite(estimate.values)
    values, index = estimate.values[finite], estimate.index[finite]
    order = np.argsort(values, kind="stable")[:lowest]
    with canvas(ax, 280) as ax:
        ax.hist(values, bins="auto" if len(values) > 1 else 1, color=ACCENT, alpha=0.6)
        ax.plot(values[order], np.zeros(len(order)), "|", color=INK, markersize=14, clip_on=False)
        for rank, i in enumerate(order):
            note(ax, str(index[i]), (values[i], 0), (0, 13 + 11 * (rank % 2)), fontsize=10, color=INK, ha="center")
        ends = f"from {rounded(values.min(), 1)} to {rounded(values.max(), 1)} {estimate.unit}"
        about = f"{count(len(values), 'example')}, {ends}; the lowest: {', '.join(map(str, index[order]))}."
        describe(ax, about, f"{estimate.quantity}, {estimate.unit} per example, by {estimate.estimator}", "examples")
    return ax


def khat(estimate: Estimate, *, ax: Axes | None = None) -> Axes:
    """Pareto shape k̂ of every example's importance weights, sorted; above 0.7 the draws miss where p(z | x) lies.

    Parameters
    ----------
    estimate : Estimate
        By importance weights, as `er.evidence.iwae` returns it.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where the estimate has no k̂.

    References
    ----------
    A. Vehtari et al., "Pareto Smoothed Importance Sampling" (2024).

    Examples
    --------
    >>> e = Estimate.of([-1, -2], khat=[0.9, 0.1], quantity="log p(x)", estimator="IWAE-10", direction="lower")
    >>> khat(e).get_title("left")
    'k̂, above 0.7 on 1 of 2 examples'
    """
    return _sorted(estimate, "khat", "k̂", f"above 0.7 on {estimate.missed:,}", 0.7, ax)


def effective_sample_size(estimate: Estimate, *, ax: Axes | None = None) -> Axes:
    """Effective sample size of every example's importance weights, sorted; below 10 its error is not to be trusted.

    Parameters
    ----------
    estimate : Estimate
        By importance weights, as `er.evidence.iwae` returns it.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where the estimate has no effective sample size.

    Examples
    --------
    >>> e = Estimate.of([-1, -2], ess=[2.0, 50.0], quantity="log p(x)", estimator="IWAE-99", direction="lower")
    >>> effective_sample_size(e).get_title("left")
    'effective sample size, below 10 on 1 of 2 examples'
    """
    least = min(10.0, estimate.budget.draws / 2) or 10.0
    said = f"below {least:g} on {estimate.collapsed:,}"
    return _sorted(estimate, "ess", "effective sample size", said, least, ax, log="y")


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


def _sorted(estimate: Estimate, part: str, name: str, said: str, limit: float, ax: Axes | None, log: str = "") -> Axes:
    values = getattr(estimate, part)
    if values is None:
        raise InputError(f"{estimate.estimator} has no {name} per example; estimators with importance weights have it.")
    with canvas(ax, 260, log=log) as ax:
        ax.plot(np.arange(1, len(values) + 1), np.sort(values), "o", color=INK, markersize=4, markeredgewidth=0)
        ax.axhline(limit, color=ACCENT, linewidth=1, linestyle=(0, (4, 3)))
        up = f"{name}, {said} of {count(len(values), 'example')}"
        describe(ax, f"{up}; {estimate.estimator}.", "examples, sorted", up)
    return ax
