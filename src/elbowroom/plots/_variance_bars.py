"""Stacked bars: how the variance of each model is made up, beside the variance of the data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from elbowroom.numerics import rounded, with_error

from .style import ACCENT, INK, PAPER, SOFT, canvas, describe, is_narrow, key, name_row, note

_AXIS = "% of the held-out data's variance"
_LONGEST, _TALL, _DASHES = 250.0, 16.0, (0, (3, 4))
# Dark, pale and hollow with a dashed rim, so that they differ in grey print too.
_SHADES: list[Any] = [{"fc": ACCENT}, {"fc": SOFT, "alpha": 0.35}, {"fc": PAPER, "ec": INK, "ls": (0, (3, 2))}]


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

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> budget = SimpleNamespace(ink_data=10, ink_latent=5, ink_noise_diagonal=2, ink_noise_covariance=-1)
    >>> [text.get_text() for text in ink_bars({"VAE": budget}).texts if "%" in text.get_text()]
    ['100 %', '60.0 %', '60 %']
    """
    bars = []
    for name, b in budgets.items():
        parts = tuple(100 * part / b.ink_data for part in (b.ink_latent, b.ink_noise_diagonal, b.ink_noise_covariance))
        bars.append(Bar(name, parts, f"{rounded(math.fsum(parts), 1)} %", name == own))
    return stacked_bars(bars, ("latent", "independent noise", "covariance of the noise"), ax=ax)


def stacked_bars(bars: Sequence[Bar], names: Sequence[str], *, axis: str = _AXIS, ax: Axes | None = None) -> Axes:
    """One stacked bar per model under a hollow one of the data, whose end, 100 %, is the dashed line.

    The total stands behind each bar; one beyond 250 % is cut there and ends in an arrow.

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

    Examples
    --------
    >>> ax = stacked_bars([Bar("VAE", (84.0, 16.0))], ("latent", "noise"))
    >>> ax.get_label()
    "In % of the held-out data's variance. VAE: latent 84.0 %, noise 16.0 %, together 100 %."
    """
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
    if end > reach:
        ax.plot(reach, level, ">", color=SOFT, markersize=9, clip_on=False)
    note(ax, f"{rounded(end, 0)} %", (max(min(end, reach), 100.0), level), (7, 0))


def _said(bar: Bar, names: Sequence[str]) -> str:
    parts = ", ".join(f"{name} {rounded(part, 1)} %" for name, part in zip(names, bar.parts, strict=False))
    return f"{bar.name}: {parts}, together {rounded(math.fsum(bar.parts), 0)} %"
