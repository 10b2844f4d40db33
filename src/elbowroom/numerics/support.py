"""The support of data: which values can occur, which decides what likelihood makes sense."""

from collections.abc import Sequence
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
    values : tuple of float, default ()
        Of binary data and grids: the numbers that 0, 1, … stand for, ascending, where they are others.
    atoms : tuple of float, default ()
        Of real numbers: values that occur again and again, such as the zeros of rainfall. They have a probability each,
        all other values a density.
    step : float, default None
        Of real numbers: they were recorded in multiples of this.

    Raises
    ------
    InputError
        If what is given does not fit the kind.

    Examples
    --------
    >>> str(Support("grid", 17))
    'integer grid 0…16'
    """

    kind: Kind
    levels: int | None = None
    columns: tuple["Support", ...] = ()
    values: tuple[float, ...] = ()
    atoms: tuple[float, ...] = ()
    step: float | None = None

    @classmethod
    def of_columns(cls, columns: Sequence["Support"]) -> "Support":
        """The support of a table from those of its columns: theirs where they have one, else mixed."""
        return columns[0] if len(set(columns)) == 1 else cls("mixed", columns=tuple(columns))

    @property
    def continuous(self) -> bool:
        """Whether log p(x) is a log-density: all values, of all columns, are real numbers without atoms."""
        return all(one.kind in ("unit", "real") and not one.atoms for one in self.columns or (self,))

    @property
    def groups(self) -> list[tuple["Support", int]]:
        """Runs of neighbouring columns with the same support, and the number of columns of each."""
        return [(support, len(list(run))) for support, run in groupby(self.columns)]

    def __post_init__(self) -> None:
        if self.kind in ("grid", "categorical") and (self.levels is None or self.levels < 2):
            raise InputError(f"Support {self.kind!r} needs levels=2 or more; got {self.levels}.")

        if (self.kind == "mixed") != bool(self.columns):
            raise InputError("A mixed support, and no other, needs the supports of its columns.")
        levels = {"binary": 2, "grid": self.levels}.get(self.kind)
        if self.values and (len(self.values) != levels or list(self.values) != sorted(set(self.values))):
            raise InputError(f"Support {self.kind!r} has {levels} values, ascending; got {self.values}.")
        if (self.atoms or self.step is not None) and (self.kind != "real" or not (self.step or 1.0) > 0):
            raise InputError("Only real numbers have atoms or a step, which is positive.")

    def __str__(self) -> str:
        if self.kind == "mixed":
            kinds = sorted({support.kind for support in self.columns})
            counted = [f"{sum(s.kind == kind for s in self.columns)} {kind}" for kind in kinds]
            return f"table of columns: {', '.join(counted)}"
        first, last = (self.values[0], self.values[-1]) if self.values else (0, (self.levels or 1) - 1)
        words = {
            "binary": f"binary {{{first:.10g}, {last:.10g}}}" if self.values else "binary {0, 1}",
            "unit": "unit interval [0, 1]",
            "grid": f"{self._grid_words} {first:.10g}…{last:.10g}",
            "real": f"real numbers{self._real_words}",
            "counts": "counts 0, 1, 2, …",
            "categorical": f"{self.levels} categories",
        }
        return words[self.kind]

    @property
    def _grid_words(self) -> str:
        whole = np.allclose(np.diff(self.values), 1.0, rtol=0, atol=1e-9) and all(v == round(v) for v in self.values)
        return "integer grid" if whole else f"{self.levels} levels"

    @property
    def _real_words(self) -> str:
        step = f" in steps of {self.step:.6g}" if self.step else ""
        return step + (f" with atoms at {', '.join(f'{a:.6g}' for a in self.atoms)}" if self.atoms else "")


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
