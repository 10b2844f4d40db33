"""A normal with any covariance, fitted to rows and scored on rows of which cells are missing."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from elbowroom.numerics import InputError, plain_arguments

__all__ = ["NormalWithGaps", "fit_normal_with_gaps"]

Array = NDArray[np.float64]

_SETTLED = 1e-4  # EM ends when a step gains less, nats per row


@dataclass(frozen=True, eq=False)
class NormalWithGaps:
    """The normal N(μ, Σ), of whose rows cells may be missing (NaN): log p is that of the cells that are seen.

    Parameters
    ----------
    mean : Array
        μ, [columns].
    covariance : Array
        Σ, [columns, columns], positive definite.

    Examples
    --------
    >>> model = NormalWithGaps(np.zeros(2), np.array([[1.0, 0.5], [0.5, 4.0]]))
    >>> model.log_prob(np.array([[np.nan, 0.0], [np.nan, np.nan]])).round(4)   # log N(0; 0, 4), and nothing seen
    array([-1.6121,  0.    ])
    """

    mean: Array
    covariance: Array

    def log_prob(self, x: Array) -> Array:
        """log p of the seen cells of rows x [n, columns], [n], in nats."""
        found = np.zeros(len(x))
        for rows, seen in _patterns(x):
            if seen.any():
                away = x[np.ix_(rows, seen)] - self.mean[seen]
                root = cho_factor(self.covariance[np.ix_(seen, seen)], lower=True)
                constant = 2 * np.log(np.diag(root[0])).sum() + seen.sum() * np.log(2 * np.pi)
                found[rows] = -0.5 * ((away * cho_solve(root, away.T).T).sum(1) + constant)
        return found

    def shrunk(self, share: float) -> "NormalWithGaps":
        """The same with covariances times 1 − share, and the variances as they are."""
        own = np.diag(np.diag(self.covariance))
        return NormalWithGaps(self.mean, (1 - share) * self.covariance + share * own)


@plain_arguments
def fit_normal_with_gaps(
    x: Array, *, ridge: float = 1e-6, start: NormalWithGaps | None = None, steps: int = 30
) -> NormalWithGaps:
    """Fit a normal to rows with missing cells by expectation–maximisation.

    Parameters
    ----------
    x : Array
        Rows, [n, columns], NaN where a cell is missing, as it may be depending on what is seen.
    ridge : float, default 1e-6
        What is added to each variance, as a share of it.
    start : NormalWithGaps, optional
        Where it begins; by default at the means and variances of what is seen.
    steps : int, default 30
        Most steps; it ends when the mean log-likelihood gains less than 10⁻⁴ nats per row.

    Returns
    -------
    NormalWithGaps
        The fit.

    Raises
    ------
    InputError
        Where a column has no value in any row.

    References
    ----------
    Little & Rubin, "Statistical analysis with missing data" (1987). Dempster, Laird & Rubin, "Maximum likelihood from
    incomplete data via the EM algorithm" (1977).

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, np.nan], [2.0, 2.0]])
    >>> fit_normal_with_gaps(x, steps=500).mean.round(1)   # the line through the others passes through 4 there
    array([2. , 2.5])
    """
    if bool(np.isnan(x).all(0).any()):
        raise InputError("A column has no value in any row: leave it out.")
    own = np.nanvar(x, axis=0)
    added = np.diag(np.where(own > 0, ridge * own, 1.0))
    model, last = start or NormalWithGaps(np.nanmean(x, axis=0), np.diag(own) + added), -np.inf
    for _ in range(steps):
        filled, within = _completed(x, model)
        mean = filled.mean(0)
        away = filled - mean
        model = NormalWithGaps(mean, (away.T @ away + within) / len(x) + added)
        score = float(model.log_prob(x).mean())
        if abs(score - last) < _SETTLED:
            break
        last = score
    return model


def _completed(x: Array, model: NormalWithGaps) -> tuple[Array, Array]:
    """Rows with the means of their missing cells given those that are seen, and the sum of their covariances."""
    filled, within = np.where(np.isnan(x), model.mean, x), np.zeros(model.covariance.shape)
    for rows, seen in _patterns(x):
        missing = ~seen
        if not missing.any():
            continue
        across = model.covariance[np.ix_(seen, missing)]
        slopes = cho_solve(cho_factor(model.covariance[np.ix_(seen, seen)]), across) if seen.any() else across
        filled[np.ix_(rows, missing)] += (x[np.ix_(rows, seen)] - model.mean[seen]) @ slopes
        left = model.covariance[np.ix_(missing, missing)] - across.T @ slopes
        within[np.ix_(missing, missing)] += len(rows) * left
    return filled, within


def _patterns(x: Array) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """The rows [some] that miss the same cells, and which they see [columns]."""
    patterns, which = np.unique(~np.isnan(x), axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(which.ravel(), minlength=len(patterns)))[:-1]
    yield from zip(np.split(order, ends), patterns, strict=True)
