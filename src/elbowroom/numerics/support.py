"""The support of data: which values can occur, which decides what likelihood makes sense."""

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ._plain_arguments import plain_arguments
from .errors import InputError

__all__ = ["Kind", "Limits", "Support", "infer_support"]

Kind = Literal["binary", "unit", "grid", "real", "counts", "categorical", "mixed"]


@plain_arguments
@dataclass(frozen=True)
class Support:
    """Which values data can take.

    Parameters
    ----------
    kind : {"binary", "unit", "grid", "real", "counts", "categorical", "mixed"}
        0 or 1; the interval [0, 1]; whole numbers 0 … levels − 1; real numbers; whole numbers from 0; category codes 0
        … levels − 1; or a table whose columns differ.
    levels : int, default None
        Number of values of a grid, or of categories.
    columns : tuple of Support, default ()
        The support of each column of a mixed table.

    Raises
    ------
    InputError
        If `levels` or `columns` do not fit the kind.

    Examples
    --------
    >>> str(Support("grid", 17))
    'integer grid 0…16'
    """

    kind: Kind
    levels: int | None = None
    columns: tuple["Support", ...] = ()

    @property
    def groups(self) -> list[tuple["Support", int]]:
        """Runs of neighbouring columns with the same support, and the number of columns of each."""
        return [(support, len(list(run))) for support, run in groupby(self.columns)]

    def __post_init__(self) -> None:
        if self.kind in ("grid", "categorical") and (self.levels is None or self.levels < 2):
            raise InputError(f"Support {self.kind!r} needs levels=2 or more; got {self.levels}.")

        if (self.kind == "mixed") != bool(self.columns):
            raise InputError("A mixed support, and no other, needs the supports of its columns.")

    def __str__(self) -> str:
        if self.kind == "mixed":
            kinds = sorted({support.kind for support in self.columns})
            counted = [f"{sum(s.kind == kind for s in self.columns)} {kind}" for kind in kinds]
            return f"table of columns: {', '.join(counted)}"
        words = {
            "binary": "binary {0, 1}",
            "unit": "unit interval [0, 1]",
            "grid": f"integer grid 0…{(self.levels or 1) - 1}",
            "real": "real numbers",
            "counts": "counts 0, 1, 2, …",
            "categorical": f"{self.levels} categories",
        }
        return words[self.kind]


@dataclass(frozen=True)
class Limits:
    """The smallest and the greatest of some numbers, and whether all are whole.

    Parameters
    ----------
    low : float
        The smallest.
    high : float
        The greatest.
    whole : bool
        Whether all are whole numbers.

    Examples
    --------
    >>> Limits.of([0.0, 2.5, float("nan")]).joined(Limits.of([7]))
    Limits(low=0.0, high=7.0, whole=False)
    """

    low: float
    high: float
    whole: bool

    @classmethod
    def of(cls, values: ArrayLike) -> "Limits":
        """The limits of an array of any shape, without its NaN, which are missing values.

        Raises InputError for an array without values.
        """
        array = np.asarray(values)
        floats = array.dtype.kind not in "bui"
        low, high = (float(f.reduce(array, axis=None)) if array.size else np.nan for f in (np.fmin, np.fmax))
        if np.isnan(low):
            raise InputError("The data are empty; give at least two examples.")
        return cls(low, high, not floats or bool(((array == np.round(array)) | np.isnan(array)).all()))

    def joined(self, other: "Limits") -> "Limits":
        """The limits of both together."""
        return Limits(min(self.low, other.low), max(self.high, other.high), self.whole and other.whole)


@plain_arguments
def infer_support(values: ArrayLike | Limits, *, max_levels: int = 256) -> Support:
    """The narrowest support that holds the values: binary, grid, counts, unit or real.

    Parameters
    ----------
    values : array-like or Limits
        Numbers of any shape, or their limits. NaN, a missing value, is left out.
    max_levels : int, default 256
        Whole numbers from 0 are a grid if the greatest is below this, and counts otherwise.

    Returns
    -------
    Support
        The support.

    Raises
    ------
    InputError
        If there are no values.

    Examples
    --------
    >>> str(infer_support([[0.0, 16.0], [3.0, 4.0]]))
    'integer grid 0…16'
    """
    limits = values if isinstance(values, Limits) else Limits.of(values)
    low, high = limits.low, limits.high
    if limits.whole and low >= 0:
        if high <= 1:
            return Support("binary")
        return Support("grid", int(high) + 1) if high < max_levels else Support("counts")
    return Support("unit") if low >= 0 and high <= 1 else Support("real")
