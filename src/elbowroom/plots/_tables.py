"""Looks of a table, column by column: quantiles of numbers, and how often each class occurs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from elbowroom.numerics import count, rounded

from .style import ACCENT, INK, SOFT, canvas, describe, key, name_row, note

COLUMN_LIMIT = 24
"""Columns drawn at most: the first of the table."""

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LOOKS: Any = [{"color": ACCENT, "alpha": 0.9}, {"color": INK, "alpha": 0.5}, {"color": SOFT, "alpha": 0.6}]


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
        With the figure on it.

    Examples
    --------
    >>> ax = quantile_strips({"data": [[0.0], [10.0]]}, ["age"])
    >>> ax.get_label()
    '1 column; medians: age: data 5.'
    """
    tables = {name: np.asarray(values, dtype=np.float64) for name, values in series.items()}
    shown, block, said = list(columns)[:COLUMN_LIMIT], 12 * len(tables), []
    with canvas(ax, 30 + (block + 22) * len(shown), 40 + (block + 36) * len(shown), grid="") as ax:
        ax.set(xlim=(0, 1), ylim=(-len(shown) + 0.5, 0.5), xticks=[], yticks=[])
        key(ax, [Patch(label=name, **look) for name, look in zip(tables, _LOOKS, strict=False)], lift=12)
        for level, name in enumerate(shown):
            name_row(ax, -level, name, above=block / 2 + 12, aside=(60, 0))
            quantiles = [_quantiles(table[:, level]) for table in tables.values()]
            _column(ax, -level, np.array(quantiles))
            medians = ", ".join(f"{kind} {q[2]:.3g}" for kind, q in zip(tables, quantiles, strict=True))
            said.append(f"{name}: {medians}".replace("nan", "unknown"))
        describe(ax, f"{count(len(shown), 'column')}; medians: {'; '.join(said)}.")
    return ax


def _quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.nanquantile(values, _QUANTILES) if np.isfinite(values).any() else np.full(5, np.nan)


def _column(ax: Axes, level: float, quantiles: NDArray[np.float64]) -> None:
    known = quantiles[np.isfinite(quantiles)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    note(ax, f"{low:.3g}".replace("-", "−"), (0, level), (-8, 0), ha="right")
    note(ax, f"{high:.3g}".replace("-", "−"), (1, level), (8, 0))
    for number, (q, look) in enumerate(zip(quantiles, _LOOKS, strict=False)):
        up = level + 0.6 * ((len(quantiles) - 1) / 2 - number) / len(quantiles)
        if np.isnan(q).all():
            note(ax, "no finite values", (0, up), fontsize=10)
        a, b, middle, c, d = (q - low) / (high - low)
        for ends, thickness in (((a, d), 1.2), ((b, c), 5)):
            ax.plot(ends, (up, up), linewidth=thickness, solid_capstyle="butt", clip_on=False, **look)
        ax.plot(middle, up, "|", color=INK, markersize=9, markeredgewidth=2, clip_on=False)


def class_shares(
    columns: Mapping[str, Mapping[str, Sequence[float]]], series: Sequence[str], *, ax: Axes | None = None
) -> Axes:
    """For each column its classes, each with a bar per series from 0 to 100 % and the shares as numbers beside it.

    Parameters
    ----------
    columns : mapping of str to mapping of str to sequence of float
        Shares, 0 to 1, by column and class, one for each series.
    series : sequence of str
        What the shares are of, two at most, as ("data", "samples").
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Examples
    --------
    >>> ax = class_shares({"colour": {"red": (0.5, 0.25), "blue": (0.5, 0.75)}}, ("data", "samples"))
    >>> [float(bar.get_width()) for bar in ax.patches]
    [0.5, 0.25, 0.5, 0.75]
    """
    rows, level, said = sum(1.6 + len(shares) for shares in columns.values()), 0.6, []
    with canvas(ax, 30 + 22 * rows, grid="") as ax:
        ax.set(xlim=(0, 1), ylim=(-rows + 0.4, 0), xticks=[], yticks=[])
        key(ax, [Patch(label=name, **look) for name, look in zip(series, _LOOKS, strict=False)])
        for column, shares in columns.items():
            level -= 1.4
            name_row(ax, level, column, aside=(24, 0), weight="bold")
            for name, parts in shares.items():
                level -= 1
                numbers = " / ".join(f"{rounded(100 * part, 1)} %" for part in parts)
                name_row(ax, level, name, numbers)
                for number, (part, look) in enumerate(zip(parts, _LOOKS, strict=False)):
                    ax.barh(level + 0.16 - 0.32 * number, part, 0.28, **look)
                said.append(f"{column}, {name} {numbers}")
            level -= 0.2
        describe(ax, f"Shares in {' / '.join(series)}: {'; '.join(said)}.")
    return ax
