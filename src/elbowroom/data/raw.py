"""Data as a source gives them, before support, split and preprocessing; and what may be in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, Support

from .values import is_sparse

__all__ = [
    "Raw",
    "absent",
    "as_numbers",
    "columns_of",
    "floats_or_words",
    "from_array",
    "from_frame",
    "is_number",
    "name_list",
    "without_columns",
]

_MOST_WORDS = 256


@dataclass
class Raw:
    """What a source holds, before support, split and preprocessing.

    Parameters
    ----------
    x : array, memory-mapped array or CSR matrix
        [n, D] for a table, [n, H, W] or [n, C, H, W] for images; NaN where a cell is missing.
    labels : array, optional
        Of any kind, one per example.
    label_names : list of str, optional
        Names of the classes, where labels are codes.
    columns : list of str, optional
        Names of a table's columns.
    support : Support, optional
        Where the source says it.
    official : tuple of int, default (0, 0)
        How many of the last rows are the official validation and test parts, in this order.
    notes : list of str, default []
        What a person should know.
    classes : dict of list, default {}
        Of the columns that came in words, the words in the order of their codes in x.
    taken : dict of array, default {}
        Columns that were asked for by name beside x, as they came.
    """

    x: Any
    labels: Any = None
    label_names: list[str] | None = None
    columns: list[str] | None = None
    support: Support | None = None
    official: tuple[int, int] = (0, 0)
    notes: list[str] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)
    taken: dict[str, NDArray[Any]] = field(default_factory=dict)


def as_numbers(values: Any, what: str) -> NDArray[Any]:
    """An array of numbers or booleans.

    Parameters
    ----------
    values : Any
        Rows.
    what : str
        What errors call them.

    Returns
    -------
    array
        The same.

    Raises
    ------
    InputError
        For ragged rows, and for anything but numbers.
    """
    try:
        array = values if isinstance(values, np.memmap) else np.asarray(values)
    except ValueError as error:
        raise InputError(f"{what} is ragged: every row needs the same number of values.") from error
    if array.dtype.kind not in "buif":
        raise InputError(f"{what} holds {array.dtype} values; give numbers.")
    return array


def from_array(values: Any, what: str = "The array") -> Raw:
    """Raw data of an array; memory-mapped arrays are not read, sparse matrices not densified.

    Parameters
    ----------
    values : array, memory-mapped array or sparse matrix
        [n, D] for a table; [n, H, W], [n, C, H, W] or [n, H, W, C] for images.
    what : str, default "The array"
        What errors call it.

    Returns
    -------
    Raw
        Channels first.

    Raises
    ------
    InputError
        For another shape, or what are no numbers.
    """
    if is_sparse(values):
        if values.ndim != 2 or values.dtype.kind not in "buif":
            raise InputError(f"{what} is sparse, of shape {values.shape} and type {values.dtype}: give [n, columns].")
        return Raw(values.tocsr())
    x = as_numbers(values, what)
    if x.ndim == 1:
        raise InputError(f"{what} has shape {x.shape}: one row per example is needed; one column? use x[:, None].")
    if not 2 <= x.ndim <= 4:
        raise InputError(f"{what} has shape {x.shape}: give [n, columns], [n, H, W] or [n, C, H, W].")
    raw = Raw(x)
    if x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        raw.x = x.transpose(0, 3, 1, 2)
        raw.notes.append("The channels came last; they now come first.")
    return raw


def from_frame(frame: Any, labels: Any, beside: Sequence[str] = (), what: str = "The table") -> tuple[Raw, Any]:
    """Raw data of a pandas DataFrame, and its labels.

    Parameters
    ----------
    frame : DataFrame
        Columns of numbers and of words.
    labels : array, str or None
        The name of a column takes that column out of x.
    beside : sequence of str, default ()
        Columns that are taken out as well.
    what : str, default "The table"
        What errors call it.

    Returns
    -------
    raw : Raw
        The data.
    labels : array or None
        One per example.

    Raises
    ------
    InputError
        For a column that is not there, or holds neither numbers nor classes.
    """
    wanted = [*beside, labels] if isinstance(labels, str) else list(beside)
    for name in wanted:
        if name not in frame.columns:
            use = "labels" if name not in beside else "context or observed"
            raise InputError(f"{what} has no column {name!r} for the {use}; it has {name_list(frame.columns)}.")
        if list(frame.columns).count(name) > 1:
            raise InputError(f"{what} has two columns named {name!r}: give each a name of its own.")
    taken = {name: _cells(frame[name]) for name in wanted}
    frame = frame.drop(columns=wanted)
    columns = [str(c) for c in frame.columns]
    x, classes = columns_of(columns, [_cells(frame.iloc[:, i]) for i in range(len(columns))], what)
    x = x if columns else np.empty((len(frame), 0))
    return Raw(x, columns=columns, classes=classes, taken=taken), taken[labels] if isinstance(labels, str) else labels


def without_columns(raw: Raw, out: NDArray[np.bool_], why: str) -> Raw:
    """A table without some of its columns, and a note that names them.

    Parameters
    ----------
    raw : Raw
        With x [n, columns].
    out : array
        [columns], True where one is left out.
    why : str
        What is said of them.

    Returns
    -------
    Raw
        The other columns.

    Raises
    ------
    InputError
        Where the table is memory-mapped, of which no columns can be left out without reading it whole.
    """
    names = [(raw.columns or list(map(str, range(len(out)))))[i] for i in np.flatnonzero(out)]
    if isinstance(raw.x, np.memmap):
        raise InputError(f"Memory-mapped columns have {why} ({name_list(names)}): leave them out of the file.")
    kept = np.flatnonzero(~out)
    columns = raw.columns and [raw.columns[i] for i in kept]
    note = f"Left out: {name_list(names)} ({why})."
    return replace(raw, x=raw.x[:, kept], columns=columns, notes=[*raw.notes, note])


def _cells(column: Any) -> NDArray[Any]:
    """A column of a DataFrame: numbers in their own type, or its words as they are."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "buif":
        return np.asarray(column.to_numpy())
    if getattr(column.dtype, "kind", "O") in "buif":
        gaps = column.isna().any()
        return np.asarray(column.to_numpy("float64", na_value=np.nan) if gaps else column.to_numpy())
    return floats_or_words(column.astype(object), parse=False)


def floats_or_words(cells: Iterable[Any], parse: bool = True) -> NDArray[Any]:
    """Floats where all cells are numbers (NaN for what is missing), else the cells as they are.

    Parameters
    ----------
    cells : iterable
        A column.
    parse : bool, default True
        Whether texts of numbers are numbers.

    Returns
    -------
    array
        [n], of floats or objects.
    """
    cells = list(cells)
    gaps = [absent(cell) for cell in cells]
    try:
        if not parse and any(isinstance(cell, str) for cell in cells):
            raise TypeError
        numbers = [np.nan if gap else float(cell) for cell, gap in zip(cells, gaps, strict=True)]
    except (TypeError, ValueError):
        words = np.empty(len(gaps), dtype=object)
        words[:] = [None if gap else cell for cell, gap in zip(cells, gaps, strict=True)]
        return words
    return np.array(numbers)


def absent(cell: Any) -> bool:
    """Whether a cell says that there is no value: None, NaN, pandas' NA and NaT, or an empty or "nan" text."""
    if isinstance(cell, str):
        return cell.strip().lower() in ("", "nan")
    if isinstance(cell, float | np.floating):
        return bool(np.isnan(cell))
    return cell is None or type(cell).__name__ in ("NAType", "NaTType")


def columns_of(names: list[str], cells: Sequence[NDArray[Any]], what: str) -> tuple[NDArray[Any], dict[str, list[str]]]:
    """Numbers of all columns, and the words that the codes of columns of words mean.

    Parameters
    ----------
    names : list of str
        Of the columns.
    cells : sequence of array
        Of every column, numbers or words (None, which becomes NaN, where one is missing).
    what : str
        What errors call the table.

    Returns
    -------
    x : array
        [n, columns].
    classes : dict of list
        Column → its words, sorted, in the order of their codes.

    Raises
    ------
    InputError
        For columns that are neither numbers nor classes (numbers among words, words that hardly repeat),
        and for classes where two columns have one name.
    """
    pairs = list(zip(names, cells, strict=True))
    words = {name: values for name, values in pairs if values.dtype.kind == "O"}
    bad = [name for name, values in words.items() if not _are_classes(_known_values(values))]
    if bad:
        raise InputError(_not_numbers(bad, what))
    classes = {name: sorted(set(_known_values(values))) for name, values in words.items()}
    twice = [name for name in names if names.count(name) > 1] if classes else []
    if twice:
        raise InputError(f"{what} has two columns named {twice[0]!r}: give each a name of its own.")
    x = [_codes(values, classes[name]) if name in classes else values for name, values in pairs]
    return np.stack(x, axis=1) if x else np.empty((0, 0)), classes


def _codes(values: NDArray[Any], words: list[str]) -> NDArray[np.float64]:
    places = {word: float(place) for place, word in enumerate(words)}
    return np.array([np.nan if value is None else places[value] for value in values])


def _known_values(values: NDArray[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _are_classes(values: list[Any]) -> bool:
    """Whether these are words alone, not too many different ones, and each twice or more on average."""
    if not values or not all(isinstance(value, str) and not is_number(value) for value in values):
        return False
    different = len(set(values))
    return different <= min(_MOST_WORDS, len(values) / 2)


def is_number(cell: str) -> bool:
    """Whether the text of a cell is a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _not_numbers(columns: Any, what: str) -> str:
    """The sentence about columns that are neither numbers nor classes."""
    return (
        f"{what} has columns that are not numbers: {name_list(columns)}; a column of classes holds words alone, at "
        f"most {_MOST_WORDS} different ones and each twice or more on average: drop or encode these, or name one as "
        "labels."
    )


def name_list(columns: Any, most: int = 8) -> str:
    """Names in quotes, the first of many."""
    names = [repr(str(c)) for c in columns]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
