"""Where expectation–maximisation over classes begins: k-means on standardised numbers and one-hot classes."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import Support, narrow_seed

from .cells import Cells

__all__ = ["first_shares"]

Array = NDArray[np.float64]

_MOST_COLUMNS = 1_000  # beyond, and in sparse rows, distances are those along the first principal directions
_DIRECTIONS, _STEPS = 16, 4


def first_shares(x: Cells, supports: Sequence[Support], classes: int, seed: int) -> Array:
    """Each row's class by k-means, [n, classes] of 0 and 1.

    Parameters
    ----------
    x : Cells
        Rows; a missing cell stands at its column's mean.
    supports : sequence of Support
        Of every column.
    classes : int
        How many.
    seed : int
        Of k-means, and of where the search for directions begins.

    Returns
    -------
    array
        [n, classes].
    """
    from sklearn.cluster import KMeans

    coded = [i for i, one in enumerate(supports) if one.kind == "categorical"]
    others = [i for i in range(len(supports)) if i not in set(coded)]
    wide = x.sparse or x.shape[1] > _MOST_COLUMNS
    numbers = _projected(x, seed) if wide else _standardised(x.chosen(others))
    if coded and not wide:
        numbers = np.concatenate([numbers, _one_hot(x.chosen(coded), [supports[i].levels or 2 for i in coded])], 1)
    found = KMeans(classes, n_init=1, random_state=narrow_seed(seed)).fit_predict(numbers)
    return np.eye(classes)[found]


def _standardised(x: Cells) -> Array:
    return np.concatenate([np.empty((x.shape[0], 0)), *_blocks(x)], 1)


def _blocks(x: Cells) -> Iterator[Array]:
    """Some columns at a time, standardised over the cells that are seen; a missing cell is 0."""
    for _, dense, seen in x.blocks():
        n = np.maximum(seen.sum(0), 1)
        y = (dense - dense.sum(0) / n) * seen
        yield y / np.maximum(np.sqrt(np.square(y).sum(0) / n), 1e-12)


def _one_hot(x: Cells, levels: Sequence[int]) -> Array:
    """[n, sum of the levels]; a missing cell is no class."""
    found = [np.empty((x.shape[0], 0))]
    for where, dense, seen in x.blocks():
        for column, mask, size in zip(dense.T, seen.T, list(levels)[where], strict=True):
            found.append(np.eye(size)[column.astype(np.int64)] * mask[:, None])
    return np.concatenate(found, 1)


def _projected(x: Cells, seed: int) -> Array:
    """Standardised columns on nearly the directions in which they vary most, by a few steps of subspace iteration."""
    table: _Sparse | _Dense = _Sparse(x) if x.sparse else _Dense(x)
    y = np.random.default_rng(seed).normal(size=(x.shape[0], _DIRECTIONS))
    for _ in range(_STEPS):
        directions, _ = np.linalg.qr(table.across(y))
        y = table.along(directions)
    return y


class _Dense:
    """Standardised columns, some at a time."""

    def __init__(self, x: Cells) -> None:
        self.x = x

    def across(self, y: Array) -> Array:
        """Xᵀ y, [columns, directions]."""
        return np.concatenate([part.T @ y for part in _blocks(self.x)])

    def along(self, directions: Array) -> Array:
        """X directions, [n, directions]."""
        found, at = np.zeros((self.x.shape[0], directions.shape[1])), 0
        for part in _blocks(self.x):
            found += part @ directions[at : at + part.shape[1]]
            at += part.shape[1]
        return found


class _Sparse:
    """The same of sparse rows, which stay sparse; a missing cell counts as 0."""

    def __init__(self, x: Cells) -> None:
        self.values = x.x.astype(np.float64)
        self.values.data = np.nan_to_num(self.values.data)
        n = x.shape[0]
        self.mean, square = (np.asarray(self.values.power(power).sum(0)).ravel() / n for power in (1, 2))
        self.scale = np.maximum(np.sqrt(np.maximum(square - np.square(self.mean), 0.0)), 1e-12)[:, None]

    def across(self, y: Array) -> Array:
        """Xᵀ y, [columns, directions]."""
        return (np.asarray(self.values.T @ y) - np.outer(self.mean, y.sum(0))) / self.scale

    def along(self, directions: Array) -> Array:
        """X directions, [n, directions]."""
        scaled = directions / self.scale
        return np.asarray(self.values @ scaled) - self.mean @ scaled
