"""Rows of a file that a model was not trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from elbowroom.data.cells import MERGED, Origin
from elbowroom.data.frames import column_names, read_column
from elbowroom.data.notation import MARKS, absent, is_number, no_value
from elbowroom.data.tables import read_table
from elbowroom.numerics import InputError
from elbowroom.vae.outside import coded

from .new_arrays import is_of_arrays, new_arrays

__all__ = ["new_rows"]


def new_rows(known: Mapping[str, Any], path: Path, coding: Mapping[str, Any] | None = None) -> Any:
    """Read the columns that a model was fitted to from a file; it may hold others, labels among them.

    Numbers, images, and cells without a value, are read as `load_data` reads them.

    Parameters
    ----------
    known : mapping
        What the run's recipe says of its data: "columns" by name, where they had names, and the "classes" of words.
    path : Path
        A table, an array (.npy or .npz), an image or a folder of images, as `load_data` reads them.
    coding : mapping, optional
        What the model's numbers mean, as `VAE.coding` holds it.

    Returns
    -------
    array
        [n, ...], words as the codes of the model's.

    Raises
    ------
    InputError
        Where there is no such file, a column is missing or there twice, or holds what the model does not know.
    """
    if not path.exists():
        raise InputError(f"There is no file {str(path)!r}: give a table, an array or images.")
    if is_of_arrays(path):
        return new_arrays(known, coding or {}, path)
    read = read_table(path)
    given = list(map(str, read.frame.columns))
    frame = read.frame.set_axis(column_names(given), axis=1)
    table = {str(name): tuple(known.get("classes", {}).get(name, ())) for name in known.get("columns") or frame}
    _refuse_other_names(given, list(frame), list(table), path)
    columns = {
        name: _words(frame[name], words) if words else _numbers(frame[name], name, read.origin)
        for name, words in table.items()
    }
    return coded(list(table.items()), frame[list(table)].assign(**columns)).to_numpy(dtype=np.float64)


def _refuse_other_names(given: list[str], names: list[str], wanted: list[str], path: Path) -> None:
    absent_here = [name for name in wanted if name not in names]
    if absent_here:
        raise InputError(
            f"{path.name!r} has no column {absent_here[0]!r}, which the model was fitted to (it has: "
            f"{', '.join(map(repr, names[:8]))}): give a table with the columns of the training data."
        )
    twice = [name for name in wanted if given.count(name) > 1 and f"{name} (2)" not in wanted]
    if twice:
        raise InputError(f"{path.name!r} has two columns named {twice[0]!r}: leave out the one that is not meant.")


def _numbers(series: Any, name: str, origin: Origin) -> Any:
    """A column as numbers, NaN where it has no value."""
    column = read_column(series, name, origin)
    if column.words is None and not column.out:
        return np.asarray(column.values, dtype=np.float64)
    cells = [str(cell).strip() for cell in series if not absent(cell)]
    odd = next((cell for cell in cells if not is_number(cell) and not no_value(cell)), cells[0])
    if column.out == MERGED:
        raise InputError(f"The column {name!r} holds {MERGED}.")
    raise InputError(f"The column {name!r} holds {odd!r} where the model knows numbers: mend it.")


def _words(series: Any, words: tuple[str, ...]) -> Any:
    """A column of words as training reads them, None where there is no value; numbers are as they are."""
    if series.dtype.kind in "biuf":
        return series
    cells = [None if absent(cell) else str(cell).strip() for cell in series]
    empty = MARKS - set(words)
    return np.array([None if cell in empty else cell for cell in cells], dtype=object)
