"""Normals whose covariance is a few factors and independent noise: nothing here holds a columns × columns matrix."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, count, plain_arguments

__all__ = ["FactorNormal", "PrincipalAxes", "fit_factor_normal"]

Array = NDArray[np.float64]
Rows = NDArray[np.floating]

_CELLS_AT_ONCE = 2**22
_FLOOR = 1e-6  # least noise of a column, as a share of its variance
_SETTLED = 1e-3  # EM ends when no noise changes by more, as a share of itself


@dataclass(frozen=True, eq=False)
class FactorNormal:
    """The normal N(μ, W Wᵀ + diag(ψ)), with log p(x) by the matrix determinant lemma and Woodbury's identity.

    After columns are divided by √ψ the covariance is the identity plus a few directions, so a row costs columns ×
    factors. All is float64, in nats.

    Parameters
    ----------
    mean : Array
        μ, [columns].
    loadings : Array
        Wᵀ, [factors, columns].
    noise : Array
        ψ, [columns], all above 0.

    Raises
    ------
    InputError
        Where a column has no noise, so that there is no density.

    References
    ----------
    Bartlett, "The statistical conception of mental factors" (1937). Tipping & Bishop, "Probabilistic principal
    component analysis" (1999).

    Examples
    --------
    >>> model = FactorNormal(np.zeros(2), np.ones((1, 2)), np.ones(2))
    >>> round(float(model.log_prob(np.zeros((1, 2)))[0]), 4)   # −log 2π − ½ log 3
    -2.3872
    """

    mean: Array
    loadings: Array
    noise: Array

    def __post_init__(self) -> None:
        if not bool((self.noise > 0).all()):
            raise InputError("A normal with factors has no density where a column has no noise: leave that column out.")

    def log_prob(self, x: Rows) -> Array:
        """log p(x) of rows x [n, columns], [n], in nats."""
        directions, variances = self._axes
        scale = np.sqrt(self.noise)
        constant = np.log(2 * np.pi * self.noise).sum() + np.log(variances).sum()
        found = [np.empty(0)]
        for rows in _blocks(x):
            y = (rows - self.mean) / scale
            along = y @ directions
            across = y - along @ directions.T
            found.append(np.square(across).sum(1) + (np.square(along) / variances).sum(1))
        return -0.5 * (constant + np.concatenate(found))

    def floored(self, least: float) -> "FactorNormal":
        """The same with no noise below `least`."""
        return FactorNormal(self.mean, self.loadings, np.maximum(self.noise, least))

    @cached_property
    def _axes(self) -> tuple[Array, Array]:
        """Orthonormal directions [columns, factors] of the divided columns, and the variances along them."""
        if not len(self.loadings):
            return np.empty((len(self.mean), 0)), np.empty(0)
        directions, singular, _ = np.linalg.svd((self.loadings / np.sqrt(self.noise)).T, full_matrices=False)
        return directions, 1.0 + np.square(singular)


@dataclass(frozen=True, eq=False)
class PrincipalAxes:
    """The principal axes of some rows, from which probabilistic PCA with any number of components is cut.

    Parameters
    ----------
    mean : Array
        [columns].
    variances : Array
        Along the first axes, in falling order, [axes].
    directions : Array
        [axes, columns].
    total : float
        The variance of all columns together.
    rank : int
        How many axes there are in all: columns, or rows where these are fewer.

    References
    ----------
    Tipping & Bishop, "Probabilistic principal component analysis" (1999).
    """

    mean: Array
    variances: Array
    directions: Array
    total: float
    rank: int

    @classmethod
    def of(cls, x: Rows, most: int) -> "PrincipalAxes":
        """The first axes of rows x, by the eigenvalues of what is smaller: their products, or those of the columns.

        Parameters
        ----------
        x : array
            [n, columns]; rows are read a block at a time.
        most : int
            How many axes.

        Returns
        -------
        PrincipalAxes
            The divisor of the variances is n − 1.

        Examples
        --------
        >>> axes = PrincipalAxes.of(np.array([[0.0, 0.0], [2.0, 0.1], [4.0, -0.1], [6.0, 0.0]]), 1)
        >>> axes.variances.round(2), round(axes.total, 2)
        (array([6.67]), 6.67)
        """
        n, columns = x.shape
        mean, rank = _mean(x), min(n, columns)
        if columns <= n:
            square = np.zeros((columns, columns))
            for y in (rows - mean for rows in _blocks(x)):
                square += y.T @ y
        else:
            square = np.zeros((n, n))
            for y in _column_blocks(x, mean):
                square += y @ y.T
        total, (values, vectors) = float(np.trace(square)), _largest(square, min(most, rank))
        if columns > n:
            lengths = np.sqrt(np.maximum(values, np.finfo(float).tiny))
            vectors = np.concatenate([y.T @ (vectors / lengths) for y in _column_blocks(x, mean)])
        return cls(mean, values / (n - 1), vectors.T, total / (n - 1), rank)

    @classmethod
    def of_covariance(cls, mean: Array, covariance: Array, rank: int) -> "PrincipalAxes":
        """All axes of rows of which only mean and covariance are known.

        Parameters
        ----------
        mean : array
            [columns].
        covariance : array
            [columns, columns].
        rank : int
            How many axes there are at most: columns, or rows where these are fewer.

        Returns
        -------
        PrincipalAxes
            As many axes as the rank.

        Examples
        --------
        >>> PrincipalAxes.of_covariance(np.zeros(2), np.diag([1.0, 3.0]), 2).variances
        array([3., 1.])
        """
        values, vectors = _largest(covariance.copy(), rank)
        return cls(mean, values, vectors.T, float(np.trace(covariance)), rank)

    def cut(self, components: int) -> FactorNormal:
        """Probabilistic PCA with so many components; its noise is the mean of the variances of all axes that are left.

        Where there are fewer rows than columns these are the columns' number, most of them 0, as maximum likelihood
        has it; scikit-learn divides by the number of rows there.

        Raises InputError where none is left.
        """
        kept, left = self.variances[:components], len(self.mean) - components
        noise = (self.total - float(kept.sum())) / left if components < self.rank else 0.0
        if noise <= 64 * np.finfo(float).eps * self.total:  # what rounding leaves
            raise InputError(f"after {count(components, 'component')} no variance is left, so there is no density")
        loadings = self.directions[:components] * np.sqrt(np.maximum(kept - noise, 0.0))[:, None]
        return FactorNormal(self.mean, loadings, np.full(len(self.mean), noise))


@plain_arguments
def fit_factor_normal(x: Rows, start: FactorNormal, *, steps: int = 50) -> FactorNormal:
    """Fit factor analysis by expectation–maximisation, a block of rows at a time.

    Parameters
    ----------
    x : array
        Rows, [n, columns].
    start : FactorNormal
        Where it begins, such as probabilistic PCA, which also says how many factors there are.
    steps : int, default 50
        Most steps; it ends when no column's noise changes by more than 0.1 %.

    Returns
    -------
    FactorNormal
        The fit; a column's noise is a millionth of its variance or more.

    References
    ----------
    Rubin & Thayer, "EM algorithms for ML factor analysis" (1982).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(2_000, 1)) + rng.normal(size=(2_000, 4))
    >>> model = fit_factor_normal(x, PrincipalAxes.of(x, 1).cut(1))
    >>> model.noise.round(1)
    array([1., 1., 1., 1.])
    """
    mean = _mean(x)
    variance = sum(np.square(rows - mean).sum(0) for rows in _blocks(x)) / len(x)
    floor = np.maximum(_FLOOR * variance, np.finfo(float).tiny)
    model = FactorNormal(mean, start.loadings, np.maximum(start.noise, floor))
    for _ in range(steps):
        loadings, crossed = _step(x, model)
        noise = np.maximum(variance - (loadings * crossed).sum(0) / len(x), floor)
        moved = float(np.max(np.abs(noise - model.noise) / model.noise))
        model = FactorNormal(mean, loadings, noise)
        if moved < _SETTLED:
            break
    return model


def _step(x: Rows, model: FactorNormal) -> tuple[Array, Array]:
    """The next loadings, and Σ E[z | x] (x − μ)ᵀ, [factors, columns] each."""
    scaled = model.loadings / model.noise
    within = np.linalg.inv(np.eye(len(scaled)) + scaled @ model.loadings.T)
    reader = (scaled.T @ within).astype(x.dtype)
    centre = model.mean.astype(x.dtype)
    crossed, squares = np.zeros(model.loadings.shape), len(x) * within
    for start in range(0, len(x), _step_of(x)):
        y = x[start : start + _step_of(x)] - centre
        z = y @ reader
        crossed += z.T @ y
        squares = squares + (z.T @ z).astype(np.float64)
    return np.linalg.solve(squares, crossed), crossed


def _mean(x: Rows) -> Array:
    return np.asarray(sum(rows.sum(0) for rows in _blocks(x)) / len(x))


def _step_of(x: Rows) -> int:
    return max(_CELLS_AT_ONCE // x.shape[1], 1)


def _blocks(x: Rows) -> Iterator[Array]:
    """Some rows at a time, float64."""
    return (x[start : start + _step_of(x)].astype(np.float64) for start in range(0, len(x), _step_of(x)))


def _column_blocks(x: Rows, mean: Array) -> Iterator[Array]:
    """Some columns at a time without their means, float64."""
    step = max(_CELLS_AT_ONCE // len(x), 1)
    return (x[:, at : at + step].astype(np.float64) - mean[at : at + step] for at in range(0, x.shape[1], step))


def _largest(square: Array, most: int) -> tuple[Array, Array]:
    """The largest eigenvalues in falling order, and their vectors."""
    from scipy.linalg import eigh

    last = len(square) - 1
    values, vectors = eigh(square, subset_by_index=(last - most + 1, last), overwrite_a=True)
    return np.maximum(values[::-1], 0.0), vectors[:, ::-1]
