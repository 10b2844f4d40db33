"""Mixtures of normals by expectation–maximisation, with covariances anywhere between full, tied and diagonal."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from elbowroom.numerics import InputError, narrow_seed, plain_arguments

from .log_sums import log_sum_exp

__all__ = ["NormalMixture", "fit_normal_mixture", "k_means", "shares_of"]

Array = NDArray[np.float64]

_SETTLED = 1e-3  # EM ends when a step gains less, nats per row
_NO_SHARE = 1e-9
_CELLS_AT_ONCE, _CELLS_IN_CACHE = 2**22, 2**16


@dataclass(frozen=True, eq=False)
class NormalMixture:
    """A mixture of normals: p(x) = Σ_k w_k N(x; μ_k, Σ_k). float64, in nats.

    Parameters
    ----------
    weights : Array
        w, probabilities [components].
    means : Array
        μ, [components, columns].
    covariances : Array
        Σ: [components, columns] where they are diagonal, else [components, columns, columns]; [1, …] where all
        components share one.

    References
    ----------
    Pearson, "Contributions to the mathematical theory of evolution" (1894).

    Examples
    --------
    >>> two = NormalMixture(np.array([0.5, 0.5]), np.array([[-1.0], [1.0]]), np.ones((1, 1)))
    >>> two.log_prob(np.zeros((1, 1))).round(4)   # both components alike: −½ log 2π − ½
    array([-1.4189])
    """

    weights: Array
    means: Array
    covariances: Array

    @property
    def diagonal(self) -> bool:
        """Whether the columns are independent within a component."""
        return self.covariances.ndim == 2

    @property
    def variances(self) -> Array:
        """Of the columns within each component, [components or 1, columns]."""
        return self.covariances if self.diagonal else np.diagonal(self.covariances, axis1=1, axis2=2)

    @property
    def between(self) -> float:
        """Var E[x | k], summed over columns."""
        return float(self.weights @ np.square(self.means - self.weights @ self.means).sum(1))

    @property
    def within(self) -> float:
        """E Var[x | k], summed over columns."""
        return float(self.weights @ np.broadcast_to(self.variances.sum(1), self.weights.shape))

    def log_prob(self, x: Array) -> Array:
        """log p(x) of rows x [n, columns], [n], in nats."""
        step = max(_CELLS_AT_ONCE // max(x.shape[1], len(self.weights)), 1)
        parts = [log_sum_exp(self.log_joint(x[at : at + step])) for at in range(0, len(x), step)]
        return np.concatenate([np.empty(0), *parts])

    def log_joint(self, x: Array) -> Array:
        """log p(x, k) of rows x [n, columns], [n, components]."""
        squares, log_det = self._diagonal_squares(x) if self.diagonal else self._full_squares(x)
        constant = x.shape[1] * np.log(2 * np.pi)
        return np.asarray(np.log(self.weights) - 0.5 * (squares + log_det + constant))

    def widened(self, least: float) -> "NormalMixture":
        """The same with `least` added to all variances."""
        added = least if self.diagonal else least * np.eye(self.means.shape[1])
        return NormalMixture(self.weights, self.means, self.covariances + added)

    def _diagonal_squares(self, x: Array) -> tuple[Array, Array]:
        inverse = 1.0 / np.broadcast_to(self.covariances, self.means.shape)
        centre = self.means.mean(0)  # squares keep their digits
        y, means = x - centre, self.means - centre
        squares = np.square(y) @ inverse.T - 2 * (y @ (means * inverse).T) + (np.square(means) * inverse).sum(1)
        return np.maximum(squares, 0.0), np.log(self.covariances).sum(1)

    def _full_squares(self, x: Array) -> tuple[Array, Array]:
        roots = np.linalg.cholesky(self.covariances)
        inverse = [solve_triangular(root, np.eye(len(root)), lower=True).T for root in roots]
        log_det = 2 * np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(1)
        if len(inverse) == 1:
            return NormalMixture(self.weights, self.means @ inverse[0], np.ones((1, x.shape[1])))._diagonal_squares(
                x @ inverse[0]
            )[0], log_det
        step, squares = max(_CELLS_IN_CACHE // x.shape[1], 1), np.empty((len(x), len(inverse)))
        for at in range(0, len(x), step):
            for k, (mean, one) in enumerate(zip(self.means, inverse, strict=True)):
                squares[at : at + step, k] = np.square((x[at : at + step] - mean) @ one).sum(1)
        return squares, log_det


@plain_arguments
def fit_normal_mixture(
    x: Array,
    components: int,
    *,
    pooled: float = 0.0,
    uncorrelated: float = 0.0,
    floor: float | Array = 1e-3,
    seed: int = 0,
    steps: int = 100,
    groups: NDArray[np.integer] | None = None,
    start: NormalMixture | None = None,
) -> NormalMixture:
    """Fit a mixture of normals to rows by expectation–maximisation, started by k-means.

    Parameters
    ----------
    x : Array
        Rows, [n, columns].
    components : int
        How many.
    pooled : float, default 0.0
        How far every covariance is drawn to their weighted mean: 0 leaves each component its own, 1 gives all the same.
    uncorrelated : float, default 0.0
        How far covariances are drawn to 0: 0 leaves them, 1 makes each covariance diagonal.
    floor : float or Array, default 1e-3
        What is added to each variance: a share of the column's own over all rows, or the variances, [columns].
    seed : int, default 0
        Of k-means.
    steps : int, default 100
        Most steps; it ends when the mean log-likelihood changes by less than 10⁻³ nats per row.
    groups : array, optional
        The component that each row begins in, [n]; by default its cluster by k-means.
    start : NormalMixture, optional
        Where it begins instead.

    Returns
    -------
    NormalMixture
        The fit.

    Raises
    ------
    InputError
        For fewer rows than components.

    References
    ----------
    Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM algorithm" (1977). Friedman,
    "Regularized discriminant analysis" (1989).

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(500, 2)) * [1.0, 3.0]
    >>> fit_normal_mixture(x, 1).covariances.shape, fit_normal_mixture(x, 1, uncorrelated=1.0).covariances.shape
    ((1, 2, 2), (1, 2))
    """
    if not 1 <= components <= len(x):
        raise InputError(f"A mixture needs a row or more per component; got {len(x)} rows, {components} components.")
    maximise = _Maximiser(x, pooled, uncorrelated, floor)
    shares = np.eye(components)[k_means(x, components, seed) if groups is None else groups]
    model, last = maximise(shares if start is None else shares_of(start, x)[0]), -np.inf
    for _ in range(steps if components > 1 else 0):
        shares, score = shares_of(model, x)
        if not np.isfinite(score) or abs(score - last) < _SETTLED:
            break
        model, last = maximise(shares), score
    return model


def k_means(x: Array, components: int, seed: int) -> NDArray[np.integer]:
    """The cluster of each row, [n].

    Parameters
    ----------
    x : Array
        Rows, [n, columns].
    components : int
        How many clusters.
    seed : int
        Of where they begin.

    Returns
    -------
    array
        [n].

    Examples
    --------
    >>> k_means(np.array([[0.0], [0.1], [5.0]]), 1, 0)
    array([0, 0, 0])
    """
    from sklearn.cluster import KMeans

    if components == 1:
        return np.zeros(len(x), dtype=np.int64)
    return np.asarray(KMeans(components, n_init=1, random_state=narrow_seed(seed)).fit_predict(x))


def shares_of(model: Any, x: Array) -> tuple[Array, float]:
    """The share of every component in every row, p(k | x), [n, components]; and the mean of log p(x)."""
    joint = model.log_joint(x)
    log_prob = log_sum_exp(joint)
    return np.exp(joint - log_prob[:, None]), float(log_prob.mean())


class _Maximiser:
    """The mixture that is best for given shares of the rows in every component, drawn together as was asked."""

    def __init__(self, x: Array, pooled: float, uncorrelated: float, floor: float | Array) -> None:
        self.centre = x.mean(0)
        self.x, self.pooled, self.uncorrelated = x - self.centre, pooled, uncorrelated
        self.squares = np.square(self.x)
        self.added = floor if isinstance(floor, np.ndarray) else floor * self.squares.mean(0)

    def __call__(self, shares: Array) -> NormalMixture:
        size = shares.sum(0) + 10 * np.finfo(float).eps
        means = shares.T @ self.x / size[:, None]
        found = self._diagonals(shares, means, size) if self.uncorrelated == 1 else self._full(shares, means, size)
        return NormalMixture(size / size.sum(), means + self.centre, found)

    def _diagonals(self, shares: Array, means: Array, size: Array) -> Array:
        found = np.maximum(shares.T @ self.squares / size[:, None] - np.square(means), 0.0)
        if self.pooled:
            found = self._drawn(found, (size / size.sum()) @ found)
        return np.asarray(found + self.added)

    def _full(self, shares: Array, means: Array, size: Array) -> Array:
        weights = size / size.sum()
        if self.pooled == 1:
            found = (self.x.T @ self.x / len(self.x) - (means.T * weights) @ means)[None]
        else:
            found = np.stack([self._of(shares[:, k], means[k], size[k]) for k in range(len(size))])
            found = self._drawn(found, np.einsum("k,kij->ij", weights, found)) if self.pooled else found
        own = np.diagonal(found, axis1=1, axis2=2)
        found = (1 - self.uncorrelated) * found
        places = np.arange(found.shape[1])
        found[:, places, places] = own + self.added
        return found

    def _drawn(self, found: Array, mean: Array) -> Array:
        """Each towards the mean of all; that mean alone where nothing of their own is left."""
        return mean[None] if self.pooled == 1 else (1 - self.pooled) * found + self.pooled * mean

    def _of(self, shares: Array, mean: Array, size: float) -> Array:
        some = shares > _NO_SHARE  # most rows have next to none in most components
        away = self.x[some] - mean
        return np.asarray((away * shares[some, None]).T @ away / size)
