"""The distributions of the columns within a class: tables of probabilities, negative binomials and normals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, polygamma

from elbowroom.numerics import Support

from .cells import Cells, Tokens, per_column

__all__ = ["Family", "Fitter", "Held", "counts_fitter", "normals_fitter", "tables_fitter"]

Array = NDArray[np.float64]

_LEAST_MEAN, _LEAST_DISPERSION, _MOST_DISPERSION = 1e-3, 1e-3, 1e5
_NEWTON, _LONGEST, _CLOSE = 50, 2.0, 1e-8  # of the dispersions' logarithm: steps, the longest, and one that ends them


@dataclass(frozen=True)
class Held:
    """What holds the estimates of a class to those of all rows, where it has few.

    Parameters
    ----------
    floor : float
        What a variance has added, as a share of the column's own.
    smoothing : float
        How many rows the table of all rows counts as in a class. In that table, as many are added to each count, one at
        most where there are several classes.
    """

    floor: float = 1e-3
    smoothing: float = 1.0


class Family:
    """A family of distributions over some columns, with its parameters for every class."""

    def log_prob(self, x: Cells) -> Array:
        """Sum over the seen cells of the columns, [n, classes], nats."""
        raise NotImplementedError

    def moments(self) -> tuple[Array, Array]:
        """Means and variances, [classes, columns] each."""
        raise NotImplementedError


Fitter = Callable[[Array], Family]
"""From the shares of the rows in every class, [n, classes], to the family fitted to them."""


def _with_tokens(tokens: Tokens, at_zero: Array, of_tokens: Array) -> Array:
    """Sums over the seen cells [n, classes]: every cell counts as 0, and then a token for what it is instead."""
    of_tokens = np.where(tokens.missing[:, None], 0.0, of_tokens)
    return np.asarray(tokens.where @ (of_tokens - at_zero[tokens.column]) + at_zero.sum(0))


@dataclass(frozen=True, eq=False)
class Tables(Family):
    """A table of probabilities per column and class, of which only the values that were there are held.

    Parameters
    ----------
    levels : array
        How many values each column can take, [columns].
    column, value : array
        Of every value but 0 that was there, [tokens], in rising order.
    p : array
        Its probabilities, [tokens, classes].
    p_zero : array
        Of 0, [columns, classes].
    p_new : array
        Of each value that was not there, [columns, classes].
    """

    levels: NDArray[np.int64]
    column: NDArray[np.int64]
    value: NDArray[np.int64]
    p: Array
    p_zero: Array
    p_new: Array

    def log_prob(self, x: Cells) -> Array:
        """Of the cells that are seen."""
        tokens = x.tokens
        found = self._places(tokens)
        p = self.p_new[tokens.column]
        p[found >= 0] = self.p[found[found >= 0]]
        return _with_tokens(tokens, np.log(self.p_zero), np.log(p))

    def _places(self, tokens: Tokens) -> NDArray[np.int64]:
        """Where each token stands among those held, or −1."""
        if not len(self.value):
            return np.full(len(tokens.value), -1)
        most = 1 + int(self.levels.max())
        value = np.where(tokens.missing, self.levels.max(), tokens.value).astype(np.int64)
        keys, asked = self.column * most + self.value, tokens.column * most + value
        places = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
        return np.where(keys[places] == asked, places, -1)

    def moments(self) -> tuple[Array, Array]:
        """Of the codes."""
        columns, found = len(self.levels), []
        for power in (1, 2):
            values = self.value[:, None].astype(np.float64) ** power
            every = (np.arange(n, dtype=np.float64) ** power for n in self.levels)
            absent = np.array([one.sum() for one in every])[:, None] - per_column(self.column, values, columns)
            found.append(per_column(self.column, values * self.p, columns) + absent * self.p_new)
        mean, square = found
        return mean.T, (square - np.square(mean)).T


def tables_fitter(x: Cells, supports: Sequence[Support], held: Held) -> Fitter:
    """What fits tables; in a class the table of all rows counts as so many more rows."""
    levels = np.array([one.levels or 2 for one in supports], dtype=np.int64)
    tokens, columns = x.tokens, x.shape[1]
    present = ~tokens.missing
    column, value = tokens.column[present], tokens.value[present].astype(np.int64)

    def counted(shares: Array) -> tuple[Array, Array, Array]:
        """Rows that have the token, that have 0, and that are seen, per class."""
        with_token = np.asarray(tokens.where.T @ shares)
        seen = shares.sum(0) - per_column(tokens.column, with_token * tokens.missing[:, None], columns)
        zero = seen - per_column(tokens.column, with_token * present[:, None], columns)
        return with_token[present], zero, seen

    every = counted(np.ones((x.shape[0], 1)))

    def table_of_all(added: float) -> tuple[Array, Array, Array]:
        many, zero, seen = every
        whole = seen + added * levels[:, None]
        return (many + added) / whole[column], (zero + added) / whole, added / whole

    def make(shares: Array) -> Family:
        if shares.shape[1] == 1:
            return Tables(levels, column, value, *table_of_all(held.smoothing))
        of_all, (many, zero, seen) = table_of_all(min(held.smoothing, 1.0)), counted(shares)
        rows = held.smoothing
        p, p_zero = (many + rows * of_all[0]) / (seen + rows)[column], (zero + rows * of_all[1]) / (seen + rows)
        return Tables(levels, column, value, p, p_zero, rows * of_all[2] / (seen + rows))

    return make


@dataclass(frozen=True, eq=False)
class Normals(Family):
    """A normal per column and class.

    Parameters
    ----------
    centre : array
        What is taken away from the columns first, so that squares keep their digits, [columns].
    away : array
        Means less the centre, [classes, columns].
    variances : array
        [classes, columns].
    """

    centre: Array
    away: Array
    variances: Array

    def log_prob(self, x: Cells) -> Array:
        """Of the cells that are seen."""
        total = np.zeros((x.shape[0], len(self.away)))
        for where, dense, seen in x.blocks():
            y = (dense - self.centre[where]) * seen
            inverse, mean = 1.0 / self.variances[:, where].T, self.away[:, where].T
            total += np.square(y) @ inverse - 2 * (y @ (mean * inverse))
            total += seen @ (np.square(mean) * inverse + np.log(2 * np.pi / inverse))
        return -0.5 * total

    def moments(self) -> tuple[Array, Array]:
        """Of the columns."""
        return self.centre + self.away, self.variances


def normals_fitter(x: Cells, supports: Sequence[Support], held: Held) -> Fitter:
    """What fits normals; a variance has a share of the column's own added, or is 1 where that is 0."""
    centre = np.concatenate([dense.sum(0) / np.maximum(seen.sum(0), 1) for _, dense, seen in x.blocks()])

    def moments(shares: Array) -> tuple[Array, Array]:
        means, squares = [], []
        for where, dense, seen in x.blocks():
            y = (dense - centre[where]) * seen
            size = np.maximum(shares.T @ seen, 1e-12)
            means.append(shares.T @ y / size)
            squares.append(shares.T @ np.square(y) / size)
        mean = np.concatenate(means, 1)
        return mean, np.maximum(np.concatenate(squares, 1) - np.square(mean), 0.0)

    _, own = moments(np.ones((x.shape[0], 1)))
    floor = np.where(own > 0, held.floor * own, 1.0)

    def make(shares: Array) -> Family:
        mean, variance = moments(shares)
        return Normals(centre, mean, variance + floor)

    return make


@dataclass(frozen=True, eq=False)
class Counts(Family):
    """Negative binomials: variance = mean + mean² / dispersion.

    Parameters
    ----------
    means, dispersions : array
        [classes, columns].
    """

    means: Array
    dispersions: Array

    def log_prob(self, x: Cells) -> Array:
        """Of the cells that are seen."""
        tokens, (mean, r) = x.tokens, (self.means.T, self.dispersions.T)
        at_zero = r * np.log(r / (r + mean))
        k, mean, r = tokens.value[:, None], mean[tokens.column], r[tokens.column]
        of_tokens = gammaln(k + r) - gammaln(r) - gammaln(k + 1) + k * np.log(mean / (r + mean))
        return _with_tokens(tokens, at_zero, of_tokens + at_zero[tokens.column])

    def moments(self) -> tuple[Array, Array]:
        """Of the columns."""
        return self.means, self.means + np.square(self.means) / self.dispersions


def counts_fitter(x: Cells, supports: Sequence[Support], held: Held) -> Fitter:
    """What fits negative binomials by maximum likelihood.

    With one class the dispersions are at the maximum. With several, each call makes one step towards it from where the
    last one ended, so that they arrive as expectation–maximisation does.
    """
    tokens, columns = x.tokens, x.shape[1]
    value = np.where(tokens.missing, 0.0, tokens.value)[:, None]
    last: list[Array] = []

    def make(shares: Array) -> Family:
        with_token = np.asarray(tokens.where.T @ shares) * ~tokens.missing[:, None]
        missing = np.asarray(tokens.where.T @ shares) * tokens.missing[:, None]
        seen = np.maximum(shares.sum(0) - per_column(tokens.column, missing, columns), 1e-12)
        mean, square = (per_column(tokens.column, with_token * v, columns) / seen for v in (value, np.square(value)))
        spare = square - np.square(mean) - mean  # variance beyond a Poisson's
        mean = np.maximum(mean, _LEAST_MEAN)
        moments = (np.square(mean) / np.maximum(spare, 1e-12)).clip(_LEAST_DISPERSION, _MOST_DISPERSION)
        start = last[0] if last and last[0].shape == moments.shape else moments
        last[:] = [_likeliest(tokens, value, with_token, mean, seen, start, 1 if shares.shape[1] > 1 else _NEWTON)]
        return Counts(mean.T, last[0].T)

    return make


def _likeliest(
    tokens: Tokens, value: Array, with_token: Array, mean: Array, seen: Array, start: Array, steps: int
) -> Array:
    """Dispersions [columns, classes] by Newton's steps on their logarithm, which is bounded.

    The mean of a column is its likeliest mean whatever its dispersion is, so the likelihood is a function of r alone:
    its slope is Σ ψ(x + r) − n ψ(r) + n log(r / (r + mean)), to which values of 0 add nothing but that logarithm.
    """
    least, most = np.log(_LEAST_DISPERSION), np.log(_MOST_DISPERSION)
    log_r = np.log(start)
    for _ in range(steps):
        r = np.exp(log_r)
        of_token, at = r[tokens.column], (value + r[tokens.column])
        slope = per_column(tokens.column, with_token * (digamma(at) - digamma(of_token)), len(r))
        slope += seen * np.log(r / (r + mean))
        bend = per_column(tokens.column, with_token * (polygamma(1, at) - polygamma(1, of_token)), len(r))
        bend += seen * mean / (r * (r + mean))
        first, second = r * slope, r * slope + np.square(r) * bend  # by log r
        step = np.where(second < 0, -first / np.minimum(second, -1e-300), np.sign(first) * _LONGEST)
        moved = (log_r + step.clip(-_LONGEST, _LONGEST)).clip(least, most)
        settled = float(np.abs(moved - log_r).max(initial=0.0)) < _CLOSE
        log_r = moved
        if settled:
            break
    return np.asarray(np.exp(log_r))
