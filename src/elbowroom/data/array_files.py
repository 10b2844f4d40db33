"""Readers of .npy and .npz: by their content, sizes checked before they are allocated, nothing that is pickled."""

import ast
import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError

from .arrays import from_array, named_columns
from .beside import own_labels
from .frames import from_frame
from .memory import refuse_what_exceeds_memory
from .raw import Raw
from .text import unreadable
from .values import blocks

__all__ = ["no_columns", "parts_of_x", "read_array_file"]

_MAPPED_FROM = 2**28  # bytes of a .npy from which it is read by rows, in place
_LONGEST_HEADER = 2**16
_OBJECTS = "Python objects, which are pickled, and pickles are never read: save numbers or texts, x.astype(float)"
_X, _Y = ("x", "data", "images"), ("y", "labels", "label", "targets", "target")
_PARTS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "dev": 1, "test": 2, "testing": 2}
_OTHERS = {
    b"\x89HDF": "it is HDF5",
    b"\x1f\x8b": "it is compressed by gzip",
    b"MATLAB": "it is a MATLAB file",
    b"\x80": "it is a pickle, which is never read",
}
_BROKEN = (
    OSError,
    ValueError,
    EOFError,
    TypeError,
    KeyError,
    IndexError,
    SyntaxError,
    RuntimeError,
    RecursionError,
    MemoryError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class _Header:
    """What an array's header claims."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    there: int

    @property
    def claimed(self) -> int:
        """Bytes of its values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_array_file(path: Path, labels: Any, beside: Sequence[str] = (), drop: Sequence[str] = ()) -> tuple[Raw, Any]:
    """Read an array or an archive of arrays, as its content says and not its ending.

    Parameters
    ----------
    path : Path
        A .npy file; or a .npz with "x", "data" or "images" (and "y" or "labels"), with one array, with parts as
        "x_train", "x_test", "y_train", …, or with a sparse matrix.
    labels : array, str or None
        As for `load_data`; None takes the file's own, if any.
    beside : sequence of str, default ()
        Arrays (fields of a structured array) that are taken as well.
    drop : sequence of str, default ()
        Arrays (fields) that are left out.

    Returns
    -------
    raw : Raw
        The data.
    labels : array or None
        One per example.

    Raises
    ------
    InputError
        For what cannot be read, is pickled, or claims more than the file or the memory holds.
    """
    with path.open("rb") as file:
        start = file.read(8)
    kinds = {".npy": b"\x93NUMPY", ".npz": b"PK"}
    found = next((ending for ending, first in kinds.items() if start.startswith(first)), None)
    if found is None:
        other = next((words for first, words in _OTHERS.items() if start.startswith(first)), f"it is no {path.suffix}")
        raise unreadable(repr(str(path)), other if start else "it is empty")
    raw, labels = (_read_npy if found == ".npy" else _read_npz)(path, labels, beside, drop)
    if found != path.suffix.lower():
        raw.notes.append(f"By its content {path.name!r} is a {found} file, and was read as one.")
    return raw, labels


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Errors of readers as one sentence about the file."""
    try:
        yield
    except InputError:
        raise
    except _BROKEN as error:
        raise unreadable(repr(str(path)), error) from error


def no_columns(path: Path, labels: Any, beside: Sequence[str], drop: Sequence[str]) -> None:
    """Refuse names of columns where the source has none.

    Parameters
    ----------
    path : Path
        The source.
    labels : array, str or None
        As for `load_data`.
    beside : sequence of str
        Columns that were asked for.
    drop : sequence of str
        Columns that are to be left out.

    Raises
    ------
    InputError
        Where a name was given.
    """
    asked = [f"labels={labels!r}"] * isinstance(labels, str) + [repr(name) for name in (*beside, *drop)]
    if asked:
        raise InputError(
            f"{path.name!r} has no columns by name, so {asked[0]} means nothing: give an array, or leave it out."
        )


def _read_npy(path: Path, labels: Any, beside: Sequence[str], drop: Sequence[str]) -> tuple[Raw, Any]:
    with _said(path):
        size = path.stat().st_size
        with path.open("rb") as file:
            header = _header(file, size)
        mapped = size >= _MAPPED_FROM and not header.dtype.names
        _check(repr(path.name), header, in_memory=not mapped)
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    if header.dtype.names:
        return from_frame(named_columns(array, repr(path.name)), labels, beside, repr(path.name), drop=drop)
    no_columns(path, labels, beside, drop)
    return from_array(array, repr(path.name)), labels


def _header(file: IO[bytes] | io.BufferedIOBase, size: int) -> _Header:
    """The header of an array that starts here, in a file of this many bytes; ValueError for none."""
    start = file.read(8)
    if len(start) < 8 or not start.startswith(b"\x93NUMPY") or start[6] not in (1, 2, 3):
        raise ValueError("no array of numpy")
    wide = start[6] > 1
    length = struct.unpack("<I" if wide else "<H", file.read(4 if wide else 2))[0]
    if length > _LONGEST_HEADER:
        raise ValueError(f"a header of {length:,} bytes")
    fields = ast.literal_eval(file.read(length).decode("utf-8" if start[6] == 3 else "latin1"))
    shape, dtype = fields["shape"], np.lib.format.descr_to_dtype(fields["descr"])
    if not isinstance(shape, tuple) or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"a header with the shape {shape!r}")
    return _Header(shape, dtype, size - length - (12 if wide else 10))


def _check(what: str, header: _Header, in_memory: bool = True) -> None:
    """Refuse pickles, and claims that the file or the memory does not hold."""
    if header.dtype.hasobject:
        raise InputError(f"{what} holds {_OBJECTS}.")
    if header.claimed > header.there:
        sides = " × ".join(f"{side:,}" for side in header.shape)
        raise InputError(
            f"{what} cannot be read: its header claims {sides} values of {header.dtype}, {header.claimed:,} bytes, and "
            f"the file holds {max(header.there, 0):,}: it may be cut short."
        )
    if in_memory:
        way_out = "save it as .npy, which is read from the disk batch by batch"
        refuse_what_exceeds_memory(f"The values of {what}", header.shape, header.dtype, way_out)


class _Npz(Mapping[str, Any]):
    """The arrays of an archive by name, each read when it is asked for."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path, self.archive = path, archive
        self.members = {i.filename.removesuffix(".npy"): i for i in archive.infolist() if i.filename.endswith(".npy")}
        self.read: set[str] = set()

    def __contains__(self, name: object) -> bool:
        return name in self.members

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def header(self, name: str) -> _Header:
        """What the header of an array claims."""
        with _said(self.path), self.archive.open(self.members[name]) as file:
            return _header(file, self.members[name].file_size)

    def __getitem__(self, name: str) -> NDArray[Any]:
        self.read.add(name)
        _check(f"{name!r} in {self.path.name!r}", self.header(name))
        with _said(self.path), self.archive.open(self.members[name]) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
        return np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array

    def drop(self, name: str) -> None:
        """Leave an array out, as was asked for."""
        if name not in self:
            raise InputError(f"{self.path.name!r} holds no array {name!r} to drop; it holds {', '.join(self)}.")
        del self.members[name]

    def asked(self, name: str, use: str) -> NDArray[Any]:
        """An array that was asked for by name."""
        if name not in self:
            raise InputError(f"{self.path.name!r} holds no array {name!r} {use}; it holds {', '.join(self)}.")
        return self[name]


def _read_npz(path: Path, labels: Any, beside: Sequence[str], drop: Sequence[str]) -> tuple[Raw, Any]:
    with _said(path):
        archive = zipfile.ZipFile(path)
    with archive:
        arrays = _Npz(path, archive)
        for name in drop:
            arrays.drop(name)
        if {"format", "shape", "data"} <= set(arrays):
            parts, raw = {0: "data"}, from_array(_sparse(arrays), repr(path.name))
        else:
            parts = _parts(arrays)
            raw = _joined(arrays, parts)
        raw.taken = {name: arrays.asked(name, "for the context or observed") for name in beside}
        if isinstance(labels, str):
            labels = _codes_of_one_hot(arrays.asked(labels, "for the labels"))
        elif labels is None:
            labels = _own_labels(arrays, parts, raw, beside)
        return _with_left_out(raw, arrays), labels


def _sparse(arrays: _Npz) -> Any:
    """The matrix that scipy.sparse.save_npz has written, its sizes and indices checked."""
    from scipy import sparse

    for name in ("format", "shape", "data", "indices", "indptr", "row", "col", "offsets", "_is_array"):
        if name in arrays:
            arrays[name]
    with _said(arrays.path):
        matrix = sparse.load_npz(arrays.path)
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)
    rows = (matrix.shape[0] + 1,)
    refuse_what_exceeds_memory(f"The rows of {arrays.path.name!r}", rows, np.dtype(np.int64), "save it with fewer")
    return matrix


def _by_part(arrays: Collection[str], words: Sequence[str]) -> dict[int, str]:
    """The arrays called by one of the words, alone (part 0) or with a part: 0 train, 1 validation, 2 test."""
    found: dict[int, str] = {}
    for word in words:
        plain = next((name for name in arrays if name == word), None)
        plain = plain or next((name for name in arrays if name.lower() == word), None)
        parts = {part: name for name in reversed(list(arrays)) if (part := _part_of(name, word)) is not None}
        if plain and 0 in parts:
            return {0: plain}
        found = parts | ({0: plain} if plain else {})
        if 0 in found:
            return dict(sorted(found.items()))
    return {}


def _part_of(name: str, word: str) -> int | None:
    """The part that a name such as x_train, train_x or XTest says, for the word x."""
    rest = re.fullmatch(rf"(?:{word}[_-]?([a-z]+))|(?:([a-z]+?)[_-]?{word})", name.lower())
    return _PARTS.get(rest.group(1) or rest.group(2)) if rest else None


def parts_of_x(names: Collection[str]) -> dict[int, str]:
    """Which of some arrays hold the data.

    Parameters
    ----------
    names : collection of str
        Of all arrays.

    Returns
    -------
    dict
        Part (0 train, 1 validation, 2 test) → name; one of part 0 where there are no parts, none where nothing says
        which array it is.

    Examples
    --------
    >>> parts_of_x(["y_test", "x_test", "x_train"]), parts_of_x(["pixels", "labels"]), parts_of_x(["a", "b"])
    ({0: 'x_train', 2: 'x_test'}, {0: 'pixels'}, {})
    """
    others = [name for name in names if name.lower() not in _Y]
    return _by_part(names, _X) or ({0: others[0]} if len(others) == 1 else {})


def _parts(arrays: _Npz) -> dict[int, str]:
    parts = parts_of_x(arrays)
    if not parts:
        held = ", ".join(map(repr, arrays)) or "no arrays"
        raise InputError(f"{arrays.path.name!r} holds {held}: name the data 'x', 'data' or 'images'.")
    return parts


def _joined(arrays: _Npz, parts: Mapping[int, str]) -> Raw:
    """The parts of the data one after another."""
    found = {part: arrays[name] for part, name in parts.items()}
    first = found[0]
    for part, array in found.items():
        if array.shape[1:] != first.shape[1:] or array.ndim == 0:
            raise InputError(
                f"{arrays.path.name!r} holds {parts[0]!r} of shape {first.shape} and {parts[part]!r} of shape "
                f"{array.shape}: parts need examples of one shape."
            )
    _refuse_two_scales(found, parts, arrays.path)
    what = f"{parts[0]!r} in {arrays.path.name!r}"
    whole = first if len(found) == 1 else np.concatenate(list(found.values()))
    raw = from_frame(named_columns(whole, what), None, (), what)[0] if whole.dtype.names else from_array(whole, what)
    raw.official = (len(found.get(1, ())), len(found.get(2, ())))
    return raw


def _refuse_two_scales(found: Mapping[int, NDArray[Any]], parts: Mapping[int, str], path: Path) -> None:
    """Refuse parts some of which hold whole numbers, as 0 … 255, and others fractions of them, as 0 … 1."""
    if not any(array.dtype.kind == "f" for array in found.values()):
        return
    scales = {part: _scale_of(array) for part, array in found.items() if array.dtype.kind in "iuf" and array.size}
    whole = next((part for part, (fractions, top) in scales.items() if not fractions and top > 1), None)
    share = next((part for part, (fractions, top) in scales.items() if fractions and top <= 1), None)
    if whole is not None and share is not None:
        raise InputError(
            f"{path.name!r} holds {parts[whole]!r} in whole numbers to {scales[whole][1]:.10g} and {parts[share]!r} in "
            f"fractions to {scales[share][1]:.10g}, as if one had been divided and the other not: give all parts on "
            "one scale."
        )


def _scale_of(array: NDArray[Any]) -> tuple[bool, float]:
    """Whether an array holds fractions, and its greatest magnitude; NaN is a missing cell."""
    fractions, top = False, 0.0
    for _, block in blocks(array):
        known = block[~np.isnan(block)]
        fractions = fractions or bool((known != np.round(known)).any())
        top = max(top, float(np.abs(known.astype(np.float64)).max(initial=0.0)))
    return fractions, top


def _own_labels(arrays: _Npz, parts: Mapping[int, str], raw: Raw, beside: Sequence[str]) -> Any:
    """The labels that a file brings, where they are classes; else a note says why they are none."""
    names = _by_part(arrays, _Y)
    if not names or any(name in beside for name in names.values()):
        return None
    if set(names) != set(parts):
        raw.notes.append(f"Left out: {', '.join(map(repr, names.values()))} (labels of some parts of the data alone).")
        return None
    if any(arrays.header(name).dtype.hasobject for name in names.values()):
        raw.notes.append(
            f"Left out: {names[0]!r} (Python objects, which are pickled; save them as texts, y.astype(str))."
        )
        return None
    labels = [_codes_of_one_hot(np.atleast_1d(arrays[name])) for name in names.values()]
    if len({array.shape[1:] for array in labels}) > 1:
        raise InputError(f"{arrays.path.name!r} holds labels of several shapes: give one label per example.")
    found, notes = own_labels({names[0]: np.concatenate(labels)})
    raw.notes += notes
    return found


def _codes_of_one_hot(labels: NDArray[Any]) -> NDArray[Any]:
    """Codes of classes that came as a 1 among zeros; other labels as they are."""
    if labels.ndim != 2 or labels.shape[1] < 2 or labels.dtype.kind not in "buif":
        return labels
    hot = ((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all()
    return labels.argmax(1) if hot else labels


def _with_left_out(raw: Raw, arrays: _Npz) -> Raw:
    """The data with a note on arrays of the file that were not read, a mask above all."""
    said = " ".join(raw.notes)
    rest = [name for name in arrays if name not in arrays.read and repr(name) not in said]
    if rest:
        raw.notes.append(f"Arrays of the file that were left out: {', '.join(rest)}.")
    for name in rest:
        header = arrays.header(name)
        if header.dtype.kind == "b" and header.shape == raw.x.shape:
            raw.notes.append(f"If {name!r} says which cells are missing, write NaN into x there: it was not read.")
    return raw
