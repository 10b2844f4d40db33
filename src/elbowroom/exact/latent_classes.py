"""The latent class model: a mixture whose columns are independent within a class, for columns of any kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import gammaln, logsumexp

from elbowroom.numerics import InputError, Support, plain_arguments

__all__ = ["LatentClasses", "fit_latent_classes"]

Array = NDArray[np.float64]

_FLOOR = 1e-3  # least variance of a normal within a class, as a share of the column's own
_LEAST_MEAN, _LEAST_DISPERSION, _MOST_DISPERSION = 1e-3, 1e-2, 1e3
_SETTLED = 1e-4  # EM ends when a step gains less, nats per row


class _Family:
    """A family of distributions over some columns [n, columns], with its parameters for every class."""

    def log_prob(self, x: Array) -> Array:
        """Sum over the columns, [n, classes], nats."""
        raise NotImplementedError

    def moments(self) -> tuple[Array, Array]:
        """Means and variances, [classes, columns] each."""
        raise NotImplementedError


_Fitter = Callable[[Array, Array], _Family]  # from rows and their shares [n, classes] in every class


@dataclass(frozen=True, eq=False)
class LatentClasses:
    """A latent class model: p(k) = weights[k], with the columns of x independent given the class k.

    Columns of categories, binary ones and those on a grid have a table of probabilities in each class, counts a
    negative binomial, real numbers a normal. With one class it is the independence model. All is float64, in nats;
    fitted by `fit_latent_classes`.

    Parameters
    ----------
    weights : Array
        Probabilities of the classes, [classes].
    groups : sequence of (list of int, family)
        For each family of distributions, its columns and its parameters.

    References
    ----------
    Lazarsfeld & Henry, "Latent structure analysis" (1968).
    """

    weights: Array
    groups: Sequence[tuple[list[int], _Family]]

    def log_prob(self, x: Array) -> Array:
        """log p(x) of rows x [n, columns], [n], in nats: probabilities of discrete columns, densities of real ones."""
        return np.asarray(logsumexp(self._joint(x), axis=1))

    def posterior(self, x: Array) -> Array:
        """p(k | x) of rows x [n, columns], [n, classes]."""
        joint = self._joint(x)
        return np.asarray(np.exp(joint - logsumexp(joint, axis=1, keepdims=True)))

    @property
    def between(self) -> float:
        """Var E[x | k], summed over columns: the part of the variance that the class explains."""
        means = np.concatenate([family.moments()[0] for _, family in self.groups], 1)
        return float(self.weights @ np.square(means - self.weights @ means).sum(1))

    @property
    def within(self) -> float:
        """E Var[x | k], summed over columns: the part of the variance that the class leaves."""
        return float(self.weights @ sum(family.moments()[1].sum(1) for _, family in self.groups))

    def _joint(self, x: Array) -> Array:
        return np.log(self.weights) + sum(family.log_prob(x[:, columns]) for columns, family in self.groups)


@plain_arguments
def fit_latent_classes(
    x: Array, supports: Sequence[Support], classes: int, *, seed: int = 0, steps: int = 100
) -> LatentClasses:
    """Fit a latent class model to rows by expectation–maximisation, started by k-means.

    Parameters
    ----------
    x : Array
        Rows, [n, columns].
    supports : sequence of Support
        The support of each column.
    classes : int
        Number of classes; 1 gives the independence model.
    seed : int, default 0
        Seed of k-means.
    steps : int, default 100
        Most steps of the algorithm; it ends when the mean log-likelihood changes by less than 10⁻⁴ nats per row.

    Returns
    -------
    LatentClasses
        The fitted model.

    Raises
    ------
    InputError
        For fewer rows than classes, or another number of supports than of columns.

    Notes
    -----
    Estimates are smoothed: a class's table of probabilities has the table of all rows (with one added to each count) as
    one extra row, and a variance has a thousandth of the column's own added. Negative binomials match the moments of
    their rows.

    References
    ----------
    Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM algorithm" (1977).

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [2.0, 0.0]])
    >>> alone = fit_latent_classes(x, [Support("categorical", 3), Support("binary")], 1)
    >>> np.exp(alone.log_prob(x[:1])).round(4)   # (2 + 1) / (4 + 3) · (2 + 1) / (4 + 2)
    array([0.2143])
    """
    if len(supports) != x.shape[1] or not 1 <= classes <= len(x):
        raise InputError(
            f"Latent classes need a support per column and a row or more per class; got {x.shape[1]} columns, "
            f"{len(supports)} supports, {len(x)} rows and {classes} classes."
        )
    fitters = [(list(columns), fitter) for columns, fitter in _fitters(x, supports)]
    if classes == 1:
        return _maximise(x, np.ones((len(x), 1)), fitters)
    shares, last = _start(x, supports, classes, seed), -np.inf
    for _ in range(steps):
        model = _maximise(x, shares, fitters)
        shares, score = model.posterior(x), float(model.log_prob(x).mean())
        if abs(score - last) < _SETTLED:
            break
        last = score
    return model


def _maximise(x: Array, shares: Array, fitters: Sequence[tuple[list[int], _Fitter]]) -> LatentClasses:
    groups = [(columns, fitter(x[:, columns], shares)) for columns, fitter in fitters]
    weights = shares.sum(0) + 1.0 / shares.shape[1]
    return LatentClasses(weights / weights.sum(), groups)


def _fitters(x: Array, supports: Sequence[Support]) -> list[tuple[list[int], _Fitter]]:
    """For each family its columns, and the function that fits it to them."""
    names = [{"counts": "counts", "real": "normal", "unit": "normal"}.get(one.kind, "table") for one in supports]
    columns = {name: [i for i, other in enumerate(names) if other == name] for name in dict.fromkeys(names)}
    made: dict[str, _Fitter] = {}
    if "table" in columns:
        made["table"] = _tables(x[:, columns["table"]], [supports[i].levels or 2 for i in columns["table"]])
    if "normal" in columns:
        made["normal"] = _normals(x[:, columns["normal"]])
    made["counts"] = _Counts.of
    return [(some, made[name]) for name, some in columns.items()]


def _start(x: Array, supports: Sequence[Support], classes: int, seed: int) -> Array:
    """Each row's class by k-means on standardised numbers and one-hot classes, [n, classes] of 0 and 1."""
    from sklearn.cluster import KMeans

    coded = [i for i, one in enumerate(supports) if one.kind == "categorical"]
    others = [i for i in range(len(supports)) if i not in coded]
    numbers = (x[:, others] - x[:, others].mean(0)) / np.maximum(x[:, others].std(0), 1e-12)
    if coded:
        numbers = np.concatenate(
            [numbers, _one_hot(x[:, coded], [supports[i].levels or 2 for i in coded]).toarray()], 1
        )
    found = KMeans(classes, n_init=1, random_state=seed).fit_predict(numbers)
    return np.eye(classes)[found]


def _one_hot(x: Array, levels: Sequence[int]) -> csr_matrix:
    """Rows of zeros and a one per column, [n, sum of the levels]."""
    places = x.astype(np.int64) + np.concatenate([[0], np.cumsum(levels)[:-1]]).astype(np.int64)
    ends = np.arange(0, x.size + 1, x.shape[1])
    return csr_matrix((np.ones(x.size), places.ravel(), ends), shape=(len(x), sum(levels)))


@dataclass(frozen=True, eq=False)
class _Tables(_Family):
    levels: Sequence[int]
    log_p: Array  # [sum of the levels, classes]

    def log_prob(self, x: Array) -> Array:
        return np.asarray(_one_hot(x, self.levels) @ self.log_p)

    def moments(self) -> tuple[Array, Array]:
        starts = np.concatenate([[0], np.cumsum(self.levels)[:-1]])
        value = np.concatenate([np.arange(n) for n in self.levels])[:, None]
        p = np.exp(self.log_p)
        mean, square = (np.add.reduceat(p * v, starts, axis=0).T for v in (value, np.square(value)))
        return mean, square - np.square(mean)


def _tables(x: Array, levels: Sequence[int]) -> _Fitter:
    ones = _one_hot(x, levels)
    of_all = (np.asarray(ones.sum(0)).ravel() + 1.0) / (len(x) + np.repeat(levels, levels))

    def make(x: Array, shares: Array) -> _Family:
        if shares.shape[1] == 1:
            return _Tables(levels, np.log(of_all)[:, None])
        return _Tables(levels, np.log((ones.T @ shares + of_all[:, None]) / (shares.sum(0) + 1.0)))

    return make


@dataclass(frozen=True, eq=False)
class _Normals(_Family):
    means: Array
    variances: Array

    def log_prob(self, x: Array) -> Array:
        pairs = zip(self.means, np.log(2 * np.pi * self.variances), self.variances, strict=True)
        return np.stack([-0.5 * (np.square(x - mean) / v + log).sum(1) for mean, log, v in pairs], 1)

    def moments(self) -> tuple[Array, Array]:
        return self.means, self.variances


def _normals(x: Array) -> _Fitter:
    floor = np.maximum(_FLOOR * x.var(0), 1e-12)

    def make(x: Array, shares: Array) -> _Family:
        return _Normals(*_moments(x, shares, floor))

    return make


@dataclass(frozen=True, eq=False)
class _Counts(_Family):
    """Negative binomials: variance = mean + mean² / dispersion."""

    means: Array
    dispersions: Array

    @classmethod
    def of(cls, x: Array, shares: Array) -> "_Counts":
        means, variances = _moments(x, shares)
        means = np.maximum(means, _LEAST_MEAN)
        dispersions = np.square(means) / np.maximum(variances - means, 1e-12)
        return cls(means, dispersions.clip(_LEAST_DISPERSION, _MOST_DISPERSION))

    def log_prob(self, x: Array) -> Array:
        total = np.zeros((len(x), len(self.means)))
        for column, (mean, r) in enumerate(zip(self.means.T, self.dispersions.T, strict=True)):
            k = x[:, column, None]
            total += gammaln(k + r) - gammaln(r) - gammaln(k + 1)
            total += r * np.log(r / (r + mean)) + k * np.log(mean / (r + mean))
        return total

    def moments(self) -> tuple[Array, Array]:
        return self.means, self.means + np.square(self.means) / self.dispersions


def _moments(x: Array, shares: Array, floor: Array | float = 0.0) -> tuple[Array, Array]:
    """Means and variances + floor of the columns within each class, [classes, columns]."""
    size = np.maximum(shares.sum(0), 1e-12)[:, None]
    means = shares.T @ x / size
    squares = np.stack([share @ np.square(x - mean) for share, mean in zip(shares.T, means, strict=True)])
    return means, squares / size + floor
