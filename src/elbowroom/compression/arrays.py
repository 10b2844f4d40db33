"""Arrays as a file holds them: their cells through the model, and what brings the very bytes back."""

import base64
import binascii
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.data.memory import refuse_what_exceeds_memory
from elbowroom.numerics import InputError

from .cells import Cells
from .container import Reader
from .contexts import Contexts
from .layouts import channels_last
from .masses import Whole

__all__ = ["ArraySource", "ArrayTarget", "Exceptions", "read_header", "restored"]

_KINDS = "biuf"
LAST = "last"
_MOST_EXCEPTIONS = 0.01
_LONGEST_HEADER = 2**12
_MOST_SIDES = 16
_LOOKED_AT = 256


@dataclass
class Exceptions:
    """Cells whose bytes the model's grid does not give back, such as −0.0: where they are, and what they hold."""

    places: list[NDArray[np.int64]] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    count: int = 0

    def add(self, places: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Take some."""
        self.places.append(places)
        self.values.append(values.tobytes())
        self.count += len(places)

    def packed(self) -> bytes:
        """Steps between places, 8 bytes each, and then the values."""
        places = np.concatenate(self.places) if self.count else np.zeros(0, np.int64)
        return np.diff(places, prepend=0).astype("<i8").tobytes() + b"".join(self.values)


class ArraySource:
    """An array [n, …], read by rows, for the cells of a model.

    Parameters
    ----------
    array : array
        Of booleans or real numbers, in memory or mapped; or what has its type and shape and hands out rows.
    cells : Cells
        Of the model.
    header : bytes, default b""
        Of the .npy file it stands in, which is written again as it was.

    Attributes
    ----------
    contexts : Contexts
        Of these rows; none where nobody says any.
    read : array
        The same, with the channels of images first.
    left_out : list of str
        What a file does not hold of the data.
    notes : list of str
        Sentences on what comes back.

    Raises
    ------
    InputError
        For other arrays, and rows of another size.
    """

    def __init__(self, array: Any, cells: Cells, header: bytes = b"") -> None:
        if array.dtype.kind not in _KINDS or array.dtype.itemsize > 8:  # longer ones hold bytes that say nothing
            raise InputError(
                f"Arrays of {array.dtype} are not compressed: booleans and real numbers of 64 bits at most are."
            )
        if np.ma.isMaskedArray(array):
            raise InputError("A masked array loses its mask: fill it with NaN, which is a missing cell.")
        if array.ndim < 2 or not len(array):
            raise InputError(f"An array of shape {array.shape} has no rows: give one row per example.")
        self.channels_last = channels_last(array.shape, cells.event)
        self.read = array.transpose(0, 3, 1, 2) if self.channels_last else array
        self.array, self.cells, self.header = array, cells, header
        self.exceptions, self.contexts = Exceptions(), Contexts()
        self.left_out: list[str] = []
        self.notes: list[str] = []
        self._refuse_moved()
        self.scale = self._scale()

    def __len__(self) -> int:
        return len(self.array)

    def rows(self, part: slice) -> NDArray[np.float64]:
        """Rows on the model's scale, [m, *event]; NaN where cells are missing."""
        block = np.asarray(self.read[part])
        return _scaled(block, self.scale).reshape(len(block), *self.cells.event)

    def settle(self, part: slice, cells: Cells, whole: Whole, seen: NDArray[np.bool_] | None) -> None:
        """Note the cells of these rows whose bytes would come back as others."""
        block = np.ascontiguousarray(self.read[part])
        back = restored(cells.x(whole).numpy(), seen, self.scale, block.dtype)
        differ = (_as_bytes(block.reshape(-1)) != _as_bytes(back.reshape(-1))).any(1).reshape(len(block), -1)
        if cells.stated.any():
            pair = (one.reshape(len(block), -1).astype(np.float64) for one in (block, back))
            differ = np.where(cells.stated, cells.off(*pair), differ)
        places = np.flatnonzero(differ)
        self.exceptions.add(places + part.start * block[0].size, block.reshape(-1)[places])
        if self.exceptions.count > 1_000 and self.exceptions.count > _MOST_EXCEPTIONS * self.array.size:
            raise InputError(
                "More than one in a hundred of these values do not lie on the model's grid: give them as they were "
                "when it was trained."
            )

    def beside_what_comes_back(self, part: slice, x: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """These rows as they stand in the array, and as a file of x [m, *event] gives them back, in 64-bit floats."""
        block = np.asarray(self.read[part])
        back = restored(x, None, self.scale, block.dtype).reshape(block.shape)
        return block.astype(np.float64), back.astype(np.float64)

    def head(self) -> dict[str, Any]:
        """What a decoder has to know, in plain values."""
        known = {"kind": "array", "dtype": self.array.dtype.str, "shape": list(self.array.shape), "scale": self.scale}
        fortran = bool(self.array.flags.fnc)
        header = base64.b64encode(self.header).decode()
        turned = {"channels": LAST} if self.channels_last else {}
        return {**known, "fortran": fortran, "header": header, "exceptions": self.exceptions.count, **turned}

    @property
    def cells_beside(self) -> int:
        """How many cells the model's grid does not give back."""
        return self.exceptions.count

    def beside(self) -> bytes:
        """The exceptions."""
        return self.exceptions.packed()

    def _scale(self) -> float:
        """What values are multiplied by: 1, or the top of the grid where they are k/top, or 1/255 for 0 and 255."""
        block = np.asarray(self.read[:_LOOKED_AT])
        top = int(self.cells.levels.max()) - 1
        scales = [1.0, 1 / 255 if top == 1 else float(max(top, 1))]
        return max(scales, key=lambda scale: self._given_back(block, scale))

    def _refuse_moved(self) -> None:
        """Refuse levels that were moved to −1 … 1: training turns them back, and a file has no such scale."""
        top, block = int(self.cells.levels.max()) - 1, np.asarray(self.read[:_LOOKED_AT])
        if block.dtype.kind != "f" or top < 2 or self.cells.open.any() or self.cells.stated.any():
            return
        known = block[~np.isnan(block)]
        if known.size and -1.001 < known.min() < 0 and known.max() < 1.001 and (known != np.rint(known)).any():
            raise InputError(
                f"These values lie between −1 and 1, and the model is over levels 0…{top:,}, which a file gives back: "
                f"give the levels, np.rint((x + 1) * {top / 2:g}).astype(np.uint{8 if top < 256 else 16})."
            )

    def _given_back(self, block: NDArray[Any], scale: float) -> float:
        """Which share of the cells would come back, were values multiplied by this."""
        x = _scaled(block, scale).reshape(len(block), *self.cells.event)
        whole = self.cells.whole(torch.from_numpy(x))
        possible = self.cells.stated | self.cells.open | ((whole >= 0) & (whole < self.cells.levels))
        back = restored(self.cells.x(whole).numpy(), ~np.isnan(x), scale, block.dtype).reshape(block.shape)
        same = (back == block) | (back != back) & (block != block)
        return float((same.reshape(len(block), -1) & possible).mean())


def _scaled(block: NDArray[Any], scale: float) -> NDArray[np.float64]:
    values = block.astype(np.float64)
    return values if scale == 1 else np.rint(values * scale)


def restored(
    x: NDArray[np.float64], seen: NDArray[np.bool_] | None, scale: float, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Values on the model's scale as they stood in the array.

    Parameters
    ----------
    x : array
        [m, *event].
    seen : array or None
        [m, cells], False where NaN belongs.
    scale : float
        As `ArraySource` found it.
    dtype : dtype
        Of the array.

    Returns
    -------
    array
        [m, *event], of that type; its end where a whole number lies beyond.
    """
    values = x if scale == 1 else x * 255.0 if scale < 1 else x / scale
    if seen is not None:
        values = np.where(seen.reshape(values.shape), values, np.nan)
    if dtype.kind in "iu":
        least, most = float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)  # of 64 bits the next float but it holds
        values = np.clip(values, least, most if dtype.itemsize < 8 else np.nextafter(most, 0.0))
    with np.errstate(invalid="ignore", over="ignore"):
        return values.astype(dtype)


def _as_bytes(flat: NDArray[Any]) -> NDArray[np.uint8]:
    return np.frombuffer(flat.tobytes(), np.uint8).reshape(len(flat), -1)


def read_header(path: Path) -> tuple[bytes, tuple[int, ...], bool, np.dtype[Any]]:
    """The header of a .npy file as it stands, and what it says.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    header : bytes
        All before the values.
    shape : tuple of int
        Of the array.
    fortran : bool
        Whether its first side runs fastest.
    dtype : dtype
        Of its values.
    """
    with path.open("rb") as file:
        said = _said(file)
        length = file.tell()
        file.seek(0)
        return file.read(length), *said


def _said(file: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"a .npy file of version {version}")
    return read(file, max_header_size=_LONGEST_HEADER)


class ArrayTarget:
    """Where the rows of an array go: into memory, or into a .npy file.

    Parameters
    ----------
    reader : Reader
        The file, whose head says what stood in the array.

    Raises
    ------
    InputError
        For a head that says what cannot be.
    """

    more_beside = False

    def __init__(self, reader: Reader) -> None:
        self.reader, held = reader, reader.head["source"]
        self.shape = tuple(reader.numbers(held.get("shape"), _sides(held), int, "the shape"))
        self.dtype = _dtype(reader, held.get("dtype"))
        cells, rows = reader.number("cells", 1, 2**24), reader.number("rows", 1, 2**48)
        if min(self.shape) < 1 or self.shape[0] != rows or int(np.prod(self.shape[1:], dtype=object)) != cells:
            raise reader.damaged("the shape in its head")
        scale = held.get("scale")
        if type(scale) is not float or not 0 < scale < 2**31 or type(held.get("fortran")) is not bool:
            raise reader.damaged("the scale in its head")
        self.scale, self.fortran = scale, held["fortran"]
        self.channels_last = "channels" in held
        if self.channels_last and (held["channels"] != LAST or len(self.shape) != 4):
            raise reader.damaged("the channels in its head")
        self.header = self._header(held.get("header"))
        self.places, self.values = self._exceptions(reader.number("exceptions", 0, rows * cells, held), rows * cells)

    def rows(self, part: slice, x: NDArray[np.float64], seen: NDArray[np.bool_] | None) -> NDArray[Any]:
        """The rows of a part, from what the model's cells hold."""
        block = np.ascontiguousarray(restored(x, seen, self.scale, self.dtype)).reshape(len(x), -1)
        flat, size = block.reshape(-1), block.shape[1]
        first, last = np.searchsorted(self.places, [part.start * size, part.stop * size])
        flat[self.places[first:last] - part.start * size] = self.values[first:last]
        if not self.channels_last:
            return flat.reshape(len(x), *self.shape[1:])
        high, wide, channels = self.shape[1:]
        return flat.reshape(len(x), channels, high, wide).transpose(0, 2, 3, 1)

    def whole(self, parts: Iterator[tuple[slice, NDArray[Any]]]) -> NDArray[Any]:
        """The array in memory."""
        way_out = "decompress it to a .npy file, which is written by rows"
        refuse_what_exceeds_memory("The values of this file", self.shape, self.dtype, way_out)
        out = np.empty(self.shape, self.dtype, order="F" if self.fortran else "C")
        for part, rows in parts:
            out[part] = rows
        return out

    def to_file(self, path: Path, parts: Iterator[tuple[slice, NDArray[Any]]]) -> None:
        """A .npy file, with the header that it had."""
        if not self.header:
            buffer = io.BytesIO()
            known = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": self.fortran}
            np.lib.format.write_array_header_1_0(buffer, {**known, "shape": self.shape})
            self.header = buffer.getvalue()
        path.write_bytes(self.header)
        order: Any = "F" if self.fortran else "C"
        with path.open("ab") as file:
            file.truncate(len(self.header) + int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize)
        out = np.memmap(path, self.dtype, "r+", len(self.header), self.shape, order)
        for part, rows in parts:
            out[part] = rows
        out.flush()

    def _header(self, text: Any) -> bytes:
        try:
            header = base64.b64decode(text, validate=True)
            if not header:
                return b""
            file = io.BytesIO(header)
            if _said(file) != (self.shape, self.fortran, self.dtype) or file.read():
                raise ValueError
        except (ValueError, TypeError, binascii.Error, SyntaxError, RecursionError, MemoryError) as error:
            raise self.reader.damaged("the header of the array") from error
        return header

    def _exceptions(self, count: int, most: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
        content = self.reader.beside
        self.rest = content[count * (8 + self.dtype.itemsize) :]
        if len(content) < count * (8 + self.dtype.itemsize) or (self.rest and not self.more_beside):
            raise self.reader.damaged("what stands beside")
        content = content[: len(content) - len(self.rest)]
        places = np.cumsum(np.frombuffer(content[: 8 * count], "<i8"))
        if count and (places[0] < 0 or places[-1] >= most or (np.diff(places) < 1).any()):
            raise self.reader.damaged("what stands beside")
        return places, np.frombuffer(content[8 * count :], self.dtype)


def _sides(held: dict[str, Any]) -> int:
    shape = held.get("shape")
    return min(max(len(shape), 2), _MOST_SIDES) if isinstance(shape, list) else 0


def _dtype(reader: Reader, text: Any) -> np.dtype[Any]:
    try:
        dtype = np.dtype(text) if isinstance(text, str) and len(text) <= 4 else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in _KINDS or dtype.str != text:
        raise reader.damaged("the type in its head")
    return dtype
