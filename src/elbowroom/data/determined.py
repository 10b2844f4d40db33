"""Columns that other columns determine: totals, shares that add to a constant, products, powers."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["determined"]

Floats = NDArray[np.float64]

_MOST_COLUMNS = 300
_MOST_ROWS = 5_000
_SPARE_ROWS = 10  # beyond the number of columns: fewer rows always fit
_NOTHING = 1e-6  # of a column's deviation: what 32-bit floats leave of a sum
_STEPS = 2.0  # of rounding, that a sum of rounded columns may be off by, per root of the columns
_PART = 1e-4  # share of the deviation from which another column has a part in it


def determined(x: Floats, steps: Sequence[float]) -> dict[int, list[int]]:
    """Find columns that others before them determine, by a sum or a product.

    Parameters
    ----------
    x : array
        [n, columns], NaN where a cell is missing; rows with missing cells are not used.
    steps : sequence of float
        What each column was rounded to; 0 where it was not.

    Returns
    -------
    dict of list
        Column → those that determine it.

    Examples
    --------
    >>> a, b = np.random.default_rng(0).normal(size=(2, 50))
    >>> determined(np.stack([a, b, a + 2 * b], 1), [0, 0, 0])
    {2: [0, 1]}
    """
    columns = x.shape[1]
    if not 2 <= columns <= _MOST_COLUMNS:
        return {}
    x = x[~np.isnan(x).any(1)][:_MOST_ROWS]
    found: dict[int, list[int]] = {}
    for values, off in _scales(x, np.asarray(steps, dtype=np.float64)):
        kept = [i for i in range(columns) if i not in found and np.isfinite(values[:, i]).all()]
        sums = _sums(values[:, kept], off[kept])
        found |= {kept[place]: [kept[i] for i in others] for place, others in sums.items()}
    return found


def _scales(x: Floats, steps: Floats) -> list[tuple[Floats, Floats]]:
    """The columns and their logarithms, with what rounding does to either (a product is a sum of logarithms)."""
    positive = (x > 0).all(0)
    logs = np.log(np.where(positive, x, 1.0))
    logs[:, ~positive] = np.nan
    return [(x, steps), (logs, steps / np.maximum(np.median(np.abs(x), axis=0), 1e-300))]


def _sums(x: Floats, off: Floats) -> dict[int, list[int]]:
    """Columns that are a constant plus multiples of columns before them, by Gram–Schmidt."""
    if len(x) < x.shape[1] + _SPARE_ROWS:
        return {}
    centred = x - x.mean(0)
    scale = centred.std(0)
    found: dict[int, list[int]] = {}
    kept: list[int] = []
    basis = np.empty((len(x), 0))
    for i in range(x.shape[1]):
        if not scale[i] > 0:
            continue
        column = centred[:, i] / scale[i]
        left = column
        for _ in range(2):  # twice is enough (Kahan and Parlett)
            left = left - basis @ (basis.T @ left)
        size = np.linalg.norm(left) / np.sqrt(len(x))
        slack = max(_NOTHING, _STEPS * np.sqrt(len(kept) + 1) * max([off[i], *off[kept]], default=0.0) / scale[i])
        if kept and size <= min(slack, 1e-2):
            weights = np.linalg.lstsq(centred[:, kept] / scale[kept], column, rcond=None)[0]
            found[i] = [j for j, w in zip(kept, weights, strict=True) if abs(w) > _PART]
        else:
            kept.append(i)
            basis = np.concatenate([basis, left[:, None] / np.linalg.norm(left)], 1)
    return found
