"""Tables in files: read as training reads them where the model reads them, and as they stand elsewhere."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from elbowroom.data.cells import Origin
from elbowroom.data.frames import column_names, read_column
from elbowroom.data.tables import COLUMNAR, TEXTS, names_of
from elbowroom.data.tables import read_table as read_for_training
from elbowroom.data.text import DELIMITERS, Text, delimited, read_text
from elbowroom.numerics import InputError
from elbowroom.numerics.text import name_list

from .spelled import read_beside

__all__ = ["ENDINGS", "TableFile", "read_table", "write_frame"]

ENDINGS = (*TEXTS, *COLUMNAR)
"""Of the files that are read."""
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_EXACT_BY_DEFAULT = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)  # which says so of its default
_EXACT: dict[str, Any] = {} if _EXACT_BY_DEFAULT else {"float_precision": "round_trip"}
_TEXT: dict[str, Any] = {"dtype": str, "keep_default_na": False, "na_values": [""]}


@dataclass(frozen=True)
class TableFile:
    """What a file of a table holds.

    Parameters
    ----------
    frame : DataFrame
        Its columns.
    notes : list of str
        Sentences on what comes back otherwise than it stands there.
    beside : mapping
        What training reads in columns that hold contexts or sizes; of those that are not there, it reads the frame.
    """

    frame: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    beside: Mapping[str, Any] = field(default_factory=dict)


def read_table(
    path: Path,
    table: Mapping[str, Sequence[str]] | None = None,
    beside: Mapping[str, Sequence[str]] | None = None,
) -> TableFile:
    """A table as `load_data` takes it: whatever stands between its cells, in any encoding, packed or not.

    Parameters
    ----------
    path : Path
        The file.
    table : mapping, optional
        Columns of the model, and the words that they may hold.
    beside : mapping, optional
        Other columns that the model reads, as contexts, and the words of their classes.

    Returns
    -------
    TableFile
        As pandas reads it, numbers to their last bit. The model's columns hold what training reads in them; others,
        contexts among them, that pandas would write otherwise, as 007 or the word NA, are the texts that stand there.
    """
    try:
        if path.suffix.lower() in COLUMNAR:
            return TableFile((pd.read_parquet if path.suffix.lower() == ".parquet" else pd.read_feather)(path))
        return _of_text(path, table or {}, beside or {})
    except (OSError, ValueError, pd.errors.ParserError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(path)!r} cannot be read as a table: {' '.join(str(error).split())}.") from error


def _of_text(path: Path, known: Mapping[str, Sequence[str]], read: Mapping[str, Sequence[str]]) -> TableFile:
    text = delimited(read_text(path))
    names, body, _ = names_of(text)
    frame, there = (_read(body, how) for how in (_EXACT, _TEXT))
    frame.columns = there.columns = pd.Index(_called(path, names, {*known, *read}), dtype=object)
    training = read_for_training(path)
    own = training.frame.set_axis(column_names(list(map(str, training.frame.columns))), axis=1)
    alike = _written_alike(frame, there, body)
    found = _as_training_reads(frame, there, own, known, alike, training.origin)
    told = {
        name: read_beside(name, own[name], there[name], words, training.origin)
        for name, words in read.items()
        if name in own and name in there and name not in known
    }
    texts = {name: there[name] for name in frame if name not in alike and name not in known}
    whole = frame.assign(**texts, **found)
    spelled = [name for name in known if name in whole and not known[name] and (name in found or name not in alike)]
    return TableFile(whole, _notes(path, text, spelled, _gone(whole, there, spelled)), told)


def _read(body: Text, how: Mapping[str, Any]) -> pd.DataFrame:
    known: dict[str, Any] = {"sep": body.delimiter, "header": None, "index_col": False, "low_memory": False}
    return pd.read_csv(io.BytesIO(body.data), **known, **how)


def _called(path: Path, names: Sequence[str], read: set[str]) -> list[str]:
    """Names of columns as training calls them; one that has none and is not read is called as pandas calls it."""
    there = [name for name in names if name]
    twice = next((name for name in there if there.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{str(path)!r} has two columns {twice!r}: name one otherwise.")
    own = column_names(names)
    return [
        called if name or called in read else f"Unnamed: {place}"
        for place, (name, called) in enumerate(zip(names, own, strict=True))
    ]


def _written_alike(frame: pd.DataFrame, there: pd.DataFrame, body: Text) -> set[str]:
    """Columns that pandas writes as they stand there."""
    written = frame.to_csv(index=False, header=False, sep=body.delimiter)
    back = _read(Text(body.name, written.encode(), delimiter=body.delimiter), _TEXT)
    back.columns = there.columns
    return {name for name in there if there[name].equals(back[name])}


def _as_training_reads(
    frame: pd.DataFrame,
    there: pd.DataFrame,
    own: pd.DataFrame,
    known: Mapping[str, Sequence[str]],
    alike: set[str],
    origin: Origin,
) -> dict[str, Any]:
    """The model's columns where pandas reads something else: numbers by the notation of the file, words as texts."""
    found: dict[str, Any] = {}
    for name, words in known.items():
        if name not in frame or name not in own:
            continue
        if words:
            spoken = frame[name].dtype.kind in "biu" and name in alike and set(map(str, frame[name])) <= set(words)
            found |= {} if spoken else {name: there[name]}
        elif (numbers := _numbers(frame[name], own[name], name, origin)) is not None:
            found[name] = numbers
    return found


def _numbers(series: pd.Series, own: pd.Series, name: str, origin: Origin) -> Any:
    """What training reads in a column of numbers, where pandas reads something else; None where it does not."""
    column = read_column(own, name, origin)
    if column.words is not None or column.out:
        return None
    values = np.asarray(column.values)
    if series.dtype.kind in "biuf" and np.array_equal(
        series.to_numpy().astype(np.float64), values.astype(np.float64), equal_nan=True
    ):
        return None
    whole = np.isfinite(values).all() and (values == np.round(values)).all() and (np.abs(values) < 2**53).all()
    return values.astype(np.int64) if whole else values


def _gone(frame: pd.DataFrame, there: pd.DataFrame, spelled: Sequence[str]) -> list[str]:
    """Columns of numbers in which words say that there is no value."""
    return [name for name in spelled if bool((there[name].notna() & pd.isna(frame[name])).any())]


def _notes(path: Path, text: Text, spelled: Sequence[str], gone: Sequence[str]) -> list[str]:
    """What comes back otherwise."""
    notes = []
    if _SEPARATORS.get(path.suffix.lower()) != text.delimiter:
        marks = DELIMITERS.get(text.delimiter, repr(text.delimiter))
        notes.append(f"Between its cells stand {marks}: the table comes back as .csv, .tsv or .parquet.")
    if text.comments:
        notes.append("Lines of comment above the table do not come back.")
    if spelled:
        notes.append(f"Numbers that come back, but not their spelling: {name_list(spelled)}.")
    if gone:
        notes.append(f"Words for no value among numbers come back as empty cells: {name_list(gone)}.")
    return notes


def write_frame(frame: pd.DataFrame, path: Path, ending: str) -> None:
    """The table in a file of the same kinds.

    Parameters
    ----------
    frame : DataFrame
        The table; its index is left aside.
    path : Path
        The file.
    ending : str
        One of those of `read_table`, which says the format.
    """
    if ending == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        header = ["" if name == f"Unnamed: {place}" else name for place, name in enumerate(frame.columns)]
        frame.to_csv(path, index=False, sep=_SEPARATORS[ending], header=header)  # pandas' name for a column without one
