"""A matrix in rows (CSR) that stays in its HDF5 file and is read by rows."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError

from .text import unreadable

__all__ = ["CsrOnDisk"]

_GAP = 2**16  # bytes between two rows that are wanted, up to which they are read in one go


class CsrOnDisk:
    """Rows of a sparse matrix in a file, read as they are asked for.

    It answers what the readers of rows ask of SciPy's: `shape`, `dtype`, `nnz`, and rows by a slice or an array of
    numbers, as a CSR matrix in memory. The file is opened anew in every process.

    Parameters
    ----------
    path : Path
        An HDF5 file.
    group : str
        Where "data", "indices" and "indptr" stand in it.
    shape : sequence of int
        [n, columns] of the whole.
    columns : array, optional
        The columns that are handed on, in this order. By default all.

    Raises
    ------
    InputError
        For rows and columns that do not lie in the matrix, and where another process finds that the file has changed.

    Examples
    --------
    >>> import tempfile
    >>> import h5py
    >>> with tempfile.TemporaryDirectory() as folder, h5py.File(folder + "/x.h5", "w") as file:
    ...     file["x/data"], file["x/indices"], file["x/indptr"] = [5, 6], [1, 0], [0, 1, 2]
    ...     file.flush()
    ...     CsrOnDisk(Path(folder) / "x.h5", "x", (2, 2))[np.array([1, 0])].toarray().tolist()
    [[6, 0], [0, 5]]
    """

    ndim = 2

    def __init__(self, path: Path, group: str, shape: Sequence[int], columns: NDArray[np.int64] | None = None) -> None:
        self.path, self.group, self.whole, self.columns = Path(path), group, (int(shape[0]), int(shape[1])), columns
        self._open: tuple[int, Any] | None = None
        self._state = _state(self.path)
        stored = self._stored()
        self.indptr: NDArray[np.int64] = np.asarray(stored["indptr"][:], np.int64)
        self.dtype: np.dtype[Any] = stored["data"].dtype
        held = min(stored["data"].size, stored["indices"].size)
        ends = self.indptr
        if len(ends) != self.whole[0] + 1 or ends[0] != 0 or ends[-1] > held or (np.diff(ends) < 0).any():
            raise unreadable(f"{group!r} of {self.path.name!r}", "its rows do not add up")

    @property
    def shape(self) -> tuple[int, int]:
        """[n, columns that are handed on]."""
        return self.whole[0], self.whole[1] if self.columns is None else len(self.columns)

    @property
    def nnz(self) -> int:
        """Values that are stored, of all columns."""
        return int(self.indptr[-1])

    def tocsr(self) -> Any:
        """All of it, in memory."""
        return self[:]

    def of_columns(self, columns: NDArray[np.int64]) -> "CsrOnDisk":
        """The same rows with fewer columns.

        Parameters
        ----------
        columns : array
            Their places among those that are handed on now.

        Returns
        -------
        CsrOnDisk
            Nothing is read.
        """
        places = np.asarray(columns, np.int64)
        return CsrOnDisk(self.path, self.group, self.whole, places if self.columns is None else self.columns[places])

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, tuple):
            rows, columns = key
            return (self if isinstance(columns, slice) else self.of_columns(columns))[rows]
        rows = np.arange(self.whole[0])[key]
        order = np.argsort(rows, kind="stable")
        read = self._rows(rows[order])
        if (np.diff(order) == 1).all():
            return read
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return read[back]

    def _rows(self, rows: NDArray[np.int64]) -> Any:
        """Rows in rising order."""
        from scipy import sparse

        if not len(rows):
            return sparse.csr_matrix(self.shape, dtype=self.dtype)[:0]
        stored = self._stored()
        each = self.dtype.itemsize + stored["indices"].dtype.itemsize
        cuts = np.flatnonzero((self.indptr[rows[1:]] - self.indptr[rows[:-1] + 1]) * each > _GAP) + 1
        found = []
        for run in np.split(rows, cuts):
            first, last = int(run[0]), int(run[-1]) + 1
            bounds = self.indptr[first : last + 1]
            some = slice(int(bounds[0]), int(bounds[-1]))
            parts = stored["data"][some], stored["indices"][some], bounds - bounds[0]
            if len(parts[1]) and not 0 <= parts[1].min() <= parts[1].max() < self.whole[1]:
                raise unreadable(f"{self.group!r} of {self.path.name!r}", f"a column beyond {self.whole[1]:,}")
            block = sparse.csr_matrix(parts, shape=(last - first, self.whole[1]))
            found.append(block if len(run) == last - first else block[run - first])
        whole = found[0] if len(found) == 1 else sparse.vstack(found, format="csr")
        return whole if self.columns is None else whole[:, self.columns]

    def _stored(self) -> Any:
        """The group in the file, opened once in this process."""
        import h5py

        if self._open is None or self._open[0] != os.getpid():
            if _state(self.path) != self._state:
                raise InputError(
                    f"{self.path.name!r} was changed, moved or deleted after it was loaded: load it again."
                )
            self._open = os.getpid(), h5py.File(self.path, "r")
        return self._open[1][self.group]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> "CsrOnDisk":
        return self  # nothing in it changes


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of the last change, by which another file in its place is known; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
