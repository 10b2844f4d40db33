"""Rows of a matrix on the disk, and an order of training in which they are read by blocks."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from .csr_on_disk import CsrOnDisk
from .values import Sparse

__all__ = ["OnDisk"]

_READ = 2**18  # bytes of a block: rows that stand side by side in the file and are read in one go
_BLOCKS = 512  # in a window; of 116 an order by samples still costs nats (docs/scale.md)
_PAIR = 8  # bytes of a value and its column


class OnDisk(Sparse):
    """Rows of a `CsrOnDisk`, shuffled by blocks.

    A random order of single rows is a read for each. So blocks of neighbours (256 KiB) are shuffled, 512 of them are
    read into a window (128 MiB), and the rows of a window are shuffled among each other: a batch is drawn from hundreds
    of places of the file. Rows that are asked for in no such order are read as they come.

    Parameters
    ----------
    source : CsrOnDisk
        All rows.
    places : array
        Which of them, by number.
    event : tuple of int
        Shape of one example.
    wide : bool
        Whether they are served as 64-bit floats.
    """

    source: CsrOnDisk

    def __init__(self, source: CsrOnDisk, places: NDArray[np.int64], event: tuple[int, ...], wide: bool) -> None:
        super().__init__(source, places, event, wide)
        self._windows: tuple[Tensor, ...] = ()
        self._window_of: Tensor | None = None
        self._held: tuple[int, Tensor, Any] | None = None

    @property
    def block(self) -> int:
        """Neighbours that are read in one go."""
        filled = max(self.source.nnz / max(self.source.shape[0], 1), 1.0)
        return max(int(_READ / (filled * _PAIR)), 1)

    @property
    def window(self) -> int:
        """Rows that are held at once."""
        return _BLOCKS * self.block

    def shuffled(self, generator: Generator) -> Tensor:
        """All positions in a new order, block by block of the file and window by window."""
        device = generator.device
        blocks = torch.from_numpy(np.argsort(self.places, kind="stable")).split(self.block)
        drawn = torch.randperm(len(blocks), generator=generator, device=device).split(_BLOCKS)
        windows = [torch.cat([blocks[place] for place in some.tolist()]) for some in drawn]
        mixed = [rows[torch.randperm(len(rows), generator=generator, device=device).cpu()] for rows in windows]
        self._windows, self._held = tuple(mixed), None
        self._window_of = torch.empty(len(self), dtype=torch.int64)
        for number, rows in enumerate(mixed):
            self._window_of[rows] = number
        return torch.cat(mixed).to(device)

    def take(self, rows: Tensor | slice) -> Tensor:
        """The rows at these positions; those of one window come with all of it."""
        number = None if isinstance(rows, slice) else self._one_window(rows)
        if number is None or isinstance(rows, slice):
            return super().take(rows)
        if self._held is None or self._held[0] != number:
            self._held = None  # so that two are never held
            its = self._windows[number].sort().values
            self._held = number, its, self.source[self.places[its.numpy()]]
        _, its, matrix = self._held
        dense = matrix[torch.searchsorted(its, rows.cpu()).numpy()].toarray()
        kind = np.float64 if self.wide else np.float32
        return torch.from_numpy(dense.astype(kind, copy=False).reshape(-1, *self.event)).to(self.device)

    def _one_window(self, rows: Tensor) -> int | None:
        """The window that all of the rows are in, where there is one."""
        if self._window_of is None or not len(rows):
            return None
        numbers = self._window_of[rows.cpu()]
        return int(numbers[0]) if bool((numbers == numbers[0]).all()) else None
