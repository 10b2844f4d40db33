"""Data as a source gives them, before support, split and preprocessing; and what may be in them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, Support

__all__ = ["Raw", "as_numbers", "check_finite", "encode_labels", "from_array", "from_frame", "not_numbers"]

_MOST_CLASSES = 2_000


@dataclass
class Raw:
    """What a source holds: x [n, D] for a table, [n, H, W] or [n, C, H, W] for images; labels of any kind.

    official: how many of the last rows are the official validation and test parts, in this order.
    """

    x: NDArray[Any]
    labels: Any = None
    label_names: list[str] | None = None
    columns: list[str] | None = None
    support: Support | None = None
    official: tuple[int, int] = (0, 0)
    notes: list[str] = field(default_factory=list)


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
    bad = [c for c in frame.columns if getattr(frame[c].dtype, "kind", "O") not in "buif"]
    if bad:
        raise InputError(not_numbers(bad, what))
    columns = [frame[c].to_numpy(dtype="float64", na_value=np.nan) for c in frame.columns]
    x = np.stack(columns, axis=1) if columns else np.empty((len(frame), 0))
    return Raw(x, columns=[str(c) for c in frame.columns]), labels


def not_numbers(columns: Any, what: str) -> str:
    """The sentence about columns that are not numeric."""
    return f"{what} has columns that are not numbers: {_named(columns)}; drop or encode them, or name one as labels."


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
