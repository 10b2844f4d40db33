"""Test examples that also stand in train."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import Support

__all__ = ["Repeats", "repeats_of"]


@dataclass(frozen=True)
class Repeats:
    """Test examples that also stand in train, value for value.

    Parameters
    ----------
    index : array
        Their places in the whole data set.
    expected : float or None
        How many there would be among as many rows drawn from the distribution of the training rows, of which some
        repeat others; None for continuous data, where a row never occurs twice by chance.
    """

    index: NDArray[np.int64]
    expected: float | None

    def note(self, tested: int) -> list[str]:
        """A sentence about them, where there are any, of so many test examples."""
        if not len(self.index):
            return []
        said = f"Test rows that also stand in train: {len(self.index):,} of {tested:,}"
        if self.expected is None:
            return [f"{said}."]
        return [f"{said}; {self.expected:,.0f} would by chance, as the training rows repeat each other."]


def repeats_of(
    rows: NDArray[np.int64], train: NDArray[np.int64], test: NDArray[np.int64], support: Support, columns: int
) -> Repeats:
    """Find the test examples that also stand in train.

    Parameters
    ----------
    rows : array
        A number per row, equal for equal rows.
    train : array
        Row numbers of the training part.
    test : array
        Row numbers of the test part.
    support : Support
        Of the data.
    columns : int
        Values of a row: a single one may repeat by chance, as it was rounded to some digit.

    Returns
    -------
    Repeats
        With the number expected by chance, where values repeat: the share of the training rows that occur more than
        once in train, times the number of test rows.

    Examples
    --------
    >>> rows = np.array([7, 7, 5, 6, 7, 9])
    >>> repeats_of(rows, np.arange(4), np.arange(4, 6), Support("binary"), 3)
    Repeats(index=array([4]), expected=1.0)
    """
    found = test[np.isin(rows[test], rows[train])]
    continuous = any(one.kind in ("real", "unit") and one.step is None for one in support.columns or (support,))
    if continuous and columns > 1:
        return Repeats(found, None)
    _, counts = np.unique(rows[train], return_counts=True)
    return Repeats(found, float(counts[counts > 1].sum() / len(train) * len(test)))
