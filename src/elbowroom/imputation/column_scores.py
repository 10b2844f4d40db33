"""Predictions of columns against what they hold: error of the mean, coverage of intervals, share of right classes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics._standard_errors import share_error

__all__ = ["LEVELS", "ColumnScore", "column_scores", "fewest_samples"]

LEVELS = (0.5, 0.9, 0.95)
"""Probabilities of the intervals whose coverage is counted."""


@dataclass(frozen=True)
class ColumnScore:
    """How near the draws of one column come to what it holds.

    Parameters
    ----------
    name : str
        Of the column.
    n : int
        Cells that are known.
    spread : float
        Standard deviation of the column: the error of who predicts its mean.
    rmse : (float, float) or None
        Root mean squared error of the mean of the draws, and its standard error; None of classes.
    coverage : dict of float to (float, float)
        Probability of an interval → the share of cells inside, and its standard error; empty of classes, and without
        those that so few samples do not reach.
    right : (float, float) or None
        Share of cells whose most frequent draw is the truth, and its standard error; None of numbers.

    Examples
    --------
    >>> print(ColumnScore("age", 100, 9.0, (4.5, 0.3), {0.95: (0.94, 0.02)}))
    age: RMSE 4.5 ±0.3 (9 by the mean alone); 94 % ±2 of 100 cells in the 95 % interval
    """

    name: str
    n: int
    spread: float
    rmse: tuple[float, float] | None
    coverage: dict[float, tuple[float, float]]
    right: tuple[float, float] | None = None

    def __str__(self) -> str:
        if self.right is not None:
            return f"{self.name}: {100 * self.right[0]:.1f} % ±{100 * self.right[1]:.1f} of {self.n:,} cells right"
        assert self.rmse is not None
        text = f"{self.name}: RMSE {self.rmse[0]:.3g} ±{self.rmse[1]:.1g} ({self.spread:.3g} by the mean alone)"
        if not self.coverage:
            return text
        shares = ", ".join(f"{100 * share:.0f} % ±{100 * error:.0f}" for share, error in self.coverage.values())
        levels = ", ".join(f"{100 * level:g} %" for level in self.coverage)
        ends = f"interval{'s' * (len(self.coverage) > 1)}"
        return f"{text}; {shares} of {self.n:,} cells in the {levels} {ends}"


def column_scores(found: Any, truth: NDArray[np.float64]) -> list[ColumnScore]:
    """A score for every column with cells that were left out and are known.

    Parameters
    ----------
    found : Imputations
        Draws of the cells.
    truth : array [m]
        What they hold, NaN where that is unknown.

    Returns
    -------
    list of ColumnScore
        In the order of the columns.
    """
    cells = [int(cell) for cell in np.unique(found.cells)]
    return [_score(found, truth, cell) for cell in cells if not np.isnan(truth[found.cells == cell]).all()]


def fewest_samples(level: float) -> int:
    """Draws whose least and greatest have this probability between them, (n − 1) / (n + 1), or more."""
    return math.ceil(2 / (1 - level) - 1e-9) - 1


def _score(found: Any, truth: NDArray[np.float64], cell: int) -> ColumnScore:
    own = (found.cells == cell) & ~np.isnan(truth)
    name = found.columns[cell] if found.columns else f"x{cell}"
    rows, known = found.rows[own], truth[own]

    def at(table: NDArray[np.float64]) -> NDArray[Any]:
        return np.asarray(table.reshape(len(found), -1)[rows, cell])

    if len(found.categorical) and found.categorical[cell]:
        return ColumnScore(name, len(known), float(known.std()), None, {}, _share(at(found.median) == known))
    squares = (at(found.mean) - known) ** 2
    rmse = math.sqrt(squares.mean())
    error = float(squares.std(ddof=1)) / math.sqrt(len(squares)) / (2 * rmse) if len(squares) > 1 and rmse else math.nan
    ends = {level: found.interval(level) for level in LEVELS if len(found.drawn) >= fewest_samples(level)}
    inside = {level: _share((at(low) <= known) & (known <= at(high))) for level, (low, high) in ends.items()}
    return ColumnScore(name, len(known), float(known.std()), (rmse, error), inside)


def _share(hits: NDArray[Any]) -> tuple[float, float]:
    share = float(hits.mean())
    return share, share_error(share, len(hits))
