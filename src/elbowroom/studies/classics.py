"""The families of classics and their settings: densities of real numbers, or latent classes. They see arrays alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from elbowroom.exact import (
    FactorNormal,
    Kernels,
    NormalWithGaps,
    PrincipalAxes,
    fit_factor_normal,
    fit_latent_classes,
    fit_normal_with_gaps,
)
from elbowroom.numerics import InputError, Support, count

__all__ = ["WIDE", "Array", "Candidate", "Fitted", "class_families", "families", "gap_families", "why_fewer"]

Array = Any  # rows [n, columns] as floats, dense or sparse
Scores = Callable[[Array], NDArray[np.float64]]
Split = tuple[float, float]  # Var E[x | z], E Var[x | z]
_Axes = Callable[[Array], PrincipalAxes]

_MOST_FULL_DIMENSIONS = 100
_MOST_COMPONENTS, _MOST_FACTORS = 200, 65
WIDE = 1_000
"""Columns, beyond which what scikit-learn does in many copies of the data is done by blocks."""
_CLASSES = (2, 3, 4, 6, 8, 12, 16, 24, 32)
_FEW = (2, 4, 8, 16)
_MOST_ELEMENTS = 2_000_000  # of training rows × columns: beyond, fewer numbers of latent classes are tried
_SHRINKAGES = (0.0, 0.01, 0.03, 0.1, 0.3)
_FLOORS = (1e-4, 1e-3, 3e-3)
_REFINED = 1e-10  # the floor that a mixture is fitted with once more where it is asked what holds its variances up


@dataclass(frozen=True)
class Fitted:
    """A fitted density.

    Attributes
    ----------
    scores : callable
        Rows [n, dimensions] to log-densities [n], in nats.
    split : (float, float)
        Var E[x | z] and E Var[x | z], summed over dimensions.
    floored : callable, optional
        A least variance to the scores of the same density with no smaller one; None where there is none to shrink.
    """

    scores: Scores
    split: Split
    floored: Callable[[float], Scores] | None = None


@dataclass(frozen=True)
class Candidate:
    """A setting of a family.

    Attributes
    ----------
    setting : str
        In words.
    fit : callable
        Rows [n, dimensions] to a `Fitted`.
    """

    setting: str
    fit: Callable[[Array], Fitted]


def families(rows: int, dimensions: int, seed: int) -> list[tuple[str, list[Candidate]]]:
    """Densities of real numbers.

    Parameters
    ----------
    rows, dimensions : int
        Of the training data.
    seed : int
        Of what draws anything.

    Returns
    -------
    list of (str, list of Candidate)
        Names, and the settings that are tried.
    """
    axes = _once(partial(PrincipalAxes.of, most=_sizes(rows, dimensions, _MOST_COMPONENTS)[-1]))
    return [
        ("probabilistic PCA", list(_pca(rows, dimensions, axes))),
        ("factor analysis", list(_factor_analysis(rows, dimensions, axes))),
        ("Gaussian mixture", list(_mixtures(rows, dimensions, seed))),
        ("kernel density", list(_kernels())),
    ]


def why_fewer(dimensions: int) -> str | None:
    """What is tried less of where there are many columns, in words; None where there are not.

    Parameters
    ----------
    dimensions : int
        Of the training data.

    Returns
    -------
    str or None
        A sentence.
    """
    if dimensions <= WIDE:
        return None
    return (
        f"Over {dimensions:,} columns fewer settings are tried: factor analysis with every other number of factors, at "
        f"most 50 steps each, and Gaussian mixtures of {', '.join(map(str, _FEW[:-1]))} and {_FEW[-1]} components with "
        "diagonal covariances."
    )


def _sizes(rows: int, dimensions: int, most: int) -> list[int]:
    sizes = (1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 56, 64, 96, 128)
    return [d for d in sizes if d < min(rows, dimensions, most)] or [1]


def _pca(rows: int, dimensions: int, axes: _Axes) -> Iterator[Candidate]:
    for d in _sizes(rows, dimensions, _MOST_COMPONENTS):
        yield _of_factors(count(d, "component"), partial(_cut, axes, min(d, dimensions - 1)))


def _cut(axes: _Axes, components: int, train: Array) -> FactorNormal:
    return axes(train).cut(components)


def _factor_analysis(rows: int, dimensions: int, axes: _Axes) -> Iterator[Candidate]:
    from sklearn.decomposition import FactorAnalysis

    sizes = _sizes(rows, dimensions, _MOST_FACTORS)
    if dimensions <= WIDE:
        return (_of_factors(count(d, "factor"), partial(_factors_of, FactorAnalysis(d))) for d in sizes)
    return (_of_factors(count(d, "factor"), partial(_factors_by_blocks, axes, d)) for d in sizes[::2])


def _factors_by_blocks(axes: _Axes, factors: int, train: Array) -> FactorNormal:
    return fit_factor_normal(train, axes(train).cut(factors))


def _factors_of(model: Any, train: Array) -> FactorNormal:
    """What scikit-learn fitted, as a density that needs no columns × columns matrix."""
    if bool((train == train[0]).all()):
        raise InputError("all rows are the same")
    fitted = model.fit(train)
    return FactorNormal(fitted.mean_, fitted.components_, fitted.noise_variance_)


def _of_factors(setting: str, normal_of: Callable[[Array], FactorNormal]) -> Candidate:
    def fit(train: Array) -> Fitted:
        model = normal_of(train)
        split = float(np.square(model.loadings).sum()), float(model.noise.sum())
        return Fitted(model.log_prob, split, lambda least: model.floored(least).log_prob)

    return Candidate(setting, fit)


def _mixtures(rows: int, dimensions: int, seed: int) -> Iterator[Candidate]:
    if dimensions > WIDE:
        for k in [size for size in _FEW if 2 * size <= rows] or [1]:
            supports = (Support("real"),) * dimensions
            said = f"{count(k, 'component')}, diagonal covariance, a thousandth of its column's variance or more"
            yield Candidate(said, _latent_classes(supports, k, seed))
        return
    full = ("full", (5, 10, 20, 40), _FLOORS)
    diagonal = ("diag", (20, 40, 80, 120, 160, 240), _FLOORS[:2])
    for kind, sizes, floors in (full, diagonal) if dimensions <= _MOST_FULL_DIMENSIONS else (diagonal,):
        for k in [size for size in sizes if size <= rows] or [1]:
            for floor in floors:
                yield _mixture(k, kind, floor, seed)


def _mixture(k: int, kind: str, floor: float, seed: int) -> Candidate:
    from sklearn.mixture import GaussianMixture

    model = GaussianMixture(k, covariance_type=kind, reg_covar=floor, random_state=seed, max_iter=100)
    return _candidate(
        f"{count(k, 'component')}, {kind} covariance, {floor:g} added to its diagonal", model, _mixture_split
    )


def _kernels() -> Iterator[Candidate]:
    kernels = _once(Kernels)
    for bandwidth in (0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.5, 0.7, 1.0):
        yield Candidate(f"Gaussian kernel, bandwidth {bandwidth:g}", partial(_kernel, kernels, bandwidth))


def _kernel(kernels: Callable[[Array], Kernels], bandwidth: float, train: Array) -> Fitted:
    def scores(rows: Array, h: float = bandwidth) -> NDArray[np.float64]:
        return kernels(train).log_prob(rows, h)

    split = kernels(train).variance, bandwidth**2 * train.shape[1]
    return Fitted(scores, split, lambda least: partial(scores, h=least**0.5))


def _once(made_of: Callable[[Array], Any]) -> Callable[[Array], Any]:
    """What all settings of a family share, made when the first of them asks."""
    kept: list[tuple[Array, Any]] = []

    def of(train: Array) -> Any:
        if not kept or kept[0][0] is not train:
            kept[:] = [(train, made_of(train))]
        return kept[0][1]

    return of


def _candidate(setting: str, model: Any, split: Callable[[Any, Array], Split]) -> Candidate:
    """A mixture of scikit-learn's."""

    def fit(train: Array) -> Fitted:
        fitted = model.fit(train)
        sharpened = _once(partial(_sharpened, fitted))

        def floored(least: float) -> Scores:
            return lambda rows: _mixture_scores(sharpened(train), least, rows)

        return Fitted(
            lambda rows: np.asarray(fitted.score_samples(rows), dtype=np.float64), split(fitted, train), floored
        )

    return Candidate(setting, fit)


def _sharpened(fitted: Any, train: Array) -> tuple[Any, Any, Any]:
    """Weights, means and covariances that expectation–maximisation goes on to where next to nothing holds them up."""
    from sklearn.base import clone

    start = {"weights_init": fitted.weights_, "means_init": fitted.means_, "precisions_init": fitted.precisions_}
    again = clone(fitted).set_params(reg_covar=_REFINED, max_iter=50, **start).fit(train)
    covariances = again.covariances_
    if covariances.ndim == 2:
        return again.weights_, again.means_, covariances - _REFINED
    return again.weights_, again.means_, covariances - _REFINED * np.eye(train.shape[1])


def _mixture_scores(mixture: tuple[Any, Any, Any], least: float, rows: Array) -> NDArray[np.float64]:
    """log p of rows [n, dimensions] with `least` added to the variances, [n]."""
    columns = []
    for weight, mean, covariance in zip(*mixture, strict=True):
        away = rows - mean
        if covariance.ndim == 1:
            variances = np.maximum(covariance, 0.0) + least
            squares, log_det = (np.square(away) / variances).sum(1), np.log(variances).sum()
        else:
            root = np.linalg.cholesky(covariance + least * np.eye(len(mean)))
            squares = np.square(solve_triangular(root, away.T, lower=True)).sum(0)
            log_det = 2 * np.log(np.diag(root)).sum()
        columns.append(np.log(weight) - 0.5 * (squares + log_det + len(mean) * np.log(2 * np.pi)))
    return np.asarray(logsumexp(columns, axis=0))


def _mixture_split(model: Any, train: Array) -> Split:
    weights, means, covariances = model.weights_, model.means_, model.covariances_
    within = covariances.sum(1) if covariances.ndim == 2 else np.trace(covariances, axis1=1, axis2=2)
    return float(weights @ np.square(means - weights @ means).sum(1)), float(weights @ within)


def class_families(supports: Sequence[Support], train: Array, seed: int) -> list[tuple[str, list[Candidate]]]:
    """Models of columns that are not all real numbers, or of which cells are missing.

    Parameters
    ----------
    supports : sequence of Support
        Of every column.
    train : array
        Rows [n, dimensions].
    seed : int
        Of where the fit begins.

    Returns
    -------
    list of (str, list of Candidate)
        Names, and the settings that are tried.
    """
    different = _different(train)
    sizes = [k for k in _CLASSES if 2 * k <= different] or [1]
    sizes = sizes[::2] if np.prod(train.shape) > _MOST_ELEMENTS else sizes
    alone = Candidate(
        "a table, a normal or a negative binomial per column, as its kind asks", _latent_classes(supports, 1, seed)
    )
    grouped = [Candidate(f"{k} classes", _latent_classes(supports, k, seed)) for k in sizes]
    return [("independence model", [alone]), ("latent class model", grouped)]


def gap_families(rows: int, dimensions: int) -> list[tuple[str, list[Candidate]]]:
    """Densities of real numbers of which cells are missing, beside the models of columns.

    Parameters
    ----------
    rows, dimensions : int
        Of the training data.

    Returns
    -------
    list of (str, list of Candidate)
        A normal with any covariance, where there are few enough columns.
    """
    if not 1 < dimensions <= _MOST_FULL_DIMENSIONS:
        return []
    fitted = _once(fit_normal_with_gaps)
    return [
        (
            "Gaussian with missing cells",
            [Candidate(f"correlations times {1 - a:g}", partial(_shrunk, fitted, a)) for a in _SHRINKAGES],
        )
    ]


def _shrunk(fitted: Callable[[Array], NormalWithGaps], share: float, train: Array) -> Fitted:
    whole = fitted(train)
    total = float(np.trace(whole.covariance))

    def floored(least: float) -> Scores:
        ridge = least * train.shape[1] / total
        return fit_normal_with_gaps(train, ridge=ridge, start=whole).shrunk(share).log_prob

    return Fitted(whole.shrunk(share).log_prob, (0.0, total), floored)


def _different(train: Array) -> int:
    """How many rows are different."""
    if hasattr(train, "indptr"):
        parts = zip(train.indptr[:-1], train.indptr[1:], strict=True)
        return len({train.indices[a:b].tobytes() + train.data[a:b].tobytes() for a, b in parts})
    return len({row.tobytes() for row in train})


def _latent_classes(supports: Sequence[Support], classes: int, seed: int) -> Callable[[Array], Fitted]:
    def fit(train: Array) -> Fitted:
        model = fit_latent_classes(train, supports, classes, seed=seed)
        return Fitted(model.log_prob, (model.between, model.within))

    return fit
