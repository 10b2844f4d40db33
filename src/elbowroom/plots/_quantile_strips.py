"""Quantile strips: data, samples and decoder means of a table, column by column."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from elbowroom.numerics import count

from .style import ACCENT, INK, SOFT, canvas, describe, key, name_row, note

COLUMN_LIMIT = 24
"""Columns drawn at most: the first of the table."""

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LOOKS: list[dict[str, Any]] = [{"color": ACCENT, "alpha": 0.9}, {"color": INK, "alpha": 0.55}]
_LOOKS += [{"color": SOFT, "alpha": 0.6}]


def quantile_strips(series: Mapping[str, ArrayLike], columns: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """For each column one strip per series: 5–95 % thin, 25–75 % thick, a tick at the median.

    Every column has an axis of its own, from its least to its greatest quantile, whose ends are printed.

    Parameters
    ----------
    series : mapping of str to array [n, columns]
        The values of each series, the data first; three series at most.
    columns : sequence of str
        What the columns are called; the first `COLUMN_LIMIT` are drawn.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = quantile_strips({"data": [[0.0], [10.0]]}, ["age"])
    >>> ax.get_label()
    '1 column; medians: age: data 5.'
    """
    tables = {name: np.asarray(values, dtype=np.float64) for name, values in series.items()}
    shown, block = list(columns)[:COLUMN_LIMIT], 12 * len(tables)
    said = []
    with canvas(ax, 30 + (block + 22) * len(shown), 40 + (block + 36) * len(shown), grid="") as ax:
        ax.set(xlim=(0, 1), ylim=(-len(shown) + 0.5, 0.5), xticks=[], yticks=[])
        looks = zip(tables, _LOOKS, strict=False)
        key(ax, [Line2D([], [], label=name, linewidth=5, **look) for name, look in looks], lift=12)
        for level, name in enumerate(shown):
            name_row(ax, -level, name, above=block / 2 + 12, aside=(60, 0))
            _column(ax, -level, [table[:, level] for table in tables.values()])
            medians = ", ".join(f"{kind} {np.median(table[:, level]):.3g}" for kind, table in tables.items())
            said.append(f"{name}: {medians}".replace("nan", "unknown"))
        describe(ax, f"{count(len(shown), 'column')}; medians: {'; '.join(said)}.")
    return ax


def _column(ax: Axes, level: float, values: Sequence[NDArray[np.float64]]) -> None:
    quantiles = [np.nanquantile(v, _QUANTILES) if np.isfinite(v).any() else np.full(5, np.nan) for v in values]
    known = np.array(quantiles)[np.isfinite(quantiles)]
    low, high = known.min(initial=np.inf), known.max(initial=-np.inf)
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5) if known.size else (0.0, 1.0)
    for end, value, aside in ((0, low, -8), (1, high, 8)):
        said = f"{value:.3g}".replace("-", "−")
        note(ax, said, (end, level), (aside, 0), ha="left" if end else "right")
    ups = level + 0.6 * ((len(values) - 1) / 2 - np.arange(len(values))) / len(values)
    for up, q, look in zip(ups, quantiles, _LOOKS, strict=False):
        if np.isnan(q).all():
            note(ax, "no finite values", (0, up), size=10)
        a, b, middle, c, d = (q - low) / (high - low)
        for ends, thickness in (((a, d), 1.2), ((b, c), 5)):
            ax.plot(ends, (up, up), linewidth=thickness, solid_capstyle="butt", clip_on=False, **look)
        ax.plot(middle, up, "|", color=INK, markersize=9, markeredgewidth=2, clip_on=False)
