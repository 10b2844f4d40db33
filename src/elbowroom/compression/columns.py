"""Arrays that no model codes, as bytes for a general compressor: texts and classes as codes, numbers by their bytes."""

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.data.memory import refuse_what_exceeds_memory
from elbowroom.numerics import InputError

from .container import Reader

__all__ = ["Column", "columns_of", "packed"]

_KINDS, _TEXT = "biuf", "|O"
_MOST_VALUES, _MOST_SIDES = 2**28, 8
_LENGTH = struct.Struct("<Q")
_CODES = (np.dtype("u1"), np.dtype("<u2"), np.dtype("<u4"))


@dataclass(frozen=True)
class Column:
    """An array of texts or numbers, to the bit.

    Parameters
    ----------
    dtype : str
        As numpy writes it; "|O" of texts of any length.
    shape : tuple of int
        Rows first.
    data : array
        Codes of texts [*shape], of a 1 among zeros [n], else the numbers themselves.
    texts : tuple of str or None
        What codes mean, None where a text is missing; None for numbers.
    hot : bool
        Whether each row is a single 1 among zeros.
    """

    dtype: str
    shape: tuple[int, ...]
    data: NDArray[Any]
    texts: tuple[str | None, ...] | None = None
    hot: bool = False

    @classmethod
    def of(cls, name: str, values: Any) -> "Column":
        """An array as it stands in the user's data, called by a name in errors."""
        array = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
        if not array.ndim or array.ndim > _MOST_SIDES or array.size > _MOST_VALUES:
            raise InputError(
                f"{name!r} has the shape {array.shape}: what stands beside x has rows, and {_MOST_VALUES:,} values at "
                f"most (classes take few as words or codes, one a row)."
            )
        if array.dtype.kind in "UO":
            return cls._of_texts(name, array)
        if array.dtype.kind not in _KINDS or array.dtype.itemsize > 8:
            raise InputError(
                f"{name!r} is of type {array.dtype}, which a file does not hold: numbers, booleans and texts are held."
            )
        array = np.ascontiguousarray(array)
        codes = _hot_codes(array)
        return cls(array.dtype.str, array.shape, array if codes is None else codes, hot=codes is not None)

    @classmethod
    def _of_texts(cls, name: str, array: NDArray[Any]) -> "Column":
        flat = [None if one is None or one != one else one for one in array.reshape(-1).tolist()]
        if not all(one is None or isinstance(one, str) for one in flat):
            raise InputError(f"{name!r} holds Python objects that are no texts: give numbers or texts.")
        places = {text: place for place, text in enumerate(dict.fromkeys(flat))}
        codes = np.array([places[one] for one in flat], np.int64).reshape(array.shape)
        dtype = _TEXT if array.dtype.kind == "O" else array.dtype.str
        return cls(dtype, array.shape, codes, tuple(places))

    def values(self) -> NDArray[Any]:
        """The array."""
        if self.texts is not None or self.hot:
            way_out = "read its rows by chunks"
            refuse_what_exceeds_memory("Classes and texts of this file", self.shape, np.dtype(self.dtype), way_out)
        if self.texts is not None:
            table = np.array([*self.texts, None], object)[:-1]
            return table[self.data].astype(self.dtype)
        if not self.hot:
            return self.data
        array = np.zeros(self.shape, self.dtype)
        array[np.arange(len(array)), self.data] = 1
        return array

    def rows(self, part: slice) -> "Column":
        """Some rows of it."""
        data = self.data[part]
        return Column(self.dtype, (len(data), *self.shape[1:]), data, self.texts, self.hot)

    def said(self) -> dict[str, Any]:
        """What a reader has to know, in plain values."""
        kind = {"texts": True} if self.texts is not None else {"hot": True} if self.hot else {}
        return {"dtype": self.dtype, "shape": list(self.shape), **kind}

    def content(self) -> bytes:
        """Texts with their length before them, and codes; or the numbers, their first bytes first."""
        texts = b"" if self.texts is None else json.dumps(self.texts).encode()
        if self.texts is not None or self.hot:
            told = b"" if self.texts is None else _LENGTH.pack(len(texts)) + texts
            return told + self.data.astype(_code_type(self._classes)).tobytes()
        planes = np.frombuffer(self.data.tobytes(), np.uint8).reshape(-1, self.data.dtype.itemsize)
        return planes.T.tobytes()

    @property
    def _classes(self) -> int:
        return self.shape[1] if self.texts is None else len(self.texts)

    @classmethod
    def read(cls, reader: Reader, said: Any, content: bytes) -> tuple["Column", bytes]:
        """A column from the head and the bytes of a file, and the bytes behind it; InputError for what cannot be."""
        if not isinstance(said, dict) or not isinstance(said.get("shape"), list) or not 1 <= len(said["shape"]) < 9:
            raise reader.damaged("an array beside x")
        shape = tuple(reader.numbers(said["shape"], len(said["shape"]), int, "an array beside x"))
        worded, hot = said.get("texts", False), said.get("hot", False)
        dtype = _type(said.get("dtype"), worded is True)
        if dtype is None or min(shape) < 0 or math.prod(shape) > _MOST_VALUES or {type(worded), type(hot)} != {bool}:
            raise reader.damaged("an array beside x")
        if not hot and not worded:
            size = math.prod(shape) * dtype.itemsize
            planes = np.frombuffer(_first(reader, content, size), np.uint8).reshape(dtype.itemsize, -1)
            return cls(dtype.str, shape, np.frombuffer(planes.T.tobytes(), dtype).reshape(shape)), content[size:]
        if hot and (len(shape) != 2 or worded):
            raise reader.damaged("an array beside x")
        told = None
        if worded:
            told, content = _texts_of(reader, content)
        classes, sides = (shape[1], shape[:1]) if told is None else (len(told), shape)
        code = _code_type(classes)
        size = math.prod(sides) * code.itemsize
        codes = np.frombuffer(_first(reader, content, size), code).astype(np.int64).reshape(sides)
        if codes.size and codes.max() >= classes:
            raise reader.damaged("an array beside x")
        return cls(dtype.str, shape, codes, told, hot), content[size:]


def packed(columns: Sequence[Column]) -> bytes:
    """Bytes of all columns, one after another."""
    return b"".join(column.content() for column in columns)


def columns_of(reader: Reader, said: Any, content: bytes, what: str) -> list[Column]:
    """All columns of a list in the head of a file, from exactly these bytes.

    Parameters
    ----------
    reader : Reader
        The file.
    said : Any
        Of the head: a list, if it is sound.
    content : bytes
        What `packed` wrote.
    what : str
        What they are, for the error.

    Returns
    -------
    list of Column
        In order.

    Raises
    ------
    InputError
        For what cannot be.
    """
    if not isinstance(said, list):
        raise reader.damaged(what)
    found = list[Column]()
    for one in said:
        column, content = Column.read(reader, one, content)
        found.append(column)
    if content:
        raise reader.damaged(what)
    return found


def _hot_codes(array: NDArray[Any]) -> NDArray[np.int64] | None:
    """Where the 1 of each row stands, if each is a 1 among zeros to the bit."""
    if array.ndim != 2 or array.shape[1] < 2 or not len(array):
        return None
    codes: NDArray[np.int64] = (array == 1).argmax(1).astype(np.int64)
    ones = array[np.arange(len(array)), codes] == 1
    bare = np.frombuffer(array.tobytes(), np.uint8).reshape(len(array), array.shape[1], -1).any(2)
    return codes if ones.all() and (bare.sum(1) == 1).all() else None


def _code_type(classes: int) -> np.dtype[Any]:
    return next(one for one in _CODES if classes <= 2 ** (8 * one.itemsize))


def _type(text: Any, texts: bool) -> np.dtype[Any] | None:
    try:
        dtype = np.dtype(text) if isinstance(text, str) and len(text) <= 12 else None
    except TypeError:
        return None
    if dtype is None or dtype.str != text:
        return None
    held = dtype.kind == "O" or (dtype.kind == "U" and dtype.itemsize <= 2**16) if texts else dtype.kind in _KINDS
    return dtype if held and (texts or dtype.itemsize <= 8) else None


def _texts_of(reader: Reader, content: bytes) -> tuple[tuple[str | None, ...], bytes]:
    """Texts from the bytes of a column, and the bytes behind them."""
    (length,) = _LENGTH.unpack(_first(reader, content, _LENGTH.size))
    written = _first(reader, content[_LENGTH.size :], length)
    try:
        texts = json.loads(written)
    except (ValueError, RecursionError) as error:
        raise reader.damaged("an array beside x") from error
    if not isinstance(texts, list) or not all(one is None or isinstance(one, str) for one in texts):
        raise reader.damaged("an array beside x")
    return tuple(texts), content[_LENGTH.size + length :]


def _first(reader: Reader, content: bytes, size: int) -> bytes:
    if len(content) < size:
        raise reader.damaged("an array beside x")
    return content[:size]
