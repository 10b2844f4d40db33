"""A table as an expectation–maximisation over columns reads it: what differs from 0, and which cells are missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

__all__ = ["Cells", "Tokens", "per_column"]

Array = NDArray[np.float64]

_CELLS_AT_ONCE = 2**22


@dataclass(frozen=True, eq=False)
class Tokens:
    """Every different (column, value) that is not 0, and where it stands; NaN, a missing cell, is a value too.

    Parameters
    ----------
    where : csr_matrix
        [n, tokens], 1 where a row has it.
    column : array
        Of each token, [tokens], in rising order.
    value : array
        Of each token, [tokens], in rising order within a column.
    """

    where: csr_matrix
    column: NDArray[np.int64]
    value: Array

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """Whether the token is a missing cell, [tokens]."""
        return np.isnan(self.value)


def per_column(column: NDArray[np.int64], values: Array, columns: int) -> Array:
    """Sums over the tokens of every column, [columns, classes] of [tokens, classes]."""
    places = (column, np.arange(len(column)))
    return np.asarray(csr_matrix((np.ones(len(column)), places), shape=(columns, len(column))) @ values)


class Cells:
    """Some columns of a table, dense or in sparse rows, NaN where a cell is missing.

    Parameters
    ----------
    x : array or CSR matrix
        [n, columns].
    """

    def __init__(self, x: Any) -> None:
        self.x, self.shape = x, x.shape

    @property
    def sparse(self) -> bool:
        """Whether only what differs from 0 is held."""
        return hasattr(self.x, "indptr")

    def chosen(self, columns: list[int]) -> "Cells":
        """Some of the columns; all of them in order without a copy."""
        return self if columns == list(range(self.shape[1])) else Cells(self.x[:, columns])

    def blocks(self) -> Iterator[tuple[slice, Array, Array]]:
        """Some columns at a time: which, their values with 0 for missing cells, and 1 where a cell is seen."""
        step = max(_CELLS_AT_ONCE // max(self.shape[0], 1), 1)
        for start in range(0, self.shape[1], step):
            part = self.x[:, start : start + step]
            dense = np.asarray(part.toarray() if self.sparse else part, dtype=np.float64)
            seen = ~np.isnan(dense)
            yield slice(start, start + step), np.where(seen, dense, 0.0), seen.astype(np.float64)

    @cached_property
    def tokens(self) -> Tokens:
        """What differs from 0."""
        rows = csr_matrix(self.x)  # NaN is not 0, and stays
        rows.sum_duplicates()
        value, code = np.unique(rows.data, return_inverse=True)
        kept, token = np.unique(rows.indices.astype(np.int64) * len(value) + code, return_inverse=True)
        where = csr_matrix((np.ones(len(token)), token, rows.indptr), shape=(self.shape[0], len(kept)))
        return Tokens(where, kept // max(len(value), 1), value[kept % max(len(value), 1)].astype(np.float64))
