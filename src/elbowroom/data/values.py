"""What stands behind a part of a data set: a tensor, a memory-mapped array or a sparse matrix, all read by rows."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from elbowroom.numerics import for_torch

__all__ = ["Dense", "InPlace", "Mapped", "Sparse", "Values", "blocks", "is_sparse"]

_CELLS_AT_ONCE = 2**20
_MOST_ROWS_AT_ONCE = 1_000
_WHOLE = 2**26  # cells of a part in memory, up to which all are handed on at once
_WIDE = (torch.float64, torch.int64, torch.int32)


class Values:
    """Rows of numbers as they came, served as floats: of 64 bits where 32 would not hold them.

    Attributes
    ----------
    wide : bool
        Whether they are served as 64-bit floats.
    event : tuple of int
        Shape of one example.
    device : torch.device
        Where the rows are served.
    in_memory : bool
        Whether all rows are in memory as numbers.
    """

    wide: bool
    event: tuple[int, ...]
    device: torch.device = torch.device("cpu")
    in_memory: bool = False

    def __len__(self) -> int:
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, ...]:
        """[n, *event]."""
        return (len(self), *self.event)

    @property
    def dtype(self) -> torch.dtype:
        """The floating type that holds every value."""
        return torch.float64 if self.wide else torch.float32

    def take(self, rows: Tensor | slice) -> Tensor:
        """The rows at these positions, from 0 to len − 1, as floats [rows, *event]."""
        raise NotImplementedError

    def chosen(self, rows: Tensor) -> "Values":
        """Some of the rows, behind the same interface; nothing is read where it need not be."""
        raise NotImplementedError

    def to(self, device: torch.device) -> "Values":
        """The same, handing its rows on to this device."""
        raise NotImplementedError

    def shuffled(self, generator: Generator) -> Tensor:
        """All positions in a new random order, in which it is cheap to read them."""
        return torch.randperm(len(self), generator=generator, device=generator.device)

    def pieces(self) -> Iterator[Tensor]:
        """All rows in turn, as many at once as memory should hold."""
        step = _rows_at_once(self.event)
        return (self.take(slice(start, start + step)) for start in range(0, len(self), step))


class Dense(Values):
    """Numbers in memory, in their own type: bytes stay bytes until a batch is taken.

    Parameters
    ----------
    tensor : Tensor
        [n, *event].
    wide : bool, optional
        Whether they need 64-bit floats; by default found from the numbers.

    Examples
    --------
    >>> values = Dense(torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8))
    >>> values.take(torch.tensor([1])), values.tensor.dtype
    (tensor([[3., 4.]]), torch.uint8)
    """

    in_memory = True

    def __init__(self, tensor: Tensor, wide: bool | None = None) -> None:
        self.tensor, self.event, self.device = tensor, tuple(tensor.shape[1:]), tensor.device
        self.wide = _needs_64_bits(tensor) if wide is None else wide

    def __len__(self) -> int:
        return len(self.tensor)

    def take(self, rows: Tensor | slice) -> Tensor:
        """The rows at these positions; a slice of floats is a view."""
        some = self.tensor[rows] if isinstance(rows, slice) else self.tensor.index_select(0, rows)
        return some.to(self.dtype)

    def chosen(self, rows: Tensor) -> Values:
        """A copy of these rows."""
        return Dense(self.tensor.index_select(0, rows), self.wide)

    def to(self, device: torch.device) -> Values:
        """The same numbers there, as floats already where these are smaller than the type in which they came."""
        smaller = self.dtype.itemsize < self.tensor.dtype.itemsize
        return Dense(self.tensor.to(device, self.dtype if smaller else None), self.wide)

    def pieces(self) -> Iterator[Tensor]:
        """All rows at once, where there are not very many cells."""
        if self.tensor.numel() > _WHOLE:
            yield from super().pieces()
        else:
            yield self.take(slice(None))


class _Elsewhere(Values):
    """Rows that become numbers in memory only as they are taken."""

    def __init__(self, source: Any, places: NDArray[np.int64], event: tuple[int, ...], wide: bool) -> None:
        self.source, self.places, self.event, self.wide = source, places, event, wide

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: Tensor | slice) -> Tensor:
        """The rows at these positions, and no others, read into memory."""
        places = self.places[rows if isinstance(rows, slice) else rows.numpy(force=True)]
        step, shape = _rows_at_once(self.event), (len(places), *self.event)
        if len(places) <= step:
            read = np.ascontiguousarray(self._read(places), dtype=np.float64 if self.wide else np.float32)
            return torch.from_numpy(read.reshape(shape)).to(self.device)
        some = torch.empty(shape, dtype=self.dtype)  # read part by part, so that nothing is held twice
        for start in range(0, len(places), step):
            part = np.asarray(self._read(places[start : start + step]), dtype=np.float64 if self.wide else np.float32)
            some[start : start + step] = torch.from_numpy(part.reshape(-1, *self.event))
        return some.to(self.device)

    def chosen(self, rows: Tensor) -> Values:
        """The same source, at fewer places."""
        return self._at(self.places[rows.numpy(force=True)], self.device)

    def to(self, device: torch.device) -> Values:
        """The same source, its batches handed on to the device."""
        return self._at(self.places, device)

    def _at(self, places: NDArray[np.int64], device: torch.device) -> Values:
        same = type(self)(self.source, places, self.event, self.wide)
        same.device = device
        return same

    def _read(self, places: NDArray[np.int64]) -> NDArray[Any]:
        raise NotImplementedError


class Mapped(_Elsewhere):
    """Rows of a memory-mapped array [n, ...], which is never read whole."""

    def _read(self, places: NDArray[np.int64]) -> NDArray[Any]:
        return np.asarray(self.source[places])


class InPlace(_Elsewhere):
    """Rows of a large array in memory, which is not copied: it is not to be changed while it is used."""

    in_memory = True

    def to(self, device: torch.device) -> Values:
        """A copy of the rows on another device."""
        if device.type == "cpu":
            return self._at(self.places, device)
        return Dense(torch.from_numpy(for_torch(self.source[self.places])).view(-1, *self.event), self.wide).to(device)

    def _read(self, places: NDArray[np.int64]) -> NDArray[Any]:
        rows: NDArray[Any] = self.source[places]
        return rows


class Sparse(_Elsewhere):
    """Rows of a sparse matrix in rows (CSR), densified as they are taken."""

    def _read(self, places: NDArray[np.int64]) -> NDArray[Any]:
        dense: NDArray[Any] = self.source[places].toarray()
        return dense


def blocks(x: Any) -> Iterator[tuple[int, NDArray[Any]]]:
    """Rows of an array or CSR matrix in turn, as [rows, values of an example], each block with its first row."""
    step = _rows_at_once(x.shape[1:])
    for start in range(0, x.shape[0], step):
        some = x[start : start + step]
        dense = some.toarray() if is_sparse(x) else np.asarray(some)
        yield start, dense.reshape(len(dense), -1)


def is_sparse(x: Any) -> bool:
    """Whether this is one of SciPy's sparse matrices."""
    return hasattr(x, "tocsr") and hasattr(x, "nnz")


def _rows_at_once(event: tuple[int, ...]) -> int:
    return min(max(_CELLS_AT_ONCE // max(int(np.prod(event)), 1), 1), _MOST_ROWS_AT_ONCE)


def _needs_64_bits(x: Tensor) -> bool:
    """Whether floats of 32 bits would change a value."""
    return x.dtype in _WIDE and not bool(((x.to(torch.float32).to(x.dtype) == x) | (x != x)).all())
