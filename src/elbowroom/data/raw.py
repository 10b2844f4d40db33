"""Data as a source gives them, before support, split and preprocessing; and what may be in them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, Support

__all__ = [
    "Raw",
    "as_numbers",
    "check_finite",
    "columns_of",
    "encode_labels",
    "from_array",
    "from_frame",
    "is_number",
]

_MOST_CLASSES = 2_000
_MOST_WORDS = 256


@dataclass
class Raw:
    """What a source holds: x [n, D] for a table, [n, H, W] or [n, C, H, W] for images; labels of any kind.

    official: how many of the last rows are the official validation and test parts, in this order. classes: of the
    columns that came in words, the words in the order of their codes in x.
    """

    x: NDArray[Any]
    labels: Any = None
    label_names: list[str] | None = None
    columns: list[str] | None = None
    support: Support | None = None
    official: tuple[int, int] = (0, 0)
    notes: list[str] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)


def as_numbers(values: Any, what: str) -> NDArray[Any]:
    """An array of numbers or booleans; InputError for ragged rows and anything else."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{what} is ragged: every row needs the same number of values.") from error
    if array.dtype.kind not in "buif":
        raise InputError(f"{what} holds {array.dtype} values; give numbers.")
    return array


def from_array(values: Any, what: str = "The array") -> Raw:
    """Raw data of an array: [n, D] is a table, [n, H, W], [n, C, H, W] and [n, H, W, C] are images."""
    x = as_numbers(values, what)
    if x.ndim == 1:
        raise InputError(f"{what} has shape {x.shape}: one row per example is needed; one column? use x[:, None].")
    if not 2 <= x.ndim <= 4:
        raise InputError(f"{what} has shape {x.shape}: give [n, columns], [n, H, W] or [n, C, H, W].")
    raw = Raw(x)
    if x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        raw.x = x.transpose(0, 3, 1, 2)
        raw.notes.append("The channels came last; they now come first.")
    if x.dtype == np.uint8 and x.size and int(x.max()) >= 128:
        raw.support = Support("grid", 256)
    return raw


def from_frame(frame: Any, labels: Any, what: str = "The table") -> tuple[Raw, Any]:
    """Raw data of a pandas DataFrame, and its labels: a column's name in `labels` takes that column out."""
    if isinstance(labels, str):
        if labels not in frame.columns:
            raise InputError(f"{what} has no column {labels!r} for the labels; it has {_named(frame.columns)}.")
        labels, frame = frame[labels].to_numpy(), frame.drop(columns=labels)
    columns = [str(c) for c in frame.columns]
    x, classes = columns_of(columns, [_cells(frame.iloc[:, i]) for i in range(len(columns))], what)
    return Raw(x if columns else np.empty((len(frame), 0)), columns=columns, classes=classes), labels


def _cells(column: Any) -> NDArray[Any]:
    """A column of a DataFrame: floats, or its words as they are."""
    if getattr(column.dtype, "kind", "O") in "buif":
        return column.to_numpy(dtype="float64", na_value=np.nan)
    return column.astype(object).to_numpy()


def columns_of(
    names: list[str], cells: Sequence[NDArray[Any]], what: str
) -> tuple[NDArray[np.float64], dict[str, list[str]]]:
    """Numbers [n, columns] and, of the columns of words, the words that their codes mean, in sorted order.

    cells: of every column, floats or words. Raises InputError for columns that are neither numbers nor classes (numbers
    among words, empty cells, words that hardly repeat), and for classes where two columns have one name.
    """
    pairs = list(zip(names, cells, strict=True))
    bad = [name for name, values in pairs if values.dtype.kind == "O" and not _are_classes(values)]
    if bad:
        raise InputError(_not_numbers(bad, what))
    classes = {name: sorted(set(values)) for name, values in pairs if values.dtype.kind == "O"}
    twice = [name for name in names if names.count(name) > 1] if classes else []
    if twice:
        raise InputError(f"{what} has two columns named {twice[0]!r}: give each a name of its own.")
    x = [np.searchsorted(classes[name], values.astype(str)) if name in classes else values for name, values in pairs]
    return np.stack(x, axis=1).astype(np.float64) if x else np.empty((0, 0)), classes


def _are_classes(values: NDArray[Any]) -> bool:
    """Whether these are words alone, not too many different ones, and each twice or more on average."""
    if not all(isinstance(value, str) and value.strip() and not is_number(value) for value in values):
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
        f"{what} has columns that are not numbers: {_named(columns)}; a column of classes holds words alone, at most "
        f"{_MOST_WORDS} different ones and each twice or more on average: drop or encode these, or name one as labels."
    )


def check_finite(x: NDArray[Any], columns: list[str] | None) -> None:
    """InputError for an empty array, fewer than two examples, or NaN and infinity, naming the first place."""
    if x.size == 0:
        raise InputError(f"The data are empty (shape {x.shape}); give at least two examples of one value or more.")
    if len(x) < 2:
        raise InputError("The data hold one example; give at least two, of which a model can learn.")
    if x.dtype.kind != "f":
        return
    bad = ~np.isfinite(x)
    if bad.any():
        row, *place = (int(i) for i in np.argwhere(bad)[0])
        column = repr(columns[place[0]]) if columns else place[0] if len(place) == 1 else tuple(place)
        where = f"first in row {row}, column {column}" if len(place) == 1 else f"first in example {row}, at {column}"
        raise InputError(
            f"The data hold {int(bad.sum()):,} values that are NaN, infinite or beyond 32-bit floats, {where}: "
            "drop those rows or fill them in."
        )


def encode_labels(labels: Any, n: int, names: list[str] | None = None) -> tuple[NDArray[np.int64], list[str]]:
    """Class codes [n] and the classes' names: of any labels in sorted order, or of codes into given `names`."""
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or len(array) != n:
        raise InputError(f"The labels have shape {array.shape} for {n:,} examples: give one label per example.")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or not (array == np.round(array)).all():
            raise InputError("The labels hold NaN or fractions: labels are classes; leave out what is none.")
        array = array.astype(np.int64)
    if array.dtype.kind not in "buiUS":
        array = array.astype(str)
    if names is not None:
        return array.astype(np.int64), names
    classes, codes = np.unique(array, return_inverse=True)
    if len(classes) > _MOST_CLASSES:
        raise InputError(f"The labels have {len(classes):,} distinct values; labels are classes, so leave these out.")
    return codes.astype(np.int64), [str(label) for label in classes]


def _named(columns: Any, most: int = 8) -> str:
    names = [repr(str(c)) for c in columns]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
