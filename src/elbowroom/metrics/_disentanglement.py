"""Whether single latent dimensions stand for single factors of variation: four scores of the literature."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elbowroom.numerics import InputError, narrow_seed, plain_arguments
from elbowroom.numerics._standard_errors import share_error

from .arrays import as_rows
from .score import Score

__all__ = ["Dci", "FactorScore", "dci", "factor_vae_score", "mutual_information_gap", "sap"]

_GROUPS = 10
_LEAST = 1e-24  # of a code's greatest square: less variance is rounding


@dataclass(frozen=True)
class FactorScore(Score):
    """A score of codes against factors, with its standard error and what it was made of.

    Parameters
    ----------
    value : float
        The score.
    se : float
        Its standard error over examples (or votes), with the encoder as it is; other seeds of training move scores
        further.
    n : int
        Examples (or votes).
    by_factor : array
        What each factor adds, [k]; `value` is their mean.
    table : array
        What each code says of each factor, [d, k].
    """

    by_factor: NDArray[np.float64]
    table: NDArray[np.float64]


@dataclass(frozen=True)
class Dci:
    """Disentanglement, completeness and informativeness, each 1 at best.

    Parameters
    ----------
    disentanglement : float
        Whether a code is important for one factor alone, weighted by the importance of the codes.
    completeness : float
        Whether a factor is told by one code alone.
    informativeness : Score
        How well all codes together tell the factors of held-out examples: 0 is chance.
    importances : array
        Of each code for each factor, [d, k]; columns add to 1, or to 0 where nothing tells a factor.
    """

    disentanglement: float
    completeness: float
    informativeness: Score
    importances: NDArray[np.float64]


@plain_arguments
def mutual_information_gap(codes: ArrayLike, factors: ArrayLike, *, bins: int = 20) -> FactorScore:
    """How much more the best code says of a factor than the second best, as a share of the factor's entropy (MIG).

    1 where every factor stands in a code of its own and in no other, 0 where two codes say the same of it. It does not
    mind a code that holds two factors. Mutual informations are those of the table of counts, which flatters few
    examples alike for all codes.

    Parameters
    ----------
    codes : array
        One draw or mean of z per example, [n, d].
    factors : array
        The factors by which the examples were made, each on a few levels, [n, k].
    bins : int, default 20
        Equal parts of a code's range; fewer than a factor has levels cannot tell them apart.

    Returns
    -------
    FactorScore
        Its table holds mutual informations, in nats; the standard error is a jackknife over ten groups of examples.

    Raises
    ------
    InputError
        For arrays that do not go together, and a factor that does not vary.

    References
    ----------
    Chen, Li, Grosse & Duvenaud, "Isolating sources of disentanglement in variational autoencoders" (2018); with a
    histogram as in Locatello et al., "Challenging common assumptions in the unsupervised learning of disentangled
    representations" (2019).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shape, size = rng.integers(0, 4, (2, 500))
    >>> codes = np.column_stack([-3.0 * size, rng.normal(size=500), shape])
    >>> round(mutual_information_gap(codes, np.column_stack([shape, size])).value, 2)
    0.96
    """
    z, levels = _together(codes, factors)
    if bins < 2:
        raise InputError(f"bins must be 2 or more; got {bins}.")
    binned = np.column_stack([_binned(column, bins) for column in z.T])

    def gaps(rows: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        table = np.array([[_information(code, factor) for factor in levels[rows].T] for code in binned[rows].T])
        entropies = np.array([_information(factor, factor) for factor in levels[rows].T])
        return _first_minus_second(table) / np.maximum(entropies, 1e-300), table

    return _jackknifed(gaps, len(z))


@plain_arguments
def sap(codes: ArrayLike, factors: ArrayLike, *, classes: Sequence[int] = ()) -> FactorScore:
    """How much better the best code predicts a factor than the second best, by a line (SAP).

    Parameters
    ----------
    codes : array
        One draw or mean of z per example, [n, d].
    factors : array
        The factors by which the examples were made, [n, k].
    classes : sequence of int, default ()
        Columns of factors whose levels have no order, such as shapes: these are classified from one code by logistic
        regression, and scored by balanced accuracy, 0 at chance. The others are numbers, scored by the squared
        correlation.

    Returns
    -------
    FactorScore
        Its table holds the scores; the standard error is a jackknife over ten groups of examples.

    Raises
    ------
    InputError
        For arrays that do not go together, a factor that does not vary, and classes that are no columns of factors.

    References
    ----------
    Kumar, Sattigeri & Balakrishnan, "Variational inference of disentangled latent concepts from unlabeled observations"
    (2018). There accuracies are not set to 0 at chance.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shape, size = rng.integers(0, 4, (2, 500))
    >>> codes = np.column_stack([-3.0 * size, rng.normal(size=500), shape])
    >>> round(sap(codes, np.column_stack([shape, size]), classes=[0]).value, 2)
    0.99
    """
    z, levels = _together(codes, factors)
    numbers = as_rows(np.asarray(factors), "factors")
    if not set(classes) <= set(range(levels.shape[1])):
        raise InputError(f"classes must be columns of factors, 0…{levels.shape[1] - 1}; got {list(classes)}.")

    def gaps(rows: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        table = np.square(_correlations(z[rows], numbers[rows]))
        for j in classes:
            table[:, j] = [_classified(code, levels[rows, j]) for code in z[rows].T]
        return _first_minus_second(table), table

    return _jackknifed(gaps, len(z))


@plain_arguments
def dci(codes: ArrayLike, factors: ArrayLike, *, trees: int = 50, seed: int = 0) -> Dci:
    """Disentanglement, completeness and informativeness, by random forests from all codes to each factor.

    The forests are fitted to half of the examples and judged on the other. Their importances are never quite 0, so
    that a perfect representation beside codes of noise scores a little below 1. As in the paper, a factor that no code
    tells has importances too, spread by chance, which lowers the disentanglement: read it beside the informativeness.

    Parameters
    ----------
    codes : array
        One draw or mean of z per example, [n, d].
    factors : array
        The factors by which the examples were made, each on a few levels, [n, k].
    trees : int, default 50
        Of each forest.
    seed : int, default 0
        Of the halves and the forests.

    Returns
    -------
    Dci
        The three numbers and the table of importances.

    Raises
    ------
    InputError
        For arrays that do not go together, and a factor that does not vary.

    References
    ----------
    Eastwood & Williams, "A framework for the quantitative evaluation of disentangled representations" (2018).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shape, size = rng.integers(0, 4, (2, 500))
    >>> found = dci(np.column_stack([-3.0 * size, shape]), np.column_stack([shape, size]))
    >>> found.disentanglement > 0.95, found.completeness > 0.95, found.informativeness.value
    (True, True, 1.0)
    """
    from sklearn.ensemble import RandomForestClassifier

    z, levels = _together(codes, factors)
    if trees < 1:
        raise InputError(f"trees must be 1 or more; got {trees}.")
    z = (z - z.mean(0)) / np.maximum(z.std(0), 1e-300)  # forests read 32 bits, which far or small codes do not fill
    first = np.random.default_rng(seed).permutation(len(z)) < (len(z) + 1) // 2
    columns, right = [], []
    for factor in levels.T:
        forest = RandomForestClassifier(trees, max_features=None, min_samples_leaf=2, random_state=narrow_seed(seed))
        forest.fit(z[first], factor[first])
        columns.append(forest.feature_importances_)
        chance = np.bincount(factor).max() / len(factor)
        right.append((forest.predict(z[~first]) == factor[~first]) - chance)
        right[-1] = right[-1] / (1 - chance)
    importances = np.column_stack(columns)
    told = np.mean(right, 0)
    error = float(told.std(ddof=1) / np.sqrt(len(told)))
    of_codes, of_factors = _concentration(importances), _concentration(importances.T)
    weights = importances.sum(1) / max(importances.sum(), 1e-300)
    informed = Score(float(told.mean()), error, len(told))
    return Dci(float(weights @ of_codes), float(of_factors.mean()), informed, importances)


@plain_arguments
def factor_vae_score(
    codes: ArrayLike, factors: ArrayLike, *, votes: int = 1_600, batch: int = 64, seed: int = 0
) -> FactorScore:
    """How often the code that varies least while a factor is held tells which factor is held.

    A vote draws a factor, one of its values and some examples with this value, and names the code whose variance is
    the smallest part of that among all examples. Half of the votes say which factor a code stands for; the score is the
    share of the other half that this calls rightly, 1 / k at chance. Two codes for one factor cost nothing.

    Parameters
    ----------
    codes : array
        One draw or mean of z per example, [n, d]; constant codes are passed over.
    factors : array
        The factors by which the examples were made, each on a few levels, [n, k].
    votes : int, default 1600
        How many, of which half are counted.
    batch : int, default 64
        Examples of a vote; values with fewer are not drawn.
    seed : int, default 0
        Of the votes.

    Returns
    -------
    FactorScore
        Its table holds the share of a factor's votes that name a code; the standard error is that of a share.

    Raises
    ------
    InputError
        For arrays that do not go together, a factor that does not vary or has no value with so many examples, and fewer
        than 2 votes.

    References
    ----------
    Kim & Mnih, "Disentangling by factorising" (2018).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> factors = rng.integers(0, 4, (800, 2))
    >>> factor_vae_score(-3.0 * factors, factors).value
    1.0
    """
    z, levels = _together(codes, factors)
    if min(votes, batch) < 2:
        raise InputError(f"votes and batch must be 2 or more; got {votes} and {batch}.")
    rng, moves = np.random.default_rng(seed), _moves(z)
    scale, k = np.where(moves, z.var(0), np.inf), levels.shape[1]
    places = [_with_value(factor, batch, j) for j, factor in enumerate(levels.T)]
    held, named = rng.integers(0, k, votes), np.zeros(votes, int)
    for i, j in enumerate(held):
        rows = rng.choice(places[j][rng.integers(len(places[j]))], batch, replace=False)
        share = np.where(moves, z[rows].var(0) / scale, np.inf)
        named[i] = rng.choice(np.flatnonzero(share == share.min()))
    counts = np.zeros((2, z.shape[1], k))
    np.add.at(counts, (np.arange(votes) % 2, named, held), 1)
    called = counts[0].argmax(1) if moves.any() else np.zeros(z.shape[1], int)
    right = called[named[1::2]] == held[1::2]
    by_factor = np.array([right[held[1::2] == j].mean() if (held[1::2] == j).any() else np.nan for j in range(k)])
    value, table = float(right.mean()), counts.sum(0) / np.maximum(counts.sum((0, 1)), 1)
    return FactorScore(value, share_error(value, len(right)), len(right), by_factor, table)


def _together(codes: ArrayLike, factors: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Codes [n, d], and the levels of the factors by number, [n, k]."""
    z, given = (as_rows(np.asarray(x), name) for x, name in ((codes, "codes"), (factors, "factors")))
    if len(z) != len(given) or len(z) < 2 * _GROUPS:
        raise InputError(
            f"Codes and factors belong to the same {2 * _GROUPS} examples or more; got {len(z)} and {len(given)}."
        )
    levels = np.column_stack([np.unique(column, return_inverse=True)[1] for column in given.T])
    for j, column in enumerate(levels.T):
        if column.max() == 0:
            raise InputError(f"Factor {j} has one value in all {len(z):,} examples and cannot be told: leave it out.")
        if column.max() + 1 > len(z) // 2:
            raise InputError(
                f"Factor {j} has {column.max() + 1:,} values in {len(z):,} examples: round it to a few levels first."
            )
    return z, levels.astype(np.int64)


def _moves(z: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which codes vary by more than rounding."""
    return np.asarray(z.var(0) > _LEAST * np.square(z).max(0))


def _binned(code: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    edges = np.linspace(code.min(), code.max(), bins + 1)[1:-1]
    return np.searchsorted(edges, code, "right").astype(np.int64)


def _information(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """Mutual information of two columns of small numbers by their table of counts, in nats."""
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    apart = joint.sum(1, keepdims=True) * joint.sum(0)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / apart[some])).sum())


def _first_minus_second(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each column; the second is 0 where there is one row."""
    ordered = np.sort(np.vstack([table, np.zeros_like(table[:1])]) if len(table) < 2 else table, 0)
    return np.asarray(ordered[-1] - ordered[-2])


def _jackknifed(gaps: Callable[[NDArray[np.bool_]], tuple[Any, Any]], n: int) -> FactorScore:
    """The mean over factors, and its error from leaving each of ten groups of examples out."""
    group = np.random.default_rng(0).permutation(n) % _GROUPS
    by_factor, table = gaps(np.ones(n, bool))
    without = np.array([gaps(group != one)[0].mean() for one in range(_GROUPS)])
    return FactorScore(float(by_factor.mean()), float(np.sqrt(_GROUPS - 1) * without.std()), n, by_factor, table)


def _correlations(z: NDArray[np.float64], numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b = z - z.mean(0), numbers - numbers.mean(0)
    scale = np.sqrt(np.outer(np.square(a).sum(0), np.square(b).sum(0)))
    return np.where(_moves(z)[:, None], a.T @ b / np.where(scale > 0, scale, 1.0), 0.0)


def _classified(code: NDArray[np.float64], factor: NDArray[np.int64]) -> float:
    """Balanced accuracy of logistic regression from one code, 0 at chance."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import recall_score

    if not _moves(code[:, None])[0]:
        return 0.0
    standard = ((code - code.mean()) / code.std())[:, None]
    found = LogisticRegression(C=1e3, class_weight="balanced", max_iter=500).fit(standard, factor).predict(standard)
    chance = 1 / len(np.unique(factor))
    return max(float(recall_score(factor, found, average="macro")) - chance, 0.0) / (1 - chance)


def _concentration(importances: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 − the entropy of every row, as a share of the greatest; 0 for a row of zeros."""
    total = importances.sum(1, keepdims=True)
    p = importances / np.where(total > 0, total, 1.0)
    entropy = -(p * np.log(np.where(p > 0, p, 1.0))).sum(1) / np.log(max(importances.shape[1], 2))
    return np.where(total[:, 0] > 0, 1 - entropy, 0.0)


def _with_value(factor: NDArray[np.int64], batch: int, number: int) -> list[NDArray[np.int64]]:
    found = [np.flatnonzero(factor == value) for value in range(factor.max() + 1)]
    enough = [rows for rows in found if len(rows) >= batch]
    if not enough:
        most = max(map(len, found))
        raise InputError(f"No value of factor {number} has {batch} examples, the most is {most}: ask for batch={most}.")
    return enough
