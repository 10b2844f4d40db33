"""Genes that vary more than counting alone makes them, found on training rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .values import is_sparse

__all__ = ["residual_variances"]

_THETA = 100.0  # dispersion of the null model: var = mean + mean² / θ
_CELLS_AT_ONCE = 2**21


def residual_variances(
    x: Any, rows: NDArray[np.int64], batches: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """The variance of each gene's Pearson residuals on some rows.

    The null model says that gene g of a cell with n counts is negative binomial about n times the gene's share of all
    counts, with variance mean + mean²/100; residuals are clipped at ± the root of the number of cells. A gene that
    varies by counting alone has a variance of about 1. Where there are batches, shares and variances are those within
    batches, so that a gene which differs between them alone does not stand out.

    Parameters
    ----------
    x : array, CSR matrix or CsrOnDisk
        Counts [n, genes].
    rows : array
        Row numbers that are looked at, no others are.
    batches : array, optional
        [n], the batch of each row by number.

    Returns
    -------
    array
        [genes]; 0 for a gene without counts.

    References
    ----------
    Lause, Berens and Kobak, "Analytic Pearson residuals for normalization of single-cell RNA-seq UMI data" (2021).

    Examples
    --------
    >>> x = np.random.default_rng(0).poisson(5.0, (200, 40))
    >>> x[:100, 0] *= 4
    >>> residual_variances(x, np.arange(200))[:3].round(1).tolist()
    [6.8, 1.1, 1.0]
    """
    rows = np.sort(rows)
    codes = np.zeros(x.shape[0], np.int64) if batches is None else batches
    groups = int(codes.max(initial=0)) + 1
    of_genes, of_rows = np.zeros((groups, x.shape[1])), np.zeros(x.shape[0])
    for some, block in _parts(x, rows):
        of_rows[some] = block.sum(1)
        for batch in np.unique(codes[some]):
            of_genes[batch] += block[codes[some] == batch].sum(0)
    shares = of_genes / np.maximum(of_genes.sum(1, keepdims=True), 1.0)
    sums, squares = np.zeros_like(of_genes), np.zeros_like(of_genes)
    clip = np.sqrt(len(rows))
    for some, block in _parts(x, rows):
        mean = of_rows[some][:, None] * shares[codes[some]]
        spread = np.sqrt(np.maximum(mean + mean**2 / _THETA, 1e-300))
        residual = ((block - mean) / spread).clip(-clip, clip)
        for batch in np.unique(codes[some]):
            its = residual[codes[some] == batch]
            sums[batch] += its.sum(0)
            squares[batch] += (its**2).sum(0)
    many = np.bincount(codes[rows], minlength=groups)[:, None]
    within = squares - sums**2 / np.maximum(many, 1)
    found: NDArray[np.float64] = np.where(of_genes.sum(0) > 0, within.sum(0) / len(rows), 0.0)
    return found


def _parts(x: Any, rows: NDArray[np.int64]) -> Any:
    """Rows in turn, each part dense and of 64 bits, with its row numbers."""
    step = max(_CELLS_AT_ONCE // max(x.shape[1], 1), 1)
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        block = x[some]
        yield some, (block.toarray() if is_sparse(block) else np.asarray(block)).astype(np.float64)
