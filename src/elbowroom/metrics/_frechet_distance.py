"""The Fréchet distance between two sets of features, and what it would be between two sets of the data themselves."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, derived_seed, plain_arguments

from .arrays import Array, as_rows, equal_sizes

__all__ = ["FrechetDistance", "frechet_distance"]

_GROUPS = 20
_HALVINGS = 8

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FrechetDistance:
    """Squared Fréchet distance between normals with the means and covariances of two sets of n features.

    In squared units of the features. It is not FID, whose features are those of an Inception network.

    Parameters
    ----------
    distance : float
        The distance.
    se : float
        Its standard error, by a jackknife over 20 groups of rows.
    floor : float
        The distance that two sets of n rows of the data themselves have, which is bias: half the mean distance between
        random halves of the data, as the bias is proportional to 1/n.
    n : int
        Rows on each side.
    """

    distance: float
    se: float
    floor: float
    n: int

    def __str__(self) -> str:
        return (
            f"Fréchet distance of features {self.distance:.4g} ± {self.se:.2g}, floor {self.floor:.2g} (n = {self.n:,})"
        )


@plain_arguments
def frechet_distance(features_data: Array, features_samples: Array, *, seed: int = 0) -> FrechetDistance:
    """Fréchet distance between features of data and of samples: ‖m − m′‖² + tr(C + C′ − 2 (C C′)^½).

    Its bias depends on n, so distances at different n do not compare. Features are of one unit: among columns of a
    table the widest hides the others, unless both arrays are standardised by the same numbers first.

    Parameters
    ----------
    features_data : array or Tensor
        [n, k], n ≥ 2k and n ≥ 40.
    features_samples : array or Tensor
        [n, k].
    seed : int, default 0
        Draws the halves of the data by which the floor is measured, and the groups that give the error.

    Returns
    -------
    FrechetDistance
        With its standard error and its floor.

    Raises
    ------
    InputError
        For unequal sizes, or too few rows.

    References
    ----------
    Dowson & Landau, "The Fréchet Distance between Multivariate Normal Distributions" (1982). Heusel, Ramsauer,
    Unterthiner, Nessler & Hochreiter, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
    Equilibrium" (2017), on features.

    Examples
    --------
    >>> rows = np.tile([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]], (250, 1))
    >>> round(frechet_distance(rows, 3 * rows + 1).distance, 1)  # 2 · 1² + 2 · (3 − 1)²
    10.0
    """
    equal_sizes(features_data, features_samples, 2 * _GROUPS, "A Fréchet distance")
    data, samples = as_rows(features_data, "features of the data"), as_rows(features_samples, "features of the samples")
    n, k = data.shape
    if n < 2 * k:
        raise InputError(f"A Fréchet distance on {k} features needs {2 * k:,} examples or more; got {n:,}.")
    centre = data.mean(0)
    data, samples = data - centre, samples - centre
    groups = (_without_each_group(rows, derived_seed(seed, _HALVINGS + i)) for i, rows in enumerate((data, samples)))
    left_out = [_distance(*pair) for pair in zip(*groups, strict=True)]
    return FrechetDistance(
        distance=_distance(_moments(data), _moments(samples)),
        se=math.sqrt((_GROUPS - 1) * float(np.var(left_out))),
        floor=0.5 * float(np.mean([_between_halves(data, derived_seed(seed, i)) for i in range(_HALVINGS)])),
        n=n,
    )


def _moments(rows: Floats) -> tuple[Floats, Floats]:
    return rows.mean(0), np.atleast_2d(np.cov(rows, rowvar=False))


def _without_each_group(rows: Floats, seed: int) -> list[tuple[Floats, Floats]]:
    """Mean and covariance without each group in turn; groups are drawn, as rows may come in an order of their own."""
    groups = np.random.default_rng(seed).permutation(len(rows)) % _GROUPS
    return [_moments(rows[groups != group]) for group in range(_GROUPS)]


def _between_halves(rows: Floats, seed: int) -> float:
    order, half = np.random.default_rng(seed).permutation(len(rows)), len(rows) // 2
    return _distance(_moments(rows[order[:half]]), _moments(rows[order[half : 2 * half]]))


def _distance(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> float:
    """The trace of (C C′)^½ is the sum of the singular values of C^½ C′^½: nothing is squared on the way."""
    cross = np.linalg.svd(_root(a[1]) @ _root(b[1]), compute_uv=False).sum()
    return float(np.square(a[0] - b[0]).sum() + np.trace(a[1]) + np.trace(b[1]) - 2 * cross)


def _root(covariance: Floats) -> Floats:
    """The symmetric root; eigenvalues that are rounding, of which the root is not small, are 0."""
    values, vectors = np.linalg.eigh(covariance)
    rounding = len(values) * np.finfo(float).eps * values[-1]
    return (vectors * np.sqrt(np.where(values > rounding, values, 0.0))) @ vectors.T
