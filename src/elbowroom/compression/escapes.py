"""Single cells that a model cannot hold, as an outlier: near ones are coded in their place, and they stand beside."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .cells import Cells
from .masses import Whole

__all__ = ["Window"]

_FEW, _SHARE = 10, 0.01
_REACH, _MOST_COUNTS = 2**23, 2**53


@dataclass(frozen=True)
class Window:
    """Where the whole numbers of each cell may lie, [D], before those of a file are known.

    Parameters
    ----------
    low, high : array
        The least and the greatest: of columns without a range of their own what is 2²³ steps or less from the middle
        of the first rows.
    middle : array
        What is coded in the place of a cell beyond; the nearest one where a column has a range of its own.
    """

    low: Whole
    high: Whole
    middle: Whole

    @classmethod
    def of(cls, cells: Cells, x: NDArray[np.float64]) -> "Window":
        """From the first rows [n, *event] of the data, NaN where cells are missing."""
        whole = cells.whole(torch.from_numpy(x)).astype(np.float64)
        there = ~np.isnan(x.reshape(len(x), -1))
        middle = np.array(
            [np.median(one[seen]) if seen.any() else 0.0 for one, seen in zip(whole.T, there.T, strict=True)]
        )
        start = np.rint(middle).astype(np.int64)
        low = np.where(cells.counted, 0, start - _REACH + 1)
        high = np.where(cells.counted, _MOST_COUNTS - 1, start + _REACH)
        return cls(np.where(cells.open, low, 0), np.where(cells.open, high, cells.levels - 1), start)

    def held(self, cells: Cells, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows [n, *event] with the nearest cells that the model holds in the place of few others; else as they are.

        Where many are others, the rows are refused by who reads them, with what is wrong.
        """
        flat = x.reshape(len(x), -1)
        whole = cells.whole(torch.from_numpy(x))
        inside = np.clip(whole, self.low, self.high)
        inside = np.where(cells.open & (inside != whole), self.middle, inside)
        near = cells.x(inside).numpy().reshape(flat.shape)
        off = np.where(cells.stated, inside != whole, near != flat) & ~np.isnan(flat)
        if not 0 < off.sum() <= _FEW + _SHARE * off.size:
            return x
        return np.where(off, near, flat).reshape(x.shape)
