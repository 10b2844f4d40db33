"""The file: a head, an index of chunks, what stands beside, and the chunks, each with its checksum."""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from elbowroom.numerics import InputError

from .chunk import Chunk

__all__ = ["VERSIONS", "Reader", "Sizes", "write"]

MAGIC = b"\x89ELB\r\n\x1a\n"
VERSIONS = (1, 2, 3, 4)
"""Of files of one draw from the encoder's q, of others, of those that hold contexts, and of data that are turned."""
_TURNED = {"channels", "parts"}
_START, _ENTRY = struct.Struct("<8sHHIII"), struct.Struct("<IIII8s8sf")
_CHECK = struct.Struct("<I")
_LARGEST_HEAD, _LARGEST_BESIDE = 2**24, 2**28
_MOST_CELLS, _MOST_ROWS = 2**24, 2**48


@dataclass(frozen=True)
class Sizes:
    """What the bytes of a file are: head with its checksums, index, what stands beside, contexts, and the chunks."""

    head: int
    index: int
    beside: int
    chunks: int
    contexts: int = 0


def write(
    path: Path, head: dict[str, Any], beside: bytes, chunks: Iterator[Chunk], contexts: bytes | None = None
) -> tuple[list[Chunk], Sizes]:
    """Write a file, chunk by chunk; what comes from the iterator is not held.

    Parameters
    ----------
    path : Path
        A new file.
    head : dict
        Plain values; "chunks" says how many there will be.
    beside : bytes
        What no model codes.
    chunks : iterator of Chunk
        In order.
    contexts : bytes or None, default None
        What the model reads beside x and z, where it reads anything.

    Returns
    -------
    entries : list of Chunk
        The chunks without their words.
    sizes : Sizes
        Bytes.
    """
    told = b"" if contexts is None else _packed(contexts)
    sized = head if contexts is None else {**head, "contexts bytes": len(told)}
    packed, stored = _packed(json.dumps(sized).encode()), _packed(beside)
    entries = list[Chunk]()
    with path.open("wb") as file:
        file.write(_START.pack(MAGIC, _version(head), 0, len(packed), zlib.crc32(packed), len(stored)))
        file.write(packed)
        at = file.tell()
        index = bytearray(head["chunks"] * _ENTRY.size)
        file.write(index + _CHECK.pack(0) + stored + _CHECK.pack(zlib.crc32(stored)))
        if contexts is not None:
            file.write(told + _CHECK.pack(zlib.crc32(told)))
        start = file.tell()
        for number, chunk in enumerate(chunks):
            words = chunk.words.astype("<u4").tobytes()
            checks = zlib.crc32(words), chunk.outputs, chunk.values, chunk.mask_bits
            _ENTRY.pack_into(index, number * _ENTRY.size, len(chunk.words), chunk.rows, chunk.initial, *checks)
            entries.append(Chunk(chunk.words[:0], chunk.initial, chunk.rows, *checks[1:]))
            file.write(words)
        end = file.tell()
        file.seek(at)
        file.write(index + _CHECK.pack(zlib.crc32(packed + index)))
    beside_bytes, told_bytes = len(stored) + _CHECK.size, 0 if contexts is None else len(told) + _CHECK.size
    sizes = Sizes(_START.size + len(packed), len(index) + _CHECK.size, beside_bytes, end - start, told_bytes)
    return entries, sizes


def _version(head: dict[str, Any]) -> int:
    settings, source = head.get("settings"), head.get("source")
    if isinstance(source, dict) and _TURNED & source.keys():
        return VERSIONS[3]
    more = isinstance(settings, dict) and bool({"draws", "refine"} & settings.keys())
    return VERSIONS[2 if "contexts" in head else more]


def _packed(content: bytes) -> bytes:
    return zlib.compress(content, 9)


class Reader:
    """A file, its head and index checked; its chunks are read one at a time.

    Parameters
    ----------
    path : str or Path
        The file.
    fresh : bool, default False
        Whether it was written just now, and is not in its place yet.

    Attributes
    ----------
    head : dict
        Plain values.
    beside : bytes
        What no model coded.
    contexts : bytes
        What the model read beside x and z.
    rows : list of int
        Of each chunk.

    Raises
    ------
    InputError
        For another file, another version, one that is cut short, and one whose checksums do not fit.
    """

    def __init__(self, path: str | Path, *, fresh: bool = False) -> None:
        self.path, self.fresh = Path(path), fresh
        try:
            with self.path.open("rb") as file:
                self._read(file, self.path.stat().st_size)
        except OSError as error:
            raise InputError(f"{self.path} cannot be read: {error.strerror or error}.") from error

    def damaged(self, what: str) -> InputError:
        """The error for a file that is not what was written, or could not be read were it left."""
        if self.fresh:
            return InputError(
                f"A file of these data could not be read again ({what}), so none is left: take coarser steps, smaller "
                f"numbers, plainer names, or fewer rows or columns at a time."
            )
        return InputError(f"{self.path.name!r} is damaged ({what}): take another copy of it, nothing was read from it.")

    def _read(self, file: IO[bytes], size: int) -> None:
        start = file.read(_START.size)
        if not start.startswith(MAGIC):
            raise InputError(f"{self.path.name!r} is no file of elbowroom compress: its first bytes are others.")
        if len(start) < _START.size:
            raise self.damaged("it is cut short")
        _, version, flags, head_size, check, beside_size = _START.unpack(start)
        if version not in VERSIONS or flags:
            raise InputError(
                f"{self.path.name!r} is of version {version} and this elbowroom reads versions 1 to 4: use the "
                f"elbowroom that wrote it."
            )
        packed = file.read(min(head_size, size))
        if len(packed) < head_size or zlib.crc32(packed) != check:
            raise self.damaged("its head")
        self.head = self._plain(self._unpacked(packed, _LARGEST_HEAD, "its head"))
        if _version(self.head) != version:
            raise self.damaged("its version")
        chunks = self.number("chunks", 1, size // _ENTRY.size)
        index = file.read(chunks * _ENTRY.size)
        (check,) = _CHECK.unpack(file.read(_CHECK.size).ljust(_CHECK.size, b"\0"))
        if len(index) < chunks * _ENTRY.size or zlib.crc32(packed + index) != check:
            raise self.damaged("its index")
        self.beside, self.contexts = self._section(file, beside_size, "what stands beside"), b""
        if "contexts" in self.head:
            self.contexts = self._section(file, self.number("contexts bytes", 0, size), "its contexts")
        self._entries = list(_ENTRY.iter_unpack(index))
        self._check_entries(file.tell(), size)

    def _section(self, file: IO[bytes], size: int, what: str) -> bytes:
        stored = file.read(min(size, self.path.stat().st_size))
        (check,) = _CHECK.unpack(file.read(_CHECK.size).ljust(_CHECK.size, b"\0"))
        if len(stored) < size or zlib.crc32(stored) != check:
            raise self.damaged(what)
        return self._unpacked(stored, _LARGEST_BESIDE, what)

    def _check_entries(self, start: int, size: int) -> None:
        words, self.rows = ([entry[i] for entry in self._entries] for i in (0, 1))
        self._starts = [start, *(start + 4 * int(total) for total in np.cumsum(words, dtype=object))]
        if self._starts[-1] != size:
            raise self.damaged("it is cut short, or something was added")
        cells = self.number("cells", 1, _MOST_CELLS)
        if sum(self.rows) != self.number("rows", 1, _MOST_ROWS) or min(self.rows) < 1:
            raise self.damaged("its rows")
        if max(self.rows) * cells > _MOST_CELLS:
            raise self.damaged(f"a chunk of more than {_MOST_CELLS:,} cells")
        if any(not 2 <= entry[2] <= entry[0] for entry in self._entries):
            raise self.damaged("its initial bits")

    def chunk(self, number: int) -> Chunk:
        """Read one chunk; the others are not touched."""
        words, rows, initial, check, outputs, values, mask_bits = self._entries[number]
        with self.path.open("rb") as file:
            file.seek(self._starts[number])
            content = file.read(4 * words)
        if len(content) < 4 * words or zlib.crc32(content) != check:
            raise self.damaged(f"chunk {number}")
        return Chunk(np.frombuffer(content, "<u4").astype(np.uint32), initial, rows, outputs, values, mask_bits)

    def number(self, name: str, low: int, high: int, held: Any = None) -> int:
        """A whole number of the head, within bounds."""
        value = (self.head if held is None else held).get(name)
        if type(value) is not int or not low <= value <= high:
            raise self.damaged(f"{name} in its head")
        return value

    def numbers(self, values: Any, count: int, kind: type, what: str) -> list[Any]:
        """A list of so many finite numbers of one type, from the head."""
        fits = isinstance(values, list) and len(values) == count and all(type(one) is kind for one in values)
        if not fits or not all(abs(one) < 2.0**62 for one in values):
            raise self.damaged(f"{what} in its head")
        return list(values)

    def _unpacked(self, content: bytes, most: int, what: str) -> bytes:
        machine = zlib.decompressobj()
        try:
            found = machine.decompress(content, most)
        except zlib.error as error:
            raise self.damaged(what) from error
        if not machine.eof or machine.unused_data:
            raise self.damaged(what)
        return found

    def _plain(self, text: bytes) -> dict[str, Any]:
        try:
            found = json.loads(text, parse_constant=_refused)
        except (ValueError, RecursionError) as error:
            raise self.damaged("its head") from error
        if not isinstance(found, dict):
            raise self.damaged("its head")
        return found


def _refused(word: str) -> Any:
    raise ValueError(word)
