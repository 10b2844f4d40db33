"""Whether importance weights can be trusted, example by example."""

import numpy as np
from matplotlib.axes import Axes

from elbowroom.numerics import Estimate, InputError, count

from .style import ACCENT, INK, canvas, describe


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
