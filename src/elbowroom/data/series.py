"""A column of a pandas DataFrame, whatever its type, as numbers or classes."""

import datetime
import numbers
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elbowroom.numerics import InputError

from .cells import DATES, MERGED, NAMES, Column, Origin, exactly, of_classes, of_texts
from .notation import absent, marks_in

__all__ = ["column_of", "is_index", "looks_odd", "read_as_missing", "words_or_numbers"]

_EXACT = 2**53
_TIMES = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64, pd.Period)
_NINES = {sign * float("9" * digits) for digits in range(3, 8) for sign in (1, -1)}
_SENTINELS = _NINES | {-99.0, -999.9, -9999.9, -999.25, -32768.0, -(2.0**31), 2.0**31 - 1, 1e20, 9.969209968386869e36}
_LEAST_RUNNING = 5
_INDEX_NAMES = {"rownames", "rowname", "rowid", "rownumber", "index", "idx", "id"}
_COUNT_NAMES = _INDEX_NAMES | {"row", "nr", "obs", "x"}
_NUMBERS = numbers.Number | Decimal | np.number | np.bool_


def column_of(series: pd.Series, origin: Origin) -> Column:
    """What a column of a DataFrame holds.

    Parameters
    ----------
    series : Series
        Of any type.
    origin : Origin
        Where it comes from.

    Returns
    -------
    Column
        Numbers, classes, or why it is left out.

    Raises
    ------
    InputError
        For complex numbers, and numbers that may be read in two ways.
    """
    dtype, kind = series.dtype, getattr(series.dtype, "kind", "O")
    if isinstance(dtype, pd.SparseDtype):
        return column_of(series.sparse.to_dense(), origin)
    if isinstance(dtype, pd.CategoricalDtype):
        return _of_categories(series, origin)
    if kind == "c":
        raise _complex_error(origin)
    if kind in "mM" or isinstance(dtype, pd.PeriodDtype):
        return _left_out(len(series), DATES)
    if kind in "buif":
        return _of_numbers(series)
    return _of_objects(series.astype(object), origin)


def words_or_numbers(series: pd.Series, origin: Origin) -> Any:
    """A column that is taken out of x: numbers in their own type, a categorical column as it is, else words.

    Parameters
    ----------
    series : Series
        Of any type.
    origin : Origin
        Where it comes from.

    Returns
    -------
    array or Series
        [n]; objects, None where a word is missing.
    """
    if isinstance(series.dtype, pd.CategoricalDtype):
        return series
    cells = [None if absent(cell) else cell for cell in series.astype(object)]
    column = column_of(series, origin)
    stated = not origin.delimiter and any(isinstance(cell, str) for cell in cells)  # words, whatever they say
    if column.words is None and not column.out and not stated:
        return column.values
    words = np.empty(len(cells), dtype=object)
    words[:] = [cell.strip() if isinstance(cell, str) else cell for cell in cells]
    empty = marks_in({cell for cell in words if isinstance(cell, str)})
    words[[isinstance(cell, str) and cell in empty for cell in words]] = None
    return words


def read_as_missing(series: pd.Series, values: Any) -> list[str]:
    """The texts of a column that stand for no value, other than those that always do.

    Parameters
    ----------
    series : Series
        Of any type.
    values : array or Series
        [n], what was read of it.

    Returns
    -------
    list of str
        Such as "-", each once.
    """
    pairs = zip(series.astype(object), values, strict=True)
    return sorted({cell.strip() for cell, value in pairs if isinstance(cell, str) and absent(value) > absent(cell)})


def _left_out(n: int, why: str) -> Column:
    return Column(np.full(n, np.nan), out=why)


def _complex_error(origin: Origin) -> InputError:
    return InputError(
        f"{origin.what} holds complex numbers in column {NAMES}: give their real and imaginary parts, or drop it."
    )


def _of_numbers(series: pd.Series) -> Column:
    if isinstance(series.dtype, np.dtype):
        values = series.to_numpy()
    else:
        values = series.to_numpy("float64", na_value=np.nan) if series.isna().any() else series.to_numpy()
    if series.dtype.kind in "iu" and len(values):
        known = [int(value) for value in series.dropna() if abs(int(value)) > _EXACT] if _large(values) else []
        if any(int(float(value)) != value for value in known):
            return _left_out(len(values), MERGED)
    return Column(values)


def _large(values: NDArray[Any]) -> bool:
    return max(float(np.fmax.reduce(values)), -float(np.fmin.reduce(values))) >= _EXACT


def _of_categories(series: pd.Series, origin: Origin) -> Column:
    """Classes in their stated order; true and false are numbers, and so are numbers too many to be classes."""
    categories = series.cat.categories
    if categories.dtype.kind == "b":
        return column_of(series.astype("boolean"), origin)
    if categories.dtype.kind in "mM" or isinstance(categories.dtype, pd.PeriodDtype):
        return _left_out(len(series), DATES)
    codes = np.asarray(series.cat.codes, dtype=np.int64)
    codes[np.isin(codes, [code for code, one in enumerate(categories) if absent(one)])] = -1
    column = of_classes(codes, _names(categories), origin)
    if column.out and categories.dtype.kind in "iuf":
        return column_of(series.astype("Float64" if series.isna().any() else categories.dtype), origin)
    return column


def _names(categories: Any) -> list[str]:
    names = [str(one) for one in categories]
    return names if len(set(names)) == len(names) else [repr(one) for one in categories]


def _of_objects(series: pd.Series, origin: Origin) -> Column:
    """Texts, numbers of any class, dates, or neither."""
    gaps = np.array([absent(cell) for cell in series], dtype=bool)
    cells = [_text_of(cell) if isinstance(cell, bytes | pd.Interval) else cell for cell in series[~gaps]]
    if all(isinstance(cell, bool | np.bool_) for cell in cells):
        return _spread(gaps, cells, bool if cells and not gaps.any() else float)
    if any(isinstance(cell, complex | np.complexfloating) for cell in cells):
        raise _complex_error(origin)
    if all(isinstance(cell, _NUMBERS) for cell in cells):
        return exactly(map(_exact, cells), _spread(gaps, cells, float))
    if all(isinstance(cell, _TIMES) for cell in cells):
        return _left_out(len(series), DATES)
    if not all(isinstance(cell, str | _NUMBERS) for cell in cells):
        odd = next(cell for cell in cells if not isinstance(cell, str | _NUMBERS))
        return _left_out(len(series), f"values of type {type(odd).__name__}, neither numbers nor words")
    texts = pd.Series(np.nan, index=range(len(gaps)), dtype=object)
    texts[~gaps] = [str(cell) for cell in cells]
    codes, different = pd.factorize(texts)
    column = of_texts(codes.astype(np.int64), [str(text) for text in different], origin)
    if column.words is None and not column.out and not origin.delimiter and cells and not column.notes:
        column.notes.append(f"Texts read as the numbers that they hold: {NAMES}.")
    return column


def _exact(cell: Any) -> Fraction | float:
    """A number without rounding."""
    if isinstance(cell, numbers.Integral | np.bool_):
        return Fraction(int(cell))
    finite = np.isfinite(float(cell))
    return Fraction(cell if isinstance(cell, Decimal | Fraction) else float(cell)) if finite else float(cell)


def _text_of(cell: Any) -> str:
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)


def _spread(gaps: NDArray[np.bool_], cells: list[Any], kind: type) -> Column:
    values = np.full(len(gaps), np.nan) if kind is float else np.zeros(len(gaps), kind)
    values[~gaps] = [kind(cell) for cell in cells]
    return Column(values)


def is_index(name: str, place: int, values: NDArray[Any]) -> bool:
    """Whether a column is the index of a table that was written with it.

    Parameters
    ----------
    name : str
        Its name.
    place : int
        Which column it is.
    values : array
        [n] numbers.

    Returns
    -------
    bool
        True for a first column without a name, or one that pandas called "Unnamed: 0", of whole numbers that all
        differ, or that is called as an index is; and for a first column by a usual name that counts the rows.
    """
    called = name.lower().replace("_", "").replace(" ", "") if place == 0 else "no index"
    if called in _COUNT_NAMES and _counts_rows(values):
        return True
    unnamed = called == "" or called in _INDEX_NAMES or name.startswith("Unnamed: 0")
    if not unnamed or values.dtype.kind not in "iuf" or len(values) < 2:
        return False
    return bool((values == np.round(values)).all()) and len(np.unique(values)) == len(values)


def looks_odd(values: NDArray[Any]) -> list[str]:
    """Notes on a column of numbers that may be something else: a count of the rows, or dates.

    Parameters
    ----------
    values : array
        [n] numbers, NaN where a cell is missing.

    Returns
    -------
    list of str
        Sentences, with `NAMES` for the name of the column.
    """
    if values.dtype.kind not in "iuf" or not len(values):
        return []
    low, high = float(np.fmin.reduce(values)), float(np.fmax.reduce(values))
    if 1900_01_01 <= low < high <= 2100_12_31 and _are_days(values):
        return [f"May be dates, written as whole numbers: {NAMES}; leave it out by drop=, or give days instead."]
    if len(values) >= _LEAST_RUNNING and _counts_rows(values):
        return [f"Counts the rows one by one: {NAMES}; where it says nothing else, leave it out by drop=."]
    return []


def _counts_rows(values: NDArray[Any]) -> bool:
    """Whether whole numbers rise by one from row to row."""
    if values.dtype.kind not in "iuf" or len(values) < 2 or not np.isfinite(values).all():
        return False
    return bool((np.diff(values.astype(np.float64)) == 1).all())


def _are_days(values: NDArray[Any]) -> bool:
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    month, day = known // 100 % 100, known % 100
    return bool(((month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all())
