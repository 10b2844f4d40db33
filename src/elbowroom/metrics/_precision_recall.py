"""Fidelity and diversity of samples, apart: precision, recall, density and coverage among nearest neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError
from elbowroom.progress import Progress

from .arrays import Array, as_rows, equal_sizes

__all__ = ["PrecisionRecall", "precision_recall"]

_ROWS_AT_ONCE = 500

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PrecisionRecall:
    """Shares between 0 and 1 (density may exceed 1), from balls that reach from a row to its k-th nearest neighbour.

    precision: of the samples that lie in a ball of the data; recall: of the data that lie in a ball of the samples;
    density: the mean number of data balls around a sample, over k; coverage: of the data balls that hold a sample.
    For samples distributed as the data, density tends to 1 and coverage to 1 − ½ᵏ; precision and recall depend on n.
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


def precision_recall(features_data: Array, features_samples: Array, *, k: int = 3) -> PrecisionRecall:
    """Precision, recall, density and coverage of the features [n, width] of samples against those of data.

    Source: Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models", 2019; Naeem et
    al., "Reliable fidelity and diversity metrics for generative models", 2020. Raises InputError for unequal sizes and
    k outside 1 … n − 1.

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
    """Squared distances [rows of a, rows of b]."""
    squares = np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * (a @ b.T)
    return squares.clip(min=0.0)


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
