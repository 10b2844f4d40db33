"""Mixtures of normals with few factors each, between mixtures with full covariances and with diagonal ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from elbowroom.numerics import InputError, plain_arguments

from .factor_normal import FactorNormal, PrincipalAxes
from .log_sums import log_sum_exp
from .normal_mixture import NormalMixture, k_means, shares_of

__all__ = ["FactorMixture", "fit_factor_mixture"]

Array = NDArray[np.float64]

_CELLS_AT_ONCE = 2**22
_SETTLED = 1e-2  # EM ends when a step gains less, nats per row


@dataclass(frozen=True, eq=False)
class FactorMixture:
    """A mixture of factor analysers: p(x) = Σ_k w_k N(x; μ_k, W_k W_kᵀ + diag ψ_k). float64, in nats.

    Parameters
    ----------
    weights : Array
        w, probabilities [components].
    parts : tuple of FactorNormal
        The normals.

    References
    ----------
    Ghahramani & Hinton, "The EM algorithm for mixtures of factor analyzers" (1996).

    Examples
    --------
    >>> one = FactorNormal(np.zeros(2), np.ones((1, 2)), np.ones(2))
    >>> round(float(FactorMixture(np.array([0.5, 0.5]), (one, one)).log_prob(np.zeros((1, 2)))[0]), 4)   # as one alone
    -2.3872
    """

    weights: Array
    parts: tuple[FactorNormal, ...]

    @property
    def between(self) -> float:
        """Var E[x | k, z], summed over columns: what the component and its factors explain."""
        means = np.stack([part.mean for part in self.parts])
        loadings = np.array([np.square(part.loadings).sum() for part in self.parts])
        return float(self.weights @ (np.square(means - self.weights @ means).sum(1) + loadings))

    @property
    def within(self) -> float:
        """E Var[x | k, z], summed over columns."""
        return float(self.weights @ np.array([part.noise.sum() for part in self.parts]))

    def log_prob(self, x: Array) -> Array:
        """log p(x) of rows x [n, columns], [n], in nats."""
        step = max(_CELLS_AT_ONCE // max(x.shape[1], sum(len(part.loadings) for part in self.parts)), 1)
        parts = [log_sum_exp(self.log_joint(x[at : at + step])) for at in range(0, len(x), step)]
        return np.concatenate([np.empty(0), *parts])

    def log_joint(self, x: Array) -> Array:
        """log p(x, k) of rows x [n, columns], [n, components].

        Squares are those of independent columns, less what the factors explain of them.
        """
        noise, means = (np.stack([getattr(part, name) for part in self.parts]) for name in ("noise", "mean"))
        alone = NormalMixture(self.weights, means, noise).log_joint(x)
        readers, explained = zip(*(_readers(part) for part in self.parts), strict=True)
        along = x @ np.concatenate(readers, 1) - np.concatenate(
            [mean @ reader for mean, reader in zip(means, readers, strict=True)]
        )
        gained = np.square(along).reshape(len(x), len(self.parts), -1).sum(2)
        return np.asarray(alone + 0.5 * (gained - np.array(explained)))

    def floored(self, least: float) -> "FactorMixture":
        """The same with no noise below `least`."""
        return FactorMixture(self.weights, tuple(part.floored(least) for part in self.parts))


def _readers(part: FactorNormal) -> tuple[Array, float]:
    """What reads the factors from a row [columns, factors], so that squares are what they explain; log |WᵀW/ψ + 1|."""
    scaled = part.loadings / part.noise
    root = np.linalg.cholesky(np.eye(len(scaled)) + scaled @ part.loadings.T)
    return solve_triangular(root, scaled, lower=True).T, float(2 * np.log(np.diag(root)).sum())


@plain_arguments
def fit_factor_mixture(
    x: Array,
    components: int,
    factors: int,
    *,
    floor: float | Array = 1e-2,
    seed: int = 0,
    steps: int = 50,
    groups: NDArray[np.integer] | None = None,
    start: FactorMixture | None = None,
) -> FactorMixture:
    """Fit a mixture of factor analysers to rows by expectation–maximisation, started by k-means and principal axes.

    Parameters
    ----------
    x : Array
        Rows, [n, columns].
    components : int
        How many.
    factors : int
        Of each, below the number of columns.
    floor : float or Array, default 1e-2
        What is added to each noise: a share of the column's variance over all rows, or the variances, [columns].
    seed : int, default 0
        Of k-means.
    steps : int, default 50
        Most steps; it ends when the mean log-likelihood changes by less than 0.01 nats per row.
    groups : array, optional
        The component that each row begins in, [n]; by default its cluster by k-means.
    start : FactorMixture, optional
        Where it begins instead.

    Returns
    -------
    FactorMixture
        The fit.

    Raises
    ------
    InputError
        For fewer rows than components, as many factors as columns, or a column without variance.

    References
    ----------
    Ghahramani & Hinton, "The EM algorithm for mixtures of factor analyzers" (1996).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(2_000, 1)) + rng.normal(size=(2_000, 4))
    >>> fit_factor_mixture(x, 1, 1, floor=0.0).parts[0].noise.round(1)
    array([1., 1., 1., 1.])
    """
    if not 1 <= components <= len(x) or not 1 <= factors < x.shape[1]:
        raise InputError(
            f"A mixture of factor analysers needs a row or more per component and fewer factors than columns; got "
            f"{len(x)} rows, {x.shape[1]} columns, {components} components and {factors} factors."
        )
    variance = x.var(0)
    if not bool((variance > 1e-30 * variance.sum()).all()):
        raise InputError("a column has no variance, so there is no density")
    added = floor if isinstance(floor, np.ndarray) else floor * variance
    groups = k_means(x, components, seed) if groups is None and start is None else groups
    model = start or _first(x, groups, components, factors, added)
    last = -np.inf
    for _ in range(steps):
        shares, score = shares_of(model, x)
        if not np.isfinite(score) or abs(score - last) < _SETTLED:
            break
        last, size = score, shares.sum(0) + 1e-9
        parts = (_stepped(x, part, share, added) for part, share in zip(model.parts, shares.T, strict=True))
        model = FactorMixture(size / size.sum(), tuple(parts))
    return model


def _first(x: Array, groups: Any, components: int, factors: int, added: Array) -> FactorMixture:
    """A component for each group, with the group's principal axes as its factors."""
    whole = x.var(0)
    parts = [_group(x[groups == k], factors, added, whole) for k in range(components)]
    return FactorMixture((np.bincount(groups, minlength=components) + 1e-9) / len(x), tuple(parts))


def _group(rows: Array, factors: int, added: Array, whole: Array) -> FactorNormal:
    """The rows' principal axes, and as noise what these leave of each column's variance; a tenth of it at least."""
    variance = rows.var(0) if len(rows) > 1 else 0.1 * whole
    loadings = np.zeros((factors, rows.shape[1]))
    if len(rows) > 1:
        axes = PrincipalAxes.of(rows, factors)
        kept = np.sqrt(np.maximum(axes.variances, 0.0))[:, None] * axes.directions
        loadings[: len(kept)] = 0.9 * kept
    left = np.maximum(variance - np.square(loadings).sum(0), 0.1 * variance)
    return FactorNormal(
        rows.mean(0) if len(rows) else np.zeros(rows.shape[1]), loadings, left + added + np.finfo(float).tiny
    )


def _stepped(x: Array, part: FactorNormal, shares: Array, added: Array) -> FactorNormal:
    """One step for one component, of the rows that have a share in it: its mean, its loadings and its noise."""
    some = shares > 1e-6
    if int(some.sum()) < 2:
        return part
    rows, shares = x[some], shares[some]
    size = shares.sum()
    mean = shares @ rows / size
    y = rows - mean
    scaled = part.loadings / part.noise
    within = np.linalg.inv(np.eye(len(scaled)) + scaled @ part.loadings.T)
    z = y @ (scaled.T @ within)
    weighted = z * shares[:, None]
    crossed = weighted.T @ y / size
    loadings = np.linalg.solve(within + weighted.T @ z / size, crossed)
    left = shares @ np.square(y) / size - (loadings * crossed).sum(0)
    return FactorNormal(mean, loadings, np.maximum(left, np.finfo(float).tiny) + added)
