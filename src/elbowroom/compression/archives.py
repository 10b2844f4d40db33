"""Arrays by name as a file holds them: x through the model, the contexts it reads, and the others beside."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError

from .arrays import ArraySource, ArrayTarget
from .cells import Cells
from .columns import Column, columns_of, packed
from .container import Reader
from .contexts import Context, Contexts, contexts_by_name
from .known import Known

__all__ = ["ArchiveSource", "ArchiveTarget", "contexts_of_arrays", "write_archive"]

_X, _SIZE = ("x", "data", "images"), "size"


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
        "x" (or "data", "images", or the only one that is no context), contexts by name, and others, which are kept.
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
        self.x_name = _name_of_x(arrays, known)
        super().__init__(np.asanyarray(arrays[self.x_name]), cells)
        self.names = list(arrays)
        others = {name: value for name, value in arrays.items() if name != self.x_name}
        self.contexts = contexts_of_arrays(others, self.array, known)
        read = self.contexts.of_user
        self.others = {name: Column.of(name, value) for name, value in others.items() if name not in read}

    def head(self) -> dict[str, Any]:
        """What a decoder has to know, in plain values."""
        others = [{"name": name, **one.said()} for name, one in self.others.items()]
        return {**super().head(), "kind": "arrays", "x": self.x_name, "names": self.names, "others": others}

    def beside(self) -> bytes:
        """The exceptions, and other arrays behind them."""
        return super().beside() + packed(list(self.others.values()))


def _name_of_x(arrays: Mapping[str, Any], known: Known) -> str:
    for word in _X:
        if word in arrays:
            return word
    left = [name for name in arrays if name not in known.read]
    if len(left) != 1:
        held = ", ".join(map(repr, arrays)) or "nothing"
        raise InputError(f"These arrays are called {held}: call the data 'x'.")
    return left[0]


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
        said, names, self.x_name = held.get("others"), held.get("names"), held.get("x")
        if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
            raise reader.damaged("the arrays in its head")
        columns = columns_of(reader, said, self.rest, "arrays beside x")
        others = zip([one.get("name") for one in said], columns, strict=True)
        self.columns: dict[str, Column] = {**contexts.of_user, **dict(others)}
        known = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not known or len(set(names)) < len(names) or set(names) != {self.x_name, *self.columns}:
            raise reader.damaged("the names in its head")
        self.names: list[str] = names

    def arrays(self, x: NDArray[Any], part: slice | None = None) -> dict[str, NDArray[Any]]:
        """All arrays by name, or some rows of those that have as many as x."""
        kept = self.columns.items() if part is None else [(n, self._some(one, part)) for n, one in self.columns.items()]
        found = {self.x_name: x, **{name: column.values() for name, column in kept}}
        return {name: found[name] for name in self.names}

    def _some(self, column: Column, part: slice) -> Column:
        return column.rows(part) if column.shape[0] == self.shape[0] else column


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
