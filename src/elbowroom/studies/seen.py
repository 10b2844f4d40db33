"""The rows of a data set as the VAE's network has them, read and made dense a batch at a time."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from elbowroom.data import Dataset, Examples
from elbowroom.likelihoods.likelihood import CONTINUOUS
from elbowroom.numerics import derived_seed, keyed_uniform

from .candidates import WIDE, Array, Moments

__all__ = ["centred_rows", "moments_seen", "seen_rows", "variance_seen"]

_Noise = Callable[[tuple[int, ...], torch.Tensor], torch.Tensor]  # of a shape, for the examples of an index
_COPIES = 1_000  # uses of the seed from here on are further copies of the noise

_CELLS_AT_ONCE = 2**22
_MOST_CELLS, _MOST_NONZERO = 2**26, 2**24  # held at once, of dense rows and of sparse ones


def seen_rows(
    data: Dataset, examples: Examples, seed: int, most: int, copy: int = 0
) -> tuple[Array, NDArray[np.float64]]:
    """Rows as the VAE's network scale has them, NaN where a cell is missing, and their log-Jacobian.

    Parameters
    ----------
    data : Dataset
        Of the study.
    examples : Examples
        Some of its rows, of which the first are read a batch at a time: as many as memory should hold.
    seed : int
        Of dequantisation.
    most : int
        How many at most.
    copy : int, default 0
        Which noise: 0 is that of evidence, any other number another one.

    Returns
    -------
    array or CSR matrix
        [n, dimensions]; where it is wide, 32-bit floats, and in sparse rows where 0 has a probability of its own.
    array
        The log-Jacobian, [n].
    """
    wide = math.prod(data.event) > WIDE
    support = data.preprocess.support(data.support)
    sparse = wide and all(one.kind not in CONTINUOUS for one in support.columns or (support,))
    budget = _MOST_NONZERO if sparse else _MOST_CELLS
    parts: list[Any] = []
    jacobians = []
    for part, log_jacobian in _batches(data, examples, _keyed(seed, copy), most):
        parts.append(csr_matrix(part) if sparse else part.astype(np.float32 if wide else np.float64))
        jacobians.append(log_jacobian)
        budget -= int(np.count_nonzero(part)) if sparse else part.size
        if budget < 0:
            break
    return vstack(parts, format="csr") if sparse else _joined(parts), np.concatenate(jacobians)


def _joined(parts: list[NDArray[np.floating]]) -> NDArray[np.floating]:
    """One array, filled part by part, so that no row stands in memory twice for long."""
    rows, at = np.empty((sum(map(len, parts)), parts[0].shape[1]), parts[0].dtype), 0
    while parts:
        part = parts.pop(0)
        rows[at : at + len(part)] = part
        at += len(part)
    return rows


def _keyed(seed: int, copy: int = 0) -> _Noise:
    chosen = derived_seed(seed, _COPIES + copy) if copy else seed
    return lambda shape, index: keyed_uniform(shape, index, chosen)


def _always(value: float) -> _Noise:
    return lambda shape, index: torch.full((len(index), *shape), value)


def _batches(
    data: Dataset, examples: Examples, noise_of: _Noise, most: int
) -> Iterator[tuple[NDArray[np.floating], NDArray[np.float64]]]:
    """Preprocessed rows [some, dimensions] and the log-Jacobian of their seen cells [some]."""
    shape = data.preprocess.noise_shape
    step, end = min(max(_CELLS_AT_ONCE // math.prod(examples.event), 1), 1_000), min(most, len(examples))
    for start in range(0, end, step):
        batch = examples.rows(slice(start, min(start + step, end)))
        noise = None if shape is None else noise_of(shape, batch.index)
        with torch.no_grad():
            y, log_jacobian = data.preprocess(batch.x, noise, batch.seen)
        if batch.seen is not None:
            y = torch.where(batch.seen, y, torch.nan)
        yield y.flatten(1).numpy(), log_jacobian.double().numpy()


def variance_seen(data: Dataset, seed: int) -> float:
    """Variance of the validation examples on the network's scale, summed over the cells that are seen.

    Parameters
    ----------
    data : Dataset
        Of the study.
    seed : int
        Of dequantisation.

    Returns
    -------
    float
        With the divisor n − 1.
    """
    total, squares, n = np.zeros(()), np.zeros(()), np.zeros(())
    centre: NDArray[np.float64] | None = None
    for part, _ in _batches(data, data.validation, _keyed(seed), len(data.validation)):
        seen = ~np.isnan(part)
        rows = np.where(seen, part, 0.0).astype(np.float64)
        centre = rows.sum(0) / np.maximum(seen.sum(0), 1) if centre is None else centre
        away = np.where(seen, rows - centre, 0.0)
        total, squares, n = total + away.sum(0), squares + np.square(away).sum(0), n + seen.sum(0)
    left = squares - np.square(total) / np.maximum(n, 1)
    return float((left / np.maximum(n - 1, 1)).sum())


def centred_rows(
    data: Dataset, examples: Examples, most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Rows with the noise of dequantisation at its mean, and the variance that it adds to every column.

    Parameters
    ----------
    data : Dataset
        Of the study.
    examples : Examples
        Some of its rows.
    most : int
        How many at most.

    Returns
    -------
    array
        [n, dimensions].
    array
        [dimensions]: a twelfth of the squared step. Both are None where there is no noise, or where what is seen is not
        linear in it.
    """
    if data.preprocess.noise_shape is None:
        return None
    low, middle, high = (
        np.concatenate([part for part, _ in _batches(data, examples, _always(u), most)]).astype(np.float64)
        for u in (0.0, 0.5, 1.0)
    )
    bent = np.abs(2 * middle - low - high) > 0.01 * np.abs(high - low) + 1e-5 * np.abs(middle) + 1e-7
    return None if bool(bent.any()) else (middle, np.square(high - low).mean(0) / 12)


def moments_seen(data: Dataset, seed: int, most: int) -> Moments:
    """Mean and covariance of the training rows as the network sees them, read a batch at a time.

    Parameters
    ----------
    data : Dataset
        Of the study.
    seed : int
        Of dequantisation.
    most : int
        How many rows at most.

    Returns
    -------
    Moments
        Of no missing cells.
    """
    n, centre = 0, np.zeros(0)
    total, squares = np.zeros(()), np.zeros(())
    for part, _ in _batches(data, data.train, _keyed(seed), most):
        rows = part.astype(np.float64)
        centre = centre if n else rows.mean(0)
        away = rows - centre
        n, total, squares = n + len(away), total + away.sum(0), squares + away.T @ away
    return Moments(n, centre + total / n, (squares - np.outer(total, total) / n) / max(n - 1, 1))
