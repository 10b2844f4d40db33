"""From a pandas DataFrame to raw data: which columns are x, which stand beside it, which are left out and why."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from elbowroom.numerics import InputError
from elbowroom.numerics.text import name_list

from .cells import NAMES, Column, Origin
from .raw import Raw
from .series import column_of, is_index, looks_odd, read_as_missing, words_or_numbers

__all__ = ["column_names", "from_frame", "read_column"]


def from_frame(
    frame: pd.DataFrame,
    labels: Any,
    beside: Sequence[str] = (),
    what: str = "The table",
    *,
    drop: Sequence[str] = (),
    origin: Origin | None = None,
) -> tuple[Raw, Any]:
    """Raw data of a pandas DataFrame, and its labels.

    Parameters
    ----------
    frame : DataFrame
        Columns of numbers and of words; the index of its rows is left aside.
    labels : array, str or None
        The name of a column takes that column out of x.
    beside : sequence of str, default ()
        Columns that are taken out as well.
    what : str, default "The table"
        What errors call it.
    drop : sequence of str, default ()
        Columns that are left out.
    origin : Origin, optional
        Where it comes from, for the sentences about its cells.

    Returns
    -------
    raw : Raw
        The data.
    labels : array or None
        One per example.

    Raises
    ------
    InputError
        For a column that is not there, and where none is left that holds numbers or classes.
    """
    origin = origin or Origin(what)
    given = [_name_of(column) for column in frame.columns]
    asked = dict.fromkeys(beside, "for the context or observed")
    asked |= {labels: "for the labels"} if isinstance(labels, str) else {}
    places = {name: _place(given, name, use, what) for name, use in (dict.fromkeys(drop, "to drop") | asked).items()}
    taken = {name: words_or_numbers(frame.iloc[:, places[name]], origin) for name in asked}
    left = [i for i in range(len(given)) if i not in set(places.values())]
    raw = _sparse(frame, given, left) or _dense(frame, given, left, origin)
    raw.taken = taken
    for name, values in taken.items():
        texts = read_as_missing(frame.iloc[:, places[name]], values)
        raw.notes += [f"Read as missing: {' and '.join(map(repr, texts))} in {name!r}."] * bool(texts)
    return raw, taken[labels] if isinstance(labels, str) else labels


def _name_of(column: Any) -> str:
    """A name in one line; of columns in levels, the names of all levels."""
    return " / ".join(map(_name_of, column)) if isinstance(column, tuple) else " ".join(str(column).split())


def _place(names: list[str], asked: str, use: str, what: str) -> int:
    """Which column has this name."""
    if asked not in names:
        raise InputError(f"{what} has no column {asked!r} {use}; it has {name_list(names)}.")
    if names.count(asked) > 1:
        raise InputError(f"{what} has two columns named {asked!r}: give each a name of its own.")
    return names.index(asked)


def _sparse(frame: pd.DataFrame, given: list[str], left: list[int]) -> Raw | None:
    """A table of sparse columns alone whose empty cells are zeros, as a sparse matrix."""
    types = [frame.dtypes.iloc[i] for i in left]
    if not types or not all(isinstance(t, pd.SparseDtype) and t.kind in "buif" and t.fill_value == 0 for t in types):
        return None
    names = column_names(given)
    return Raw(frame.iloc[:, left].sparse.to_coo().tocsr(), columns=[names[i] for i in left])


def _dense(frame: pd.DataFrame, given: list[str], left: list[int], origin: Origin) -> Raw:
    names = column_names(given)
    found = {i: _with_odd_looks(read_column(frame.iloc[:, i], names[i], origin)) for i in left}
    index = [i for i, column in found.items() if not column.out and is_index(given[i], i, column.values)]
    notes = [f"Left out, being an index of the rows: {name_list(names[i] for i in index)}."] if index else []
    others = {i: column for i, column in found.items() if i not in index}
    kept = {i: column for i, column in others.items() if not column.out}
    if found and not kept:
        why = next((f": {names[i]!r} holds {column.out}" for i, column in others.items()), "")
        raise InputError(f"{origin.what} has no column of numbers or of classes that could be modelled{why}.")
    return Raw(
        np.stack([column.values for column in kept.values()], 1) if kept else np.empty((len(frame), 0)),
        columns=[names[i] for i in kept],
        classes={names[i]: column.words for i, column in kept.items() if column.words},
        notes=notes + _notes_of(names, others) + _renamed(given, names, list(kept)),
    )


def read_column(series: pd.Series, name: str, origin: Origin) -> Column:
    """What a column holds, as `column_of` says.

    Parameters
    ----------
    series : Series
        Of any type.
    name : str
        What errors call it.
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
    try:
        return column_of(series, origin)
    except InputError as error:
        raise InputError(str(error).replace(NAMES, repr(name))) from error


def _with_odd_looks(column: Column) -> Column:
    """A column of x, with what should be noted of it."""
    if column.words is None and not column.out:
        column.notes += looks_odd(column.values)
    return column


def column_names(given: Sequence[Any]) -> list[str]:
    """The names of columns, each in one line, and one of its own for a column that has none or another's.

    Parameters
    ----------
    given : sequence
        As a table has them.

    Returns
    -------
    list of str
        All different.
    """
    names: dict[str, None] = {}
    for place, name in enumerate(map(_name_of, given)):
        own, times = name or f"column {place + 1}", 2
        while own in names:
            own, times = f"{name} ({times})", times + 1
        names[own] = None
    return list(names)


def _renamed(given: list[str], names: list[str], kept: list[int]) -> list[str]:
    others = [names[i] for i in kept if given[i] and names[i] != given[i]]
    return [f"Columns whose name another has were given their own: {name_list(others)}."] if others else []


def _notes_of(names: list[str], found: Mapping[int, Column]) -> list[str]:
    """What is said of the columns, in one sentence where the same is said of several."""
    said: dict[str, list[str]] = {}
    for place, column in found.items():
        for note in [f"Left out: {NAMES} ({column.out})."] * bool(column.out) + column.notes:
            said.setdefault(note, []).append(names[place])
    ordered = sorted(said.items(), key=lambda pair: not pair[0].startswith("Left out"))
    return [note.replace(NAMES, name_list(them)) for note, them in ordered]
