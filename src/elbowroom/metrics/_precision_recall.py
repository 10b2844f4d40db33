"""Fidelity and diversity of samples, apart: precision, recall, density and coverage among nearest neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, plain_arguments
from elbowroom.progress import Progress

from .arrays import Array, as_rows, equal_sizes

__all__ = ["PrecisionRecall", "precision_recall"]

_DIGITS = 1e-6  # share of the rows' own squared lengths below which a difference of these has too few digits left
_AT_ONCE = 2**22  # numbers
_ROWS_AT_ONCE = 500

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PrecisionRecall:
    """Shares, between 0 and 1, from balls that reach from each row to its k-th nearest neighbour.

    For samples distributed as the data, density tends to 1 and coverage to 1 − ½ᵏ; precision and recall depend on n.

    Parameters
    ----------
    precision : float
        Share of the samples that lie in a ball of the data.
    recall : float
        Share of the data that lie in a ball of the samples.
    density : float
        Mean number of data balls around a sample, over k; it may exceed 1.
    coverage : float
        Share of the data balls that hold a sample.
    k : int
        The neighbour that a ball reaches to.
    n : int
        Rows on each side.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    k: int
    n: int

    def __str__(self) -> str:
        return (
            f"precision {self.precision:.1%}, recall {self.recall:.1%}, density {self.density:.3f}, "
            f"coverage {self.coverage:.1%} (k = {self.k}, n = {self.n:,})"
        )


@plain_arguments
def precision_recall(features_data: Array, features_samples: Array, *, k: int = 3) -> PrecisionRecall:
    """Precision, recall, density and coverage of samples against data, by nearest neighbours among features.

    Features are of one unit: among columns of a table the widest hides the others, unless both arrays are standardised
    by the same numbers first.

    Parameters
    ----------
    features_data : array or Tensor
        [n, width].
    features_samples : array or Tensor
        [n, width].
    k : int, default 3
        The neighbour that a ball reaches to, from 1 to n − 1.

    Returns
    -------
    PrecisionRecall
        The four shares.

    Raises
    ------
    InputError
        For unequal sizes, and k outside 1 … n − 1.

    References
    ----------
    Kynkäänniemi, Karras, Laine, Lehtinen & Aila, "Improved Precision and Recall Metric for Assessing Generative Models"
    (2019).
    Naeem, Oh, Uh, Choi & Yoo, "Reliable Fidelity and Diversity Metrics for Generative Models" (2020).

    Examples
    --------
    >>> rows = np.random.default_rng(0).standard_normal((300, 2))
    >>> far = precision_recall(rows, rows + 100)
    >>> far.precision, far.recall, far.density, far.coverage
    (0.0, 0.0, 0.0, 0.0)
    """
    equal_sizes(features_data, features_samples, 2, "Precision and recall")
    data, samples = as_rows(features_data, "features of the data"), as_rows(features_samples, "features of the samples")
    n = len(data)
    if not 1 <= k < n:
        raise InputError(f"k must lie between 1 and n − 1 = {n - 1:,}; got {k}.")
    centre = data.mean(0)
    data, samples = data - centre, samples - centre
    starts = range(0, n, _ROWS_AT_ONCE)
    around_samples = np.zeros(n, dtype=int)
    recalled, covered = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    with Progress("nearest neighbours", 3 * len(starts)) as progress:
        data_reach, samples_reach = (_reach(rows, k, progress) for rows in (data, samples))
        for start in starts:
            part = slice(start, start + _ROWS_AT_ONCE)
            squares = _squares(data[part], samples)
            in_data_ball = squares <= data_reach[part, None]
            around_samples += in_data_ball.sum(0)
            covered[part] = in_data_ball.any(1)
            recalled[part] = (squares <= samples_reach).any(1)
            progress.advance()
    return PrecisionRecall(
        precision=float((around_samples > 0).mean()),
        recall=float(recalled.mean()),
        density=float(around_samples.mean()) / k,
        coverage=float(covered.mean()),
        k=k,
        n=n,
    )


def _squares(a: Floats, b: Floats) -> Floats:
    """Squared distances [rows of a, rows of b]; those that are lost in the digits of long rows are taken anew."""
    lengths = np.square(a).sum(1)[:, None] + np.square(b).sum(1)
    squares = lengths - 2 * (a @ b.T)
    near = np.argwhere(squares <= _DIGITS * lengths)
    for pairs in np.array_split(near, -(-near.size * a.shape[1] // _AT_ONCE) or 1):
        first, second = pairs.T
        squares[first, second] = np.square(a[first] - b[second]).sum(1)
    return squares


def _reach(rows: Floats, k: int, progress: Progress) -> Floats:
    """Squared distance from each row to its k-th nearest among the others."""
    reach = np.empty(len(rows))
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        squares = _squares(rows[start : start + _ROWS_AT_ONCE], rows)
        own = np.arange(len(squares))
        squares[own, start + own] = np.inf
        reach[start : start + len(squares)] = np.partition(squares, k - 1, axis=1)[:, k - 1]
        progress.advance()
    return reach
