"""Bars of classes: how often each occurs in data and in samples, column by column."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from elbowroom.numerics import rounded

from .style import ACCENT, INK, canvas, describe, key, name_row

_SHADES: tuple[dict[str, Any], ...] = ({"color": ACCENT}, {"color": INK, "alpha": 0.45})


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

    Examples
    --------
    >>> ax = class_shares({"colour": {"red": (0.5, 0.25), "blue": (0.5, 0.75)}}, ("data", "samples"))
    >>> [float(bar.get_width()) for bar in ax.patches]
    [0.5, 0.25, 0.5, 0.75]
    """
    rows, level, said = sum(1.6 + len(shares) for shares in columns.values()), 0.6, []
    with canvas(ax, 30 + 22 * rows, grid="") as ax:
        ax.set(xlim=(0, 1), ylim=(-rows + 0.4, 0), xticks=[], yticks=[])
        key(ax, [Patch(label=name, **shade) for name, shade in zip(series, _SHADES, strict=False)])
        for column, shares in columns.items():
            level -= 1.4
            name_row(ax, level, column, bold=True)
            for name, parts in shares.items():
                level -= 1
                numbers = " / ".join(f"{rounded(100 * part, 1)} %" for part in parts)
                name_row(ax, level, name, numbers)
                for number, (part, shade) in enumerate(zip(parts, _SHADES, strict=False)):
                    ax.barh(level + 0.16 - 0.32 * number, part, 0.28, **shade)
                said.append(f"{column}, {name} {numbers}")
            level -= 0.2
        describe(ax, f"Shares in {' / '.join(series)}: {'; '.join(said)}.")
    return ax
