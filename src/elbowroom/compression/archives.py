"""Arrays by name as a file holds them: x through the model, the contexts it reads, and the others beside."""

import zipfile
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.data.array_files import parts_of_x
from elbowroom.numerics import InputError

from .arrays import ArraySource, ArrayTarget
from .cells import Cells
from .columns import Column, columns_of, packed
from .container import Reader
from .contexts import Context, Contexts, contexts_by_name
from .known import Known

__all__ = ["ArchiveSource", "ArchiveTarget", "contexts_of_arrays", "write_archive"]

_SIZE = "size"


def contexts_of_arrays(arrays: Mapping[str, Any], x: NDArray[Any], known: Known) -> Contexts:
    """The contexts of a model from arrays by name; sizes that are none of them are measured on x.

    Parameters
    ----------
    arrays : mapping of str to array
        As the user has them.
    x : array
        The data, [n, …].
    known : Known
        What the model reads.

    Returns
    -------
    Contexts
        In the order in which the model reads them.

    Raises
    ------
    InputError
        For one that is missing.
    """
    size = known.sizes(*_totals(x), arrays)
    called = {name: known.at(name, arrays) for name in known.names}
    named = [name for name in known.names if name != _SIZE or size is None]
    found = {one.name: one for one in contexts_by_name(named, arrays, known.words, called).all}
    if size is not None:
        found[_SIZE] = Context(_SIZE, Column.of(_SIZE, size))
    return Contexts(tuple(found[name] for name in known.names))


def _totals(x: NDArray[Any]) -> tuple[NDArray[np.float64], int]:
    flat = x.reshape(len(x), -1) if x.ndim else x
    return (flat.sum(1, dtype=np.float64), flat.shape[1]) if flat.ndim == 2 else (np.zeros(0), 0)


class ArchiveSource(ArraySource):
    """Arrays by name, one of them the data.

    Parameters
    ----------
    arrays : mapping of str to array
        "x" (or "data", "images", each also in parts as "x_train" and "x_test", or the only one that is neither labels
        nor a context), contexts by name, and others, which are kept.
    cells : Cells
        Of the model.
    known : Known
        What it reads.

    Raises
    ------
    InputError
        For arrays without x, contexts that are missing, and arrays that a file does not hold.
    """

    def __init__(self, arrays: Mapping[str, Any], cells: Cells, known: Known) -> None:
        self.x_names = _names_of_x(arrays, known)
        super().__init__(_joined({name: np.asanyarray(arrays[name]) for name in self.x_names}), cells)
        self.names = list(arrays)
        others = {name: value for name, value in arrays.items() if name not in self.x_names}
        self.contexts = contexts_of_arrays(others, self.array, known)
        read = self.contexts.of_user
        self.others = {name: Column.of(name, value) for name, value in others.items() if name not in read}

    def head(self) -> dict[str, Any]:
        """What a decoder has to know, in plain values."""
        others = [{"name": name, **one.said()} for name, one in self.others.items()]
        told = {"kind": "arrays", "x": next(iter(self.x_names)), "names": self.names, "others": others}
        return {**super().head(), **told, **({"parts": self.x_names} if len(self.x_names) > 1 else {})}

    def alone(self) -> str:
        """What a file of x alone does not hold, in a sentence."""
        names = [repr(name) for name in self.x_names]
        back = f"{', '.join(names[:-1])} and {names[-1]} come back one after another, as one array"
        gone = [repr(name) for name in self.names if name not in self.x_names]
        lost = f"Not in the file, and not given back: {', '.join(gone)}; " if gone else ""
        return f"{lost}{back if len(names) > 1 else f'{names[0]} comes back alone, as an array'}."

    def beside(self) -> bytes:
        """The exceptions, and other arrays behind them."""
        return super().beside() + packed(list(self.others.values()))


def _names_of_x(arrays: Mapping[str, Any], known: Known) -> dict[str, int]:
    """The arrays that hold the data, part by part as training reads them, and how many rows each has."""
    left = [name for name in arrays if name not in known.read]
    names = list(parts_of_x(list(arrays)).values()) or list(parts_of_x(left).values()) or left
    if len(names) != 1 and not parts_of_x(names):
        held = ", ".join(map(repr, arrays)) or "nothing"
        raise InputError(f"These arrays are called {held}: call the data 'x'.")
    return {name: len(arrays[name]) if np.ndim(arrays[name]) else 0 for name in names}


def _joined(parts: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The parts of the data one after another."""
    (first, whole), *others = parts.items()
    for name, array in others:
        if (array.dtype, array.shape[1:]) != (whole.dtype, whole.shape[1:]):
            raise InputError(
                f"{first!r} holds {whole.dtype} of shape {whole.shape} and {name!r} {array.dtype} of shape "
                f"{array.shape}: parts need rows of one type and shape."
            )
    return np.concatenate(list(parts.values())) if others else whole


class ArchiveTarget(ArrayTarget):
    """Where the rows of arrays by name go.

    Parameters
    ----------
    reader : Reader
        The file.
    contexts : Contexts
        Of the file.

    Raises
    ------
    InputError
        For a head that says what cannot be.
    """

    more_beside = True

    def __init__(self, reader: Reader, contexts: Contexts) -> None:
        super().__init__(reader)
        held = reader.head["source"]
        said, names = held.get("others"), held.get("names")
        if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
            raise reader.damaged("the arrays in its head")
        columns = columns_of(reader, said, self.rest, "arrays beside x")
        others = zip([one.get("name") for one in said], columns, strict=True)
        self.columns: dict[str, Column] = {**contexts.of_user, **dict(others)}
        self.parts = _parts(reader, held, held.get("x"))
        known = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not known or len(set(names)) < len(names) or set(names) != {*self.parts, *self.columns}:
            raise reader.damaged("the names in its head")
        self.names: list[str] = names

    def arrays(self, x: NDArray[Any], part: slice | None = None) -> dict[str, NDArray[Any]]:
        """All arrays by name, or some rows of those that have as many as x."""
        if part is not None and len(self.parts) > 1:
            raise InputError(
                f"The rows of {self.reader.path.name!r} belong to several arrays ({', '.join(self.parts)}), which come "
                f"back whole: leave chunk out."
            )
        kept = self.columns.items() if part is None else [(n, self._some(one, part)) for n, one in self.columns.items()]
        ends = list(accumulate(self.parts.values()))[:-1]
        held = dict(zip(self.parts, np.split(x, ends), strict=True))
        found = {**held, **{name: column.values() for name, column in kept}}
        return {name: found[name] for name in self.names}

    def _some(self, column: Column, part: slice) -> Column:
        return column.rows(part) if column.shape[0] == self.shape[0] else column


def _parts(reader: Reader, held: dict[str, Any], x_name: Any) -> dict[str, int]:
    """The arrays that rows belong to, and how many to each."""
    if not isinstance(x_name, str):
        raise reader.damaged("the names in its head")
    if "parts" not in held:
        return {x_name: held["shape"][0]}
    parts, rows = held["parts"], held["shape"][0]
    known = isinstance(parts, dict) and len(parts) > 1 and all(type(n) is int and n >= 0 for n in parts.values())
    if not known or sum(parts.values()) != rows:
        raise reader.damaged("the parts in its head")
    return dict(parts)


def write_archive(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Arrays in a .npz file.

    Parameters
    ----------
    path : Path
        The file.
    arrays : mapping of str to array
        By name; texts of any length as texts of the longest.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, _plain(name, array), allow_pickle=False)


def _plain(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind != "O":
        return array
    if any(text is None for text in array.reshape(-1)):
        raise InputError(f"{name!r} has missing texts, which no .npz holds: decompress the file in Python.")
    return array.astype(str)
