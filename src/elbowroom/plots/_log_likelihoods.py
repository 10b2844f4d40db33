"""How log p(x) is spread over examples."""

import numpy as np
from matplotlib.axes import Axes

from elbowroom.numerics import Estimate, count, rounded

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
            note(ax, str(index[i]), (values[i], 0), (0, 13 + 11 * (rank % 2)), size=10, colour=INK, ha="center")
        ends = f"from {rounded(values.min(), 1)} to {rounded(values.max(), 1)} {estimate.unit}"
        about = f"{count(len(values), 'example')}, {ends}; the lowest: {', '.join(map(str, index[order]))}."
        describe(ax, about, f"{estimate.quantity}, {estimate.unit} per example, by {estimate.estimator}", "examples")
    return ax
