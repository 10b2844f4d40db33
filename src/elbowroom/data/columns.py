"""What each column of a table is: constant, a few values, counts, rounded, continuous with atoms, or continuous."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import Limits, Support, infer_support

from .determined import determined

__all__ = ["ALIKE_FROM", "Column", "alike", "column_rows", "column_support", "judge_columns", "recorded_step"]

Floats = NDArray[np.float64]

ALIKE_FROM = 50  # columns: more whole numbers than that are pixels, genes or words, and of one kind
_MOST_LEVELS = 256
_FEW = 20  # different values that are levels, whatever lies between them
_OFTEN = 5  # times, that each of them occurs on average
_COUNTS_REACH, _COUNTS_FROM = 10, 0.2  # counts begin near 0, or far below their greatest: salaries do not
_SHARE = 0.15  # how near shares come to 0 and to 1
_ATOM = 0.03  # share of the rows from which one value of a continuous column is an atom
_ROUNDED_ATOM = 0.2  # the same where values were rounded, so that all repeat
_ABOVE_OTHERS = 5.0  # times as often as the next value
_MOST_ATOMS = 4
_TIED = 0.1  # share of the values that repeat an earlier one
_MOSTLY = 0.5  # the same, where most do
_VISIBLE = 0.01  # of a standard deviation: steps that a fitted density could make out
_FILLED = 4  # steps from the least to the greatest per different value: of these many occur
_DECIMALS = 7
_EXACT = 2.0**53  # from here on all floats are whole
_UNIT = "continuous in [0, 1]: a density there"


@dataclass(frozen=True)
class Column:
    """What a column of a table is.

    Parameters
    ----------
    name : str
        Its name, or its number from 0.
    support : Support or None
        Where its values lie; None for a column that is left out.
    why : str
        The reason, as the end of a sentence about the column.
    """

    name: str
    support: Support | None
    why: str


def alike(x: NDArray[Any], limits: Limits, named: bool) -> bool:
    """Whether the columns of a table are whole numbers of one kind, as pixels and genes are, with one support.

    Parameters
    ----------
    x : array
        [n, columns], NaN where a cell is missing.
    limits : Limits
        Of x.
    named : bool
        Whether the columns have names, and so may each be of its own kind.

    Returns
    -------
    bool
        For whole numbers from 0 in many columns, in columns that reach about as far, or in columns without names of
        which all take more than two values.
    """
    if not limits.whole or limits.low < 0:
        return False
    if x.shape[1] > ALIKE_FROM:
        return True
    highest = np.fmax.reduce(x, axis=0)
    changing = highest[np.fmin.reduce(x, axis=0) < highest]
    return bool(changing.size) and bool(changing.min() >= (limits.high / 4 if named else min(2, limits.high)))


def column_rows(judged: Sequence[Column], most: int = 40) -> list[tuple[str, str]]:
    """Columns and what is said of them, those in a row that are alike together.

    Parameters
    ----------
    judged : sequence of Column
        Of a table.
    most : int, default 40
        How many rows there are at most.

    Returns
    -------
    list of (str, str)
        Names and the reason.

    Examples
    --------
    >>> column_rows([Column("a", None, "always 3"), Column("b", None, "always 4"), Column("c", None, "always 4")])
    [('a', 'always 3'), ('b … c (2)', 'always 4')]
    """
    rows = []
    for why, run in groupby(judged, key=lambda one: one.why):
        names = [one.name for one in run]
        rows.append((names[0] if len(names) == 1 else f"{names[0]} … {names[-1]} ({len(names)})", why))
    return rows[:most] + ([("…", f"{len(rows) - most} more")] if len(rows) > most else [])


def judge_columns(x: NDArray[Any], names: Sequence[str], classes: dict[str, list[str]]) -> list[Column]:
    """What each column of a table is.

    Parameters
    ----------
    x : array
        [n, columns], NaN where a cell is missing; columns of words hold codes.
    names : sequence of str
        Of the columns.
    classes : dict of list
        Of the columns of words, the words.

    Returns
    -------
    list of Column
        In the order of the columns.
    """
    rows = _rows_for_ties(x)
    found = [
        _of_words(name, classes[name]) if name in classes else Column(name, *column_support(column[rows]))
        for name, column in zip(names, x.T, strict=True)
    ]
    if all(one.support and one.support == Support("real") for one in found) and infer_support(x).kind == "unit":
        found = [Column(one.name, Support("unit"), _UNIT) for one in found]
    return _without_determined(x, _of_one_kind(found))


def _of_words(name: str, words: list[str]) -> Column:
    if len(words) < 2:
        return Column(name, None, f"always {words[0]!r}: left out" if words else "without any value: left out")
    return Column(name, Support("categorical", len(words)), f"{len(words)} different words: a probability of each")


def _rows_for_ties(x: NDArray[Any]) -> Any:
    """The rows by which columns are judged: without repeated ones, whose values would look like ties of a column.

    Rows are known to repeat as a whole where some column tells nearly all different rows apart.
    """
    if x.shape[1] < 2:
        return slice(None)
    hashes = [hash(row.tobytes()) for row in np.ascontiguousarray(x)]
    _, first, times = np.unique(hashes, return_index=True, return_counts=True)
    if (times > 1).mean() < _TIED:  # few rows that repeat often are atoms, such as dry days
        return slice(None)
    telling = max(len(np.unique(column[first])) for column in x.T)
    return np.sort(first) if telling >= (1 - _TIED) * len(first) else slice(None)


def column_support(values: NDArray[Any]) -> tuple[Support | None, str]:
    """The support of a column of numbers, and why.

    Parameters
    ----------
    values : array
        [n], NaN where a cell is missing.

    Returns
    -------
    support : Support or None
        None for a column that has one value, or none.
    why : str
        In words.

    Examples
    --------
    >>> support, why = column_support(np.array([-1.0, 1.0, 1.0, -1.0]))
    >>> str(support), why
    ('binary {-1, 1}', 'two values, -1 and 1: a probability of each')
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    distinct, counts = np.unique(values, return_counts=True)
    if distinct.size < 2:
        return None, f"always {distinct[0]:.10g}: left out" if distinct.size else "without any value: left out"
    if distinct.size == 2:
        said = f"two values, {distinct[0]:.10g} and {distinct[1]:.10g}: a probability of each"
        return Support("binary", values=() if tuple(distinct) == (0, 1) else tuple(map(float, distinct))), said
    if np.abs(distinct).max() < _EXACT and (distinct == np.round(distinct)).all():
        return _whole(values, distinct, counts)
    return _fractions(values, distinct, counts)


def _whole(values: Floats, distinct: Floats, counts: NDArray[np.int64]) -> tuple[Support, str]:
    low, high = distinct[0], distinct[-1]
    step = float(np.gcd.reduce(np.diff(distinct).astype(np.int64)))
    if _few(distinct, counts) and np.median(np.diff(distinct)) >= _FILLED * step:  # codes, far apart
        return _by_rank(distinct)
    levels = int((high - low) / step) + 1
    if levels <= _MOST_LEVELS:
        table = () if (low, step) == (0, 1) else tuple(float(low + step * i) for i in range(levels))
        what = "whole numbers" if step == 1 else f"whole numbers in steps of {step:.10g}"
        return Support("grid", levels, values=table), f"{what} {low:.10g}…{high:.10g}: a probability of each"
    if 0 <= low <= max(_COUNTS_REACH, _COUNTS_FROM * high) and step == 1:
        return Support("counts"), f"whole numbers from {low:,.0f} to {high:,.0f}: counts, a probability of each"
    return _continuous(values, distinct, counts, step)


def _fractions(values: Floats, distinct: Floats, counts: NDArray[np.int64]) -> tuple[Support, str]:
    """Few levels, or numbers recorded in steps, or ranks where most values repeat, or a density."""
    if _few(distinct, counts):
        return _by_rank(distinct)
    between = np.isin(distinct, _atoms(distinct, counts, rounded=False), invert=True)
    tied = _tied(counts[between])
    step = recorded_step(distinct[between], even=tied >= _TIED)
    inner = distinct[between]
    visible = step is not None and (
        step >= _VISIBLE * _spread(values[np.isin(values, inner)])
        or inner[-1] - inner[0] <= _FILLED * inner.size * step
    )
    if not visible and tied >= _MOSTLY:
        return _by_rank(distinct)
    return _continuous(values, distinct, counts, step if visible or tied >= _TIED else None)


def _few(distinct: Floats, counts: NDArray[np.int64]) -> bool:
    return distinct.size <= _FEW and bool(counts.mean() >= _OFTEN)


def _by_rank(distinct: Floats) -> tuple[Support, str]:
    said = f"{distinct.size} different values, {distinct[0]:.6g}…{distinct[-1]:.6g}: a probability of each"
    return Support("grid", int(distinct.size), values=tuple(map(float, distinct))), said


def _continuous(values: Floats, distinct: Floats, counts: NDArray[np.int64], step: float | None) -> tuple[Support, str]:
    """Real numbers, recorded in steps or not, with atoms or without."""
    atoms = _atoms(distinct, counts, rounded=step is not None)
    tied = _tied(counts[np.isin(distinct, atoms, invert=True)])
    said = "continuous: a density"
    if not atoms and step is None and 0 <= distinct[0] <= _SHARE and 1 - _SHARE <= distinct[-1] <= 1:
        return Support("unit"), _UNIT
    if step is not None:
        said = f"recorded in steps of {step:.6g}: a density, of which each value gets the step around it"
    elif tied >= _TIED:
        said += f", although {tied:.0%} of the values repeat another"
    if atoms:
        shares = [f"{a:.6g} in {counts[distinct == a][0] / values.size:.0%} of the rows" for a in atoms]
        said = f"{', '.join(shares)}, else {said}, and a probability of {'this' if len(atoms) == 1 else 'these'}"
    return Support("real", atoms=tuple(atoms), step=step), said


def _tied(counts: NDArray[np.int64]) -> float:
    """Share of the values that repeat an earlier one."""
    return 1 - counts.size / int(counts.sum()) if counts.size else 0.0


def _atoms(distinct: Floats, counts: NDArray[np.int64], rounded: bool) -> list[float]:
    """Values that occur far more often than others do, ascending."""
    least = max((_ROUNDED_ATOM if rounded else _ATOM) * counts.sum(), 4)
    often = np.sort(counts)[::-1]
    usual = often[min(_MOST_ATOMS, often.size - 1)]
    most = [i for i in np.argsort(-counts)[:_MOST_ATOMS] if counts[i] >= max(least, _ABOVE_OTHERS * usual)]
    return sorted(float(distinct[i]) for i in most)


def _spread(values: Floats) -> float:
    """A standard deviation that outliers do not move."""
    low, high = np.quantile(values, [0.25, 0.75])
    deviation = float(values.std())
    return min(deviation, (high - low) / 1.349) if high > low else deviation


def recorded_step(distinct: Floats, even: bool = False) -> float | None:
    """The step of the decimal grid, or of an even one, that all values lie on; None where there is none."""
    for places in range(_DECIMALS):
        scaled = distinct * 10.0**places
        if np.abs(scaled).max() > _EXACT:
            return None
        nearest = np.round(scaled)
        if (np.abs(scaled - nearest) <= np.minimum(2e-7 * np.abs(scaled) + 1e-9, 0.02)).all():
            return float(np.gcd.reduce(np.diff(nearest).astype(np.int64))) / 10.0**places or None
    if not even:
        return None
    least, spread = float(np.diff(distinct).min()), float(distinct[-1] - distinct[0])
    if not least * _EXACT > spread:  # so many steps that floats do not count them
        return None
    least = spread / np.round(spread / least)
    places_from_low = (distinct - distinct[0]) / least
    return float(least) if (np.abs(places_from_low - np.round(places_from_low)) < 0.02).all() else None


def _of_one_kind(found: list[Column]) -> list[Column]:
    """Whole numbers of many levels are taken as rounded where all else is continuous: log p(x) is then of one kind.

    Those that reach down to 0 stay what they are: counts of something.
    """
    grids = [one.support if one.support and one.support.kind == "grid" else None for one in found]
    many = [
        grid is not None
        and (grid.levels or 0) > _FEW
        and bool(grid.values)
        and not 0 <= grid.values[0] <= _COUNTS_REACH
        for grid in grids
    ]
    rest = [one.support for one, grid in zip(found, many, strict=True) if one.support and not grid]
    if not any(many) or not all(one.continuous for one in rest):
        return found
    return [_as_rounded(one) if grid else one for one, grid in zip(found, many, strict=True)]


def _as_rounded(column: Column) -> Column:
    values = column.support.values if column.support else ()
    step = values[1] - values[0] if values else 1.0
    if not np.allclose(np.diff(values), step, rtol=1e-9):
        return column
    said = f"whole numbers, recorded in steps of {step:.6g}: a density, of which each value gets the step around it"
    return Column(column.name, Support("real", step=step), said)


def _without_determined(x: NDArray[Any], found: list[Column]) -> list[Column]:
    """Columns of densities that others determine are left out: a density on them has no bound."""
    places = [i for i, one in enumerate(found) if one.support and one.support.continuous and not _coarse(x, i, one)]
    by = determined(x[:, places].astype(np.float64), [_recorded(x[:, i]) for i in places])
    for place, others in by.items():
        names = ", ".join(found[places[i]].name for i in others)
        name = found[places[place]].name
        found[places[place]] = Column(name, None, f"determined by {names}: left out, as a density on it has no bound")
    return found


def _recorded(values: NDArray[Any]) -> float:
    """The step that a column was recorded in, however small; 0 where there is none."""
    return recorded_step(np.unique(values[~np.isnan(values)].astype(np.float64))) or 0.0


def _coarse(x: NDArray[Any], place: int, column: Column) -> bool:
    """Whether a column is rounded so that its steps bound any density on it."""
    step = column.support.step if column.support else None
    values = x[:, place].astype(np.float64)
    return step is not None and bool(step >= _VISIBLE * _spread(values[~np.isnan(values)]))
