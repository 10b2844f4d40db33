"""Estimates: side by side on a ladder; and example by example, with whether their weights can be trusted."""

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from elbowroom.numerics import Estimate, InputError, count, paired, plain_arguments, rounded, with_error

from .style import ACCENT, INK, SOFT, canvas, describe, interval, interval_of, is_narrow, name_row, note, room

_ARROW = 32.0
_OUTLYING = 8.0
_NAMED = 5
_SIGN = {"lower": "≥ ", "upper": "≤ "}
_BOUND = {"lower": "lower bound", "upper": "upper bound", "none": ""}


def ladder(
    estimates: Sequence[Any],
    *,
    names: Sequence[str] | None = None,
    details: Sequence[str] | None = None,
    rivals: Collection[int] = (),
    ax: Axes | None = None,
) -> Axes:
    """Means of estimates with two kinds of interval, best at the top; a bound is an arrow to where the truth lies.

    Best is the greatest in nats, and the least in bits. Estimates over different examples are drawn over those that
    all of them measured, and the axis says how many these are; saved ones without an index are drawn as they are.

    The thin interval is the 95 % one of examples and draws together, by Student's t, the thick one of draws alone. A
    value far worse than the others is named at the edge and not drawn to scale, one that is not finite only named.

    Parameters
    ----------
    estimates : sequence of Estimate
        Of one quantity, in one unit; or summaries of estimates, as those of a model of a sweep.
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
        Where no estimate is finite, or they differ in quantity, unit or data or have no example in common.

    Examples
    --------
    >>> import elbowroom as er
    >>> e = er.Estimate.of([-1.0, -3.0], quantity="log p(x)", estimator="IWAE-10", direction="lower")
    >>> er.plots.ladder([e]).get_xlabel()
    'log p(x), nats per example'
    """
    estimates, common = _comparable(estimates)
    names = list(names or [e.estimator for e in estimates])
    details = details or [_BOUND.get(e.direction, e.direction) for e in estimates]
    finite = {i: e.mean for i, e in enumerate(estimates) if math.isfinite(e.mean)}
    if not finite:
        raise InputError("A ladder needs an estimate whose mean is a finite number.")
    unit = _unit(estimates[0])
    less = unit == "bits"  # is better
    order = sorted(finite, key=finite.__getitem__, reverse=not less)
    order, said = order + [i for i in range(len(estimates)) if i not in finite], []
    with canvas(ax, 52 + 42 * len(order), 58 + 54 * len(order), grid="x") as ax:
        low, high = _range([estimates[i] for i in order if i in finite])
        reach = (high - low) * _ARROW / room(ax)  # where the bound of the best points
        ax.set_xlim(low - reach * less, high + reach * (not less))
        ax.set(yticks=[], ylim=(-len(order) + 0.5, 0.7 if is_narrow(ax) else 0.5))
        best = next((finite[i] for i in order if i in rivals and i in finite), math.nan)
        if low <= best <= high:
            ax.axvline(best, color=SOFT, linewidth=1, linestyle=(0, (3, 4)), zorder=1)
        for level, i in enumerate(order):
            colour, e = INK if i in rivals else ACCENT, estimates[i]
            number = _SIGN.get(e.direction, "") * (i in finite) + with_error(e.mean, e.se_total)
            look: Any = {"color": colour, "weight": "normal" if i in rivals else "bold", "above": 18}
            name = f"{names[i]}, {e.estimator}" if is_narrow(ax) and names.count(names[i]) > 1 else names[i]
            name_row(ax, -level, name, number, details[i], aside=(10, 8 - 8 * is_narrow(ax)), **look)
            if i in finite:
                _mark(ax, -level, e, colour, (low, high))
            said.append(f"{names[i]}, {details[i]}: {number}".replace("≥", "at least").replace("≤", "at most"))
        about = f"{count(len(order), 'row')}, best first{common}. " + "; ".join(said) + "."
        better = f" ({'left' if less else 'right'} is better)" * bool(rivals)
        describe(ax, about, f"{estimates[0].quantity}, {unit} per example{better}{common}")
    return ax


@plain_arguments
def log_likelihoods(estimate: Estimate, *, lowest: int = 5, ax: Axes | None = None) -> Axes:
    """A histogram of the values per example; the lowest, where outliers stand, have ticks with their indices.

    Examples whose value is not finite are counted and named above the axes, and lead the lowest in the words.

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

    Raises
    ------
    InputError
        Where no value is finite.

    Examples
    --------
    >>> e = Estimate.of([-9.0, -1.0, -1.5], quantity="log p(x)", estimator="IWAE-10", direction="lower")
    >>> log_likelihoods(e, lowest=1).get_label()
    '3 examples, from −9.0 to −1.0 nats; the lowest: 0.'
    """
    finite = np.isfinite(estimate.values)
    if not finite.any():
        raise InputError(f"{estimate.estimator} has no finite value for any example, so there is no histogram to draw.")
    values, index, lost = estimate.values[finite], estimate.index[finite], estimate.index[~finite]
    known, without = [str(i) for i in lost[:_NAMED]] + ["…"] * (len(lost) > _NAMED), ""
    if known:
        has, those = ("has", "example") if len(lost) == 1 else ("have", "examples")
        without = f"{len(lost):,} of {len(finite):,} {has} no finite value: {those} {', '.join(known)}"
    order = np.argsort(values, kind="stable")[:lowest]
    with canvas(ax, 280) as ax:
        ax.hist(values, bins="auto" if len(values) > 1 else 1, color=ACCENT, alpha=0.6)
        ax.plot(values[order], np.zeros(len(order)), "|", color=INK, markersize=14, clip_on=False)
        for rank, i in enumerate(order):
            note(ax, str(index[i]), (values[i], 0), (0, 13 + 11 * (rank % 2)), fontsize=10, color=INK, ha="center")
        ends = f"from {rounded(values.min(), 1)} to {rounded(values.max(), 1)} {estimate.unit}"
        worst = ", ".join([f"{i} (not finite)" for i in known] + [str(i) for i in index[order]])
        about = f"{count(len(values), 'example')}, {ends}; the lowest: {worst}{'; ' * bool(without)}{without}."
        across = f"{estimate.quantity}, {estimate.unit} per example, by {estimate.estimator}"
        describe(ax, about, across, f"examples{'; ' * bool(without)}{without}")
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
        Where the estimate has no finite k̂.

    References
    ----------
    A. Vehtari et al., "Pareto Smoothed Importance Sampling" (2024).

    Examples
    --------
    >>> e = Estimate.of([-1, -2], khat=[0.9, 0.1], quantity="log p(x)", estimator="IWAE-10", direction="lower")
    >>> khat(e).get_title("left")
    'k̂, above 0.7 on 1 of 2 examples'
    """
    return _sorted(estimate, "khat", "k̂", "above", 0.7, ax)


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
        Where the estimate has no finite effective sample size.

    Examples
    --------
    >>> e = Estimate.of([-1, -2], ess=[2.0, 50.0], quantity="log p(x)", estimator="IWAE-99", direction="lower")
    >>> effective_sample_size(e).get_title("left")
    'effective sample size, below 10 on 1 of 2 examples'
    """
    return _sorted(estimate, "ess", "effective sample size", "below", estimate.least_ess, ax, log="y")


def _comparable(estimates: Sequence[Any]) -> tuple[Sequence[Any], str]:
    """The estimates over the examples that all measured, and words for them where some had more."""
    kinds = list(dict.fromkeys(f"{e.quantity} in {_unit(e)}" for e in estimates))
    if len(kinds) > 1:
        raise InputError(f"A ladder has one axis, so {' and '.join(kinds)} need a ladder each.")
    if not estimates:
        raise InputError("A ladder needs an estimate; none was given.")
    if not all(isinstance(e, Estimate) for e in estimates):
        return estimates, ""
    shared = paired(estimates)
    reduced = any(len(e) > len(one) for e, one in zip(estimates, shared, strict=True))
    return shared, f", n = {len(shared[0]):,}, measured by all" * reduced


def _unit(e: Any) -> str:
    """Nats where it is not said, as in a summary of the sweep."""
    return str(getattr(e, "unit", "nats"))


def _range(estimates: Sequence[Any]) -> tuple[float, float]:
    """Limits of the axis, best first; a value that would squeeze the others into an eighth of it is left outside."""
    apart = [abs(estimates[0].mean - e.mean) for e in estimates]
    while len(apart) > 3 and apart[-1] > _OUTLYING * apart[-2] > 0:
        apart.pop()
    reach = [e.mean + side * interval_of(e) for e in estimates[: len(apart)] for side in (-1, 1)]
    pad = 0.06 * (max(reach) - min(reach)) or 1.0
    return min(reach) - pad, max(reach) + pad


def _mark(ax: Axes, level: float, e: Any, colour: str, limits: tuple[float, float]) -> None:
    """Intervals first, then a dot or an arrow; an arrow at the edge for what lies outside."""
    arrow: Any = {"arrowstyle": "<|-", "color": colour, "lw": 2, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 13}
    if not limits[0] <= e.mean <= limits[1]:
        arrow |= {"arrowstyle": "-|>", "color": SOFT, "linestyle": (0, (2, 2)), "lw": 1}
        edge, inwards = (0, 30) if e.mean < limits[0] else (1, -30)
        ax.annotate("", (edge, level), (inwards, 0), ("axes fraction", "data"), "offset points", arrowprops=arrow)
        return
    for half, thickness in ((interval_of(e), 1.5), (interval(e.se_mc), 5.0)):
        ends = [e.mean - half, e.mean + half]
        ax.plot(ends, [level] * 2, color=colour, linewidth=thickness, solid_capstyle="butt")
    bound = e.direction in _SIGN
    ax.plot(e.mean, level, "|" if bound else "o", color=colour, markersize=16 if bound else 8, markeredgewidth=2)
    if bound:
        aside = _ARROW if e.direction == "lower" else -_ARROW
        ax.annotate("", (e.mean, level), (aside, 0), "data", "offset points", arrowprops=arrow)


def _sorted(estimate: Any, part: str, name: str, side: str, limit: float, ax: Axes | None, log: str = "") -> Axes:
    values = getattr(estimate, part)
    if values is None:
        raise InputError(f"{estimate.estimator} has no {name} per example; estimators with importance weights have it.")
    drawn = values[np.isfinite(values)]
    if not drawn.size:
        raise InputError(f"The {name} of {estimate.estimator} is not finite for any example; take more draws.")
    with canvas(ax, 260, log=log) as ax:
        ax.plot(np.arange(1, len(drawn) + 1), np.sort(drawn), "o", color=INK, markersize=4, markeredgewidth=0)
        ax.axhline(limit, color=ACCENT, linewidth=1, linestyle=(0, (4, 3)))
        bad = (drawn > limit if side == "above" else drawn < limit).sum()
        up = f"{name}, {side} {limit:g} on {bad:,} of {count(len(drawn), 'example')}"
        up += f"; not finite on {len(values) - len(drawn):,} more" * (len(drawn) < len(values))
        describe(ax, f"{up}; {estimate.estimator}.", "examples, sorted", up)
    return ax
