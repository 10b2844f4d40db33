"""Readers of the files a person brings: .npy, .npz, .csv, .parquet and folders of images."""

import csv
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, Support

from .raw import Raw, columns_of, floats_or_words, from_array, from_frame, is_number

__all__ = ["ENDINGS", "read_path"]

_MAPPED_FROM = 2**28  # bytes of a .npy from which it is read by rows, in place
_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}


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
    if path.is_dir():
        _no_columns(path, labels, beside)
        return _read_images(path, labels)
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"{path.name!r} has an ending that is not known; known are {', '.join(ENDINGS)}, or a folder.")
    return ENDINGS[path.suffix.lower()](path, labels, beside)


def _unreadable_file_error(path: Path, error: Exception) -> InputError:
    reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
    return InputError(f"{str(path)!r} cannot be read ({reason}): it may be cut short or of another format.")


def _no_columns(path: Path, labels: Any, beside: Sequence[str]) -> None:
    asked = [f"labels={labels!r}"] * isinstance(labels, str) + [repr(name) for name in beside]
    if asked:
        raise InputError(
            f"{path.name!r} has no columns by name, so {asked[0]} means nothing: give an array, or leave it out."
        )


def _read_npy(path: Path, labels: Any, beside: Sequence[str]) -> tuple[Raw, Any]:
    _no_columns(path, labels, beside)
    try:
        mapped = path.stat().st_size >= _MAPPED_FROM
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable_file_error(path, error) from error
    return from_array(array, repr(path.name)), labels


def _read_npz(path: Path, labels: Any, beside: Sequence[str]) -> tuple[Raw, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files}
        if {"format", "shape", "data"} <= set(arrays):
            from scipy import sparse

            arrays = {"x": sparse.load_npz(path)}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise _unreadable_file_error(path, error) from error
    keys: list[str] = [name for name in ("x", "data", "images") if name in arrays] or list(arrays)
    key = keys[0] if keys else ""
    if key not in ("x", "data", "images") and len(arrays) != 1:
        held = ", ".join(map(repr, arrays)) or "nothing"
        raise InputError(f"{path.name!r} holds {held}: name the data 'x', 'data' or 'images'.")
    if isinstance(labels, str):
        labels = _array_of(path, arrays, labels, "labels")
    elif labels is None:
        labels = next((arrays[k] for k in ("y", "labels") if k in arrays and k not in beside), None)
    raw = from_array(arrays[key], f"{key!r} in {path.name!r}")
    raw.taken = {name: _array_of(path, arrays, name, "context or observed") for name in beside}
    return raw, labels


def _array_of(path: Path, arrays: dict[str, Any], name: str, use: str) -> Any:
    if name not in arrays:
        raise InputError(f"{path.name!r} holds no array {name!r} for the {use}; it holds {', '.join(arrays)}.")
    return arrays[name]


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
        raise _unreadable_file_error(path, error) from error
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
        raise _unreadable_file_error(path, error) from error
    return from_frame(frame, labels, beside, repr(path.name))


def _read_images(folder: Path, labels: Any) -> tuple[Raw, Any]:
    """Images of one size; subfolders, where there are any, are the labels."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _IMAGES and p.is_file())
    if not paths:
        raise InputError(f"The folder {str(folder)!r} holds no images ({', '.join(sorted(_IMAGES))}).")
    groups = [p.relative_to(folder).parts[0] if p.parent != folder else None for p in paths]
    named = [group for group in groups if group is not None]
    if named and len(named) < len(groups):
        raise InputError(f"{str(folder)!r} holds images beside subfolders with images: use one or the other.")
    pictures = [_picture(p) for p in paths]
    for p, picture in zip(paths, pictures, strict=True):
        if picture.size != pictures[0].size:
            raise InputError(
                f"Images differ in size: {paths[0].name!r} is {_size(pictures[0])}, {p.name!r} is {_size(picture)}; "
                "resize them to one."
            )
    modes = {picture.mode for picture in pictures}
    if modes == {"1"}:
        x, support = np.stack([np.asarray(p, dtype=np.uint8) for p in pictures]), Support("binary")
    elif modes <= {"1", "L"}:
        x, support = np.stack([np.asarray(p.convert("L")) for p in pictures]), Support("grid", 256)
    else:
        colour = np.stack([np.asarray(p.convert("RGB")) for p in pictures])
        x, support = colour.transpose(0, 3, 1, 2), Support("grid", 256)
    return Raw(x, support=support), labels if labels is not None else named or None


def _picture(path: Path) -> Any:
    from PIL import Image

    try:
        with Image.open(path) as file:
            picture = file.copy()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable_file_error(path, error) from error
    if picture.mode.startswith(("I", "F")):
        raise InputError(f"{path.name!r} has more than 8 bits a value; save it with 8, or give a .npy of the numbers.")
    return picture


def _size(picture: Any) -> str:
    return f"{picture.width}×{picture.height}"


ENDINGS = {".npy": _read_npy, ".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}
"""Reader by file ending."""
