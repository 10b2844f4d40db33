"""Test examples that also stand in train."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import Support

from .values import is_sparse

__all__ = ["Repeats", "repeats_of"]

_ROWS = 5_000  # beside those of test, by which chance is reckoned


@dataclass(frozen=True)
class Repeats:
    """Test examples that also stand in train, value for value.

    Parameters
    ----------
    index : array
        Their places in the whole data set.
    expected : float or None
        How many there would be by chance, were the columns independent of each other; None for continuous data, where a
        row never occurs twice by chance, and where the rows are not in memory.
    """

    index: NDArray[np.int64]
    expected: float | None

    def note(self, tested: int, part: str = "train") -> list[str]:
        """A sentence about them, where there are any, of so many test examples; by default those in train."""
        if not len(self.index):
            return []
        said = f"Test rows that also stand in {part}: {len(self.index):,} of {tested:,}"
        if self.expected is None:
            return [f"{said}."]
        return [f"{said}; {self.expected:,.0f} would by chance, were the columns independent."]


def repeats_of(
    x: Any, rows: NDArray[np.int64], train: NDArray[np.int64], test: NDArray[np.int64], support: Support
) -> Repeats:
    """Find the test examples that also stand in train.

    Parameters
    ----------
    x : array or sparse matrix
        The data, [n, ...].
    rows : array
        A number per row, equal for equal rows; rows without any value are no repeats.
    train : array
        Row numbers of the training part.
    test : array
        Row numbers of the test part.
    support : Support
        Of the data.

    Returns
    -------
    Repeats
        With the number expected by chance where values repeat, and of a single column, whose values were rounded to
        some digit.

    Examples
    --------
    >>> x = np.array([[0, 1], [0, 1], [0, 0], [1, 1], [0, 1], [1, 0]])
    >>> repeats_of(x, np.array([7, 7, 5, 6, 7, 9]), np.arange(4), np.arange(4, 6), Support("binary"))
    Repeats(index=array([4]), expected=0.98288128)
    """
    found = test[np.isin(rows[test], rows[train])]
    plain = not is_sparse(x) and not isinstance(x, np.memmap)
    continuous = any(one.continuous and one.step is None for one in support.columns or (support,))
    if plain and len(found):
        found = found[[not _empty(x[row]) for row in found]]
    if not len(found) or not plain or (continuous and np.prod(x.shape[1:]) > 1):
        return Repeats(found, None if continuous or not plain else 0.0)
    return Repeats(found, _by_chance(x.reshape(len(x), -1), train, test))


def _empty(row: NDArray[Any]) -> bool:
    """Whether a row has no value at all."""
    return row.dtype.kind == "f" and bool(np.isnan(row).all())


def _by_chance(x: NDArray[Any], train: NDArray[np.int64], test: NDArray[np.int64]) -> float:
    """How many test rows would stand in train if columns were independent, by the shares of their values elsewhere.

    A value's share is that among the other rows, whatever part they are in: one that stands nowhere else is of a row
    that stands nowhere else.
    """
    others = np.setdiff1d(np.arange(len(x)), test)
    known = np.concatenate([test, others[:: max(1, len(others) // _ROWS)]])
    log_p = np.zeros(len(test))
    for column in x[known].T.astype(np.float64):
        _, place, counts = np.unique(column, return_inverse=True, return_counts=True)
        with np.errstate(divide="ignore"):
            log_p += np.log((counts[place[: len(test)]] - 1) / max(1, len(known) - 1))
    return float(-np.expm1(len(train) * np.log1p(-np.exp(np.minimum(log_p, -1e-12)))).sum())
