"""Rows of strips and bars: columns of a table in quantiles and classes, and the variance that each model has."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from elbowroom.numerics import InputError, count, rounded, with_error

from .style import ACCENT, INK, PAPER, SOFT, canvas, describe, is_narrow, key, name_row, note

COLUMN_LIMIT = 24
"""Columns drawn at most: the first of the table."""

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LOOKS: Any = [{"color": ACCENT, "alpha": 0.9}, {"color": INK, "alpha": 0.5}, {"color": SOFT, "alpha": 0.6}]

_AXIS = "% of the held-out data's variance"
_LONGEST, _TALL, _DASHES = 250.0, 16.0, (0, (3, 4))
# Dark, pale and hollow with a dashed rim, so that they differ in grey print too.
_SHADES: list[Any] = [{"fc": ACCENT}, {"fc": SOFT, "alpha": 0.35}, {"fc": PAPER, "ec": INK, "ls": (0, (3, 2))}]


def quantile_strips(series: Mapping[str, ArrayLike], columns: Sequence[str], *, ax: Axes | None = None) -> Axes:
    """For each column one strip per series: 5–95 % thin, 25–75 % thick, a tick at the median.

    Every column has an axis of its own, from its least to its greatest quantile, whose ends are printed.

    Parameters
    ----------
    series : mapping of str to array [n, columns]
        The values of each series, the data first; three series at most, which have a shade each.
    columns : sequence of str
        What the columns are called; the first `COLUMN_LIMIT` are drawn.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where there are more series.

    Examples
    --------
    >>> ax = quantile_strips({"data": [[0.0], [10.0]]}, ["age"])
    >>> ax.get_label()
    '1 column; medians: age: data 5.'
    """
    _at_most(len(_LOOKS), series, "Quantile strips have")
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


def _at_most(most: int, names: Collection[str], what: str) -> None:
    """Refuse what no shade is left for."""
    if len(names) > most:
        raise InputError(f"{what} {most} shades, and {', '.join(names)} are {len(names)}; draw {most} at most.")


def _quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.nanquantile(values, _QUANTILES) if np.isfinite(values).any() else np.full(5, np.nan)


def _end(value: float, width: float) -> str:
    """An end of an axis, with the digits that tell the ends apart: the years 2007 and 2009, and not 2.01e+03 twice."""
    size = max(abs(value), 1e-300)
    digits = max(math.ceil(math.log10(size / width)) + 2, 3)
    whole = math.floor(math.log10(size)) + 1
    return f"{value:.{min(max(digits, whole) if whole <= 6 else digits, 15)}g}".replace("-", "−")


def _column(ax: Axes, level: float, quantiles: NDArray[np.float64]) -> None:
    known = quantiles[np.isfinite(quantiles)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    low, high = (low, high) if low < high else (low - 0.5, high + 0.5)
    note(ax, _end(low, high - low), (0, level), (-8, 0), ha="right")
    note(ax, _end(high, high - low), (1, level), (8, 0))
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

    Raises
    ------
    InputError
        Where there are more series, or a class has not one share for each.

    Examples
    --------
    >>> ax = class_shares({"colour": {"red": (0.5, 0.25), "blue": (0.5, 0.75)}}, ("data", "samples"))
    >>> [float(bar.get_width()) for bar in ax.patches]
    [0.5, 0.25, 0.5, 0.75]
    """
    _at_most(2, series, "Shares of classes have")
    for name, parts in ((name, parts) for shares in columns.values() for name, parts in shares.items()):
        if len(parts) != len(series):
            raise InputError(f"Class {name!r} has {len(parts)} shares; give one for each of {', '.join(series)}.")
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


@dataclass(frozen=True)
class Bar:
    """One model of `stacked_bars`.

    Parameters
    ----------
    name : str
        What it is called.
    parts : tuple of float
        Per cent of the data's variance, from the left; one below zero takes away from those before it.
    number : str, default ""
        What stands beside the bar.
    bold : bool, default False
        Whether the model is set apart.
    """

    name: str
    parts: tuple[float, ...]
    number: str = ""
    bold: bool = False


def variance_bars(splits: Mapping[str, Any], *, own: str | None = None, ax: Axes | None = None) -> Axes:
    """The variance of x that each model has, in latent and noise, beside that of the data.

    Parameters
    ----------
    splits : mapping of str to VarianceBudget
        What `er.variance_budget` returns, by the name of the model.
    own : str, default None
        The name that is set apart.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where the data or a model have no variance, or a variance is not finite.

    References
    ----------
    The law of total variance, Var x = Var E[x | z] + E Var[x | z].

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> ax = variance_bars({"VAE": SimpleNamespace(data=4.0, latent=3.0, noise=1.0, latent_share_se=0.01)})
    >>> [text.get_text() for text in ax.texts if "latent" in text.get_text()]
    ['75.0 ± 1.0 % latent']
    """
    bars = []
    for name, split in splits.items():
        if not (split.data and split.latent + split.noise):
            raise InputError(
                f"{name!r} has no bar: the variance of the data or of the model is 0, so nothing is per cent of it."
            )
        share, error = 100 * split.latent / (split.latent + split.noise), getattr(split, "latent_share_se", None)
        number = rounded(share, 1) if error is None else with_error(share, 100 * error)
        parts = (100 * split.latent / split.data, 100 * split.noise / split.data)
        bars.append(Bar(name, parts, f"{number} % latent", name == own))
    return stacked_bars(bars, ("latent, Var E[x | z]", "noise, E Var[x | z]"), ax=ax)


def ink_bars(budgets: Mapping[str, Any], *, own: str | None = None, ax: Axes | None = None) -> Axes:
    """The variance of the sum of all elements of x, in which covariances show, beside that of the data.

    Parameters
    ----------
    budgets : mapping of str to VarianceBudget
        What `er.variance_budget` returns, by the name of the model.
    own : str, default None
        The name that is set apart.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where the sum has no variance in the data, or a variance is not finite.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> budget = SimpleNamespace(ink_data=10, ink_latent=5, ink_noise_diagonal=2, ink_noise_covariance=-1)
    >>> [text.get_text() for text in ink_bars({"VAE": budget}).texts if "%" in text.get_text()]
    ['100 %', '60.0 %', '60 %']
    """
    bars = []
    for name, b in budgets.items():
        if not b.ink_data:
            raise InputError(
                f"{name!r} has no bar: the variance of the sum of the data is 0, so nothing is per cent of it."
            )
        parts = tuple(100 * part / b.ink_data for part in (b.ink_latent, b.ink_noise_diagonal, b.ink_noise_covariance))
        bars.append(Bar(name, parts, f"{rounded(math.fsum(parts), 1)} %", name == own))
    return stacked_bars(bars, ("latent", "independent noise", "covariance of the noise"), ax=ax)


def stacked_bars(bars: Sequence[Bar], names: Sequence[str], *, axis: str = _AXIS, ax: Axes | None = None) -> Axes:
    """One stacked bar per model under a hollow one of the data, whose end, 100 %, is the dashed line.

    The total stands behind each bar; one that reaches beyond 250 % is cut there and ends in an arrow.

    Parameters
    ----------
    bars : sequence of Bar
        Their parts in per cent of the data's variance.
    names : sequence of str
        Of the parts, three at most.
    axis : str, default "% of the held-out data's variance"
        What 100 % is.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where there are more names than three, or a bar has more parts than names, or a part is not finite.

    Examples
    --------
    >>> ax = stacked_bars([Bar("VAE", (84.0, 16.0))], ("latent", "noise"))
    >>> ax.get_label()
    "In % of the held-out data's variance. VAE: latent 84.0 %, noise 16.0 %, together 100 %."
    """
    _at_most(len(_SHADES), names, "Stacked bars have")
    for bar in bars:
        if len(bar.parts) > len(names) or not all(map(math.isfinite, bar.parts)):
            raise InputError(f"The parts of bar {bar.name!r} must be finite numbers, {len(names)} at most, one a name.")
    reach = min(max([100.0, *(max(accumulate(bar.parts)) for bar in bars)]), _LONGEST)
    rows = [Bar("held-out data", (100.0,)), *bars]
    with canvas(ax, 58 + 32 * len(rows), 68 + 44 * len(rows), grid="x") as ax:
        ax.set(xlim=(0, reach * 1.002), ylim=(-len(bars) - 0.55, 0.55), yticks=[])
        ax.spines.bottom.set_visible(False)
        key(ax, [Patch(label=name, **shade) for name, shade in zip(names, _SHADES, strict=False)], lift=8)
        for level, bar in enumerate(rows):
            _draw(ax, -level, bar, reach, _SHADES if level else [{"fc": PAPER, "ec": INK}])
        describe(ax, f"In {axis}. " + "; ".join(_said(bar, names) for bar in bars) + ".", axis)
    return ax


def _draw(ax: Axes, level: float, bar: Bar, reach: float, shades: Sequence[Any]) -> None:
    narrow, end = is_narrow(ax), 0.0
    look = {"color": ACCENT, "weight": "bold"} if bar.bold else {}
    name_row(ax, level, bar.name, bar.number, above=17, aside=(10, 42 if narrow else 50), **look)
    thick = _TALL / (44 if narrow else 32)
    for part, shade in zip(bar.parts, shades, strict=False):
        left, right = (min(place, reach) for place in sorted((end, end + part)))
        ax.barh(level, right - left, thick, left, zorder=2, clip_on=False, **shade)
        end += part
    half = 0.28 if narrow else 0.5
    ax.vlines(100, level - half, level + half, color=INK, linewidth=1, linestyle=_DASHES, zorder=1)
    if max(accumulate(bar.parts)) > 100:  # the bar hides the line of the data
        ax.vlines(100, level - thick / 2, level + thick / 2, color=PAPER, linewidth=1, linestyle=_DASHES, zorder=3)
    if max(accumulate(bar.parts)) > reach:
        ax.plot(reach, level, ">", color=SOFT, markersize=9, clip_on=False)
    note(ax, f"{rounded(end, 0)} %", (max(min(end, reach), 100.0), level), (7, 0))


def _said(bar: Bar, names: Sequence[str]) -> str:
    parts = ", ".join(f"{name} {rounded(part, 1)} %" for name, part in zip(names, bar.parts, strict=False))
    return f"{bar.name}: {parts}, together {rounded(math.fsum(bar.parts), 0)} %"
