"""The rows of a data set as the VAE's network has them, read and made dense a batch at a time."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from elbowroom.data import Dataset, Examples
from elbowroom.numerics import keyed_uniform

from .classics import WIDE, Array

__all__ = ["seen_rows", "variance_seen"]

_CELLS_AT_ONCE = 2**23
_SPARSE = 0.2  # share of cells that are not 0, up to which rows stay sparse


def seen_rows(data: Dataset, examples: Examples, seed: int) -> tuple[Array, NDArray[np.float64]]:
    """Rows as the VAE's network scale has them, NaN where a cell is missing, and their log-Jacobian.

    Parameters
    ----------
    data : Dataset
        Of the study.
    examples : Examples
        Some of its rows; they are read, and made dense, a batch at a time.
    seed : int
        Of dequantisation.

    Returns
    -------
    array or CSR matrix
        [n, dimensions]: in sparse rows where the data are and most of it is 0, in 32 bits where it is wide.
    array
        The log-Jacobian, [n].
    """
    parts, jacobians = [], [np.empty(0)]
    sparse = not examples.values.in_memory
    for part, log_jacobian in _batches(data, examples, seed):
        sparse = sparse and bool(np.count_nonzero(part) < _SPARSE * part.size)
        parts.append(csr_matrix(part) if sparse else part)
        jacobians.append(log_jacobian)
    rows = vstack(parts, format="csr") if sparse else _joined(parts, examples)
    return rows, np.concatenate(jacobians)


def _joined(parts: list[Any], examples: Examples) -> NDArray[np.floating]:
    """One array, filled part by part, so that no row stands in memory twice for long."""
    shape = len(examples), math.prod(examples.event)
    rows = np.empty(shape, np.float64 if shape[1] <= WIDE else np.float32)
    at = 0
    while parts:
        part = parts.pop(0)
        rows[at : at + part.shape[0]] = part.toarray() if hasattr(part, "toarray") else part
        at += part.shape[0]
    return rows


def _batches(
    data: Dataset, examples: Examples, seed: int
) -> Iterator[tuple[NDArray[np.floating], NDArray[np.float64]]]:
    """Preprocessed rows [some, dimensions] and the log-Jacobian of their seen cells [some]."""
    shape = data.preprocess.noise_shape
    step = max(_CELLS_AT_ONCE // math.prod(examples.event), 1)
    for start in range(0, len(examples), step):
        batch = examples.rows(slice(start, start + step))
        noise = None if shape is None else keyed_uniform(shape, batch.index, seed)
        with torch.no_grad():
            y, log_jacobian = data.preprocess(batch.x, noise)
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
    centre, total, squares, n = None, 0.0, 0.0, 0.0
    for part, _ in _batches(data, data.validation, seed):
        seen = ~np.isnan(part)
        rows = np.where(seen, part, 0.0).astype(np.float64)
        centre = rows.sum(0) / np.maximum(seen.sum(0), 1) if centre is None else centre
        away = np.where(seen, rows - centre, 0.0)
        total, squares, n = total + away.sum(0), squares + np.square(away).sum(0), n + seen.sum(0)
    left = squares - np.square(total) / np.maximum(n, 1)
    return float((left / np.maximum(n - 1, 1)).sum())
