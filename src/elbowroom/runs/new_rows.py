"""Rows of a file that a model was not trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from elbowroom.data.tables import read_table
from elbowroom.numerics import InputError

__all__ = ["new_rows"]


def new_rows(known: Mapping[str, Any], path: Path) -> Any:
    """Read the columns that a model was fitted to from a file; it may hold others, labels among them.

    Parameters
    ----------
    known : mapping
        What the run's recipe says of its data: "columns" by name, where they had names, and the "classes" of words.
    path : Path
        A .npy of numbers, or a table as `load_data` reads it.

    Returns
    -------
    array
        [n, ...], words as the codes of the model's.

    Raises
    ------
    InputError
        Where there is no such file, a column is missing, or holds a word that the model does not know.
    """
    if not path.exists():
        raise InputError(f"There is no file {str(path)!r} to predict: give a table or a .npy.")
    if path.suffix.lower() == ".npy":
        return np.load(path, allow_pickle=False)
    frame = read_table(path).frame
    table = {str(name): tuple(known.get("classes", {}).get(name, ())) for name in known.get("columns") or ()}
    if not table:
        return frame.to_numpy()
    names = {str(name): name for name in frame.columns}
    absent = [name for name in table if name not in names]
    if absent:
        raise InputError(
            f"{path.name!r} has no column {absent[0]!r}, which the model was fitted to (it has: "
            f"{', '.join(map(repr, list(names)[:8]))}): give a table with the columns of the training data."
        )
    columns = [_codes(frame[names[name]], name, words) for name, words in table.items()]
    return np.column_stack(columns)


def _codes(series: Any, name: str, words: tuple[str, ...]) -> Any:
    """A column as numbers, NaN where it has no value."""
    import pandas

    if not words:
        numbers = pandas.to_numeric(series, errors="coerce")
        wrong = series[numbers.isna() & series.notna() & (series.astype(str).str.strip() != "")]
        if len(wrong):
            raise InputError(
                f"The column {name!r} holds {str(wrong.iloc[0])!r} where the model knows numbers: mend it."
            )
        return numbers.to_numpy(dtype=np.float64)
    places = {word: float(place) for place, word in enumerate(words)}
    given = [None if pandas.isna(cell) or str(cell).strip() == "" else str(cell) for cell in series]
    strange = next((cell for cell in given if cell is not None and cell not in places), None)
    if strange is not None:
        raise InputError(
            f"The column {name!r} holds {strange!r}, and the model knows {', '.join(map(repr, words[:8]))}: leave "
            f"these rows out, or empty the cell."
        )
    return np.array([np.nan if cell is None else places[cell] for cell in given])
