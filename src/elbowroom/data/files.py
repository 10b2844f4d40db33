"""Readers of the files a person brings: .npy, .npz, .csv, .parquet and folders of images."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError

from .array_files import read_array_file
from .image_tree import image_endings, is_archive
from .images import read_images
from .raw import Raw, columns_of, floats_or_words, from_frame, is_number
from .unreadable import no_columns, unreadable_error

__all__ = ["ENDINGS", "read_path"]


def read_path(path: Path, labels: Any, beside: Sequence[str] = ()) -> tuple[Raw, Any]:
    """Read a file or a folder of images.

    Parameters
    ----------
    path : Path
        The file or folder.
    labels : array, str or None
        As for `load_data`; None takes the source's own, if any.
    beside : sequence of str, default ()
        Columns (arrays of a .npz) that are taken out of x as well.

    Returns
    -------
    raw : Raw
        The data.
    labels : array or None
        One per example.

    Raises
    ------
    InputError
        For what cannot be read.
    """
    if not path.exists():
        raise InputError(f"There is no file or folder {str(path)!r}.")
    if not path.is_file() and not path.is_dir():
        raise InputError(f"{str(path)!r} is neither a file nor a folder.")
    ending = path.suffix.lower()
    if ending in ENDINGS and not path.is_dir():
        return ENDINGS[ending](path, labels, beside)
    if path.is_dir() or ending in image_endings():
        no_columns(path, labels, beside)
        return read_images(path, labels)
    if is_archive(path):
        raise InputError(f"{path.name!r} is an archive: unpack it, and give the folder or the file in it.")
    raise InputError(f"{path.name!r} has an ending that is not known; known are {', '.join(ENDINGS)}, or a folder.")


def _read_csv(path: Path, labels: Any, beside: Sequence[str]) -> tuple[Raw, Any]:
    """A table with or without a line of column names; quotes as in RFC 4180."""
    wanted = [*beside, labels] if isinstance(labels, str) else list(beside)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = next(csv.reader(file), [])
        if not first:
            raise InputError(f"{path.name!r} is empty; give at least two rows.")
        header = not all(is_number(cell) for cell in first)
        columns = [cell.strip() for cell in first] if header else [f"column {i + 1}" for i in range(len(first))]
        for name in wanted:
            if name not in columns:
                use = "context or observed" if name in beside else "labels"
                raise InputError(f"{path.name!r} has no column {name!r} for the {use}; it has {', '.join(columns)}.")
        used = [i for i, name in enumerate(columns) if name not in wanted]
        x, classes = _csv_values(path, columns, used, int(header))
        texts = {name: _csv_column(path, columns.index(name), int(header)) for name in wanted}
    except (UnicodeDecodeError, csv.Error) as error:
        raise unreadable_error(path, error) from error
    taken = {name: floats_or_words(texts[name]) for name in beside}
    raw = Raw(x, columns=[columns[i] for i in used] if header else None, classes=classes, taken=taken)
    if classes and any(is_number(cell) for cell in first):
        raw.notes.append(f"The first line was taken for the names of the columns: {', '.join(columns)}.")
    return raw, texts[labels] if isinstance(labels, str) else labels


def _csv_column(path: Path, place: int, skip: int) -> NDArray[Any]:
    return np.array([row[place] for row in _csv_rows(path, skip)], dtype=object)


def _csv_values(
    path: Path, columns: list[str], used: list[int], skip: int
) -> tuple[NDArray[Any], dict[str, list[str]]]:
    if not any(True for _ in _csv_rows(path, skip)):
        raise InputError(f"{path.name!r} has a line of names but no rows; give at least two.")
    try:
        with path.open(encoding="utf-8-sig") as file:
            x = np.loadtxt(file, delimiter=",", skiprows=skip, ndmin=2, comments=None, quotechar='"')
    except ValueError:
        return _csv_slowly(path, columns, used, skip)
    return x[:, used], {}


def _csv_slowly(
    path: Path, columns: list[str], used: list[int], skip: int
) -> tuple[NDArray[Any], dict[str, list[str]]]:
    """Numbers, and classes where a column holds words; InputError that names what is wrong."""
    rows = []
    for number, row in enumerate(_csv_rows(path, skip), start=1 + skip):
        if len(row) != len(columns):
            raise InputError(f"{path.name!r} is ragged: line {number} has {len(row)} cells, not {len(columns)}.")
        rows.append([row[i].strip() for i in used])
    cells = [floats_or_words(column) for column in zip(*rows, strict=True)]
    return columns_of([columns[i] for i in used], cells, repr(path.name))


def _csv_rows(path: Path, skip: int) -> Iterable[list[str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        for i, row in enumerate(csv.reader(file)):
            if i >= skip and row:
                yield row


def _read_parquet(path: Path, labels: Any, beside: Sequence[str]) -> tuple[Raw, Any]:
    try:
        import pandas
        import pyarrow
    except ImportError as error:
        raise InputError("Reading .parquet needs an extra: pip install 'elbowroom[parquet]'.") from error
    try:
        frame = pandas.read_parquet(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise unreadable_error(path, error) from error
    return from_frame(frame, labels, beside, repr(path.name))


ENDINGS = {".npy": read_array_file, ".npz": read_array_file, ".csv": _read_csv, ".parquet": _read_parquet}
"""Reader by file ending."""
