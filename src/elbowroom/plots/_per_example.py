"""An estimate example by example: how its values are spread, and whether its importance weights can be trusted."""

import numpy as np
from matplotlib.axes import Axes

from elbowroom.numerics import Estimate, InputError, count, rounded

from .style import ACCENT, INK, canvas, describe, note


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

    Raises
    ------
    InputError
        Where the estimate has no k̂.

    References
    ----------
    A. Vehtari et al., "Pareto Smoothed Importance Sampling" (2024).
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

    Raises
    ------
    InputError
        Where the estimate has no effective sample size.
    """
    least = min(10.0, estimate.budget.draws / 2) or 10.0
    said = f"below {least:g} on {estimate.collapsed:,}"
    return _sorted(estimate, "ess", "effective sample size", said, least, ax, log="y")


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
