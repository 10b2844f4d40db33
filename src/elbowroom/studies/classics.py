"""The classics on the same data as the VAE, each tuned on validation: scikit-learn's densities, or latent classes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.data import Dataset, Examples
from elbowroom.exact import fit_latent_classes
from elbowroom.likelihoods.likelihood import CONTINUOUS
from elbowroom.numerics import Budget, Estimate, Support, keyed_uniform
from elbowroom.progress import Progress

__all__ = ["Classic", "as_seen", "classics", "classics_left_out"]

Array = NDArray[np.float64]
Scores = Callable[[Array], Array]
Split = tuple[float, float]

_PLURAL = {
    "binary": "zeros and ones",
    "grid": "whole numbers on a grid",
    "counts": "counts",
    "categorical": "classes without an order",
}
_MOST_TRAIN, _MOST_TEST = 5_000, 2_000
_MOST_FULL_DIMENSIONS = 100
_CLASSES = (2, 3, 4, 6, 8, 12, 16, 24, 32)
_MOST_ELEMENTS = 2_000_000  # of training rows × columns: beyond, fewer numbers of latent classes are tried


@dataclass(frozen=True)
class Classic:
    """A tuned density model: its name, what won on validation, and its exact log p(x) on test (nats).

    split: its variance of x, summed over dimensions of the preprocessed data, as (Var E[x | z], E Var[x | z]), where z
    is its factors, its component, or the training example that a kernel stands on.
    """

    name: str
    setting: str
    estimate: Estimate
    split: Split


@dataclass(frozen=True)
class _Fitted:
    scores: Scores
    split: Split


@dataclass(frozen=True)
class _Candidate:
    setting: str
    fit: Callable[[Array], _Fitted]


def classics(data: Dataset, seed: int = 0, progress: bool = True) -> list[Classic]:
    """Probabilistic PCA, factor analysis, Gaussian mixture and kernel density, on the data as the VAE sees them.

    All get the same preprocessing (dequantised with the noise that evidence uses for the same seed) and are scored on
    the user's scale. Settings are chosen by validation log-likelihood. Data that are not continuous get the
    independence model and the latent class model instead, whose log p(x) is of the same kind as the VAE's. On large
    data the first 5,000 training rows are used.
    """
    train, _ = as_seen(data, data.train[:_MOST_TRAIN], seed)
    validation, _ = as_seen(data, data.validation[:_MOST_TEST], seed)
    tested = data.test[:_MOST_TEST]
    test, log_jacobian = as_seen(data, tested, seed)
    support = data.preprocess.support(data.support)
    if _continuous(support):
        families = _families(len(train), train.shape[1], seed)
    else:
        families = _class_families(support.columns or (support,) * train.shape[1], train, seed)
    found = []
    with Progress("classics", sum(len(candidates) for _, candidates in families), show=progress) as bar:
        for name, candidates in families:
            setting, fitted = _tuned(candidates, train, validation, bar)
            values = fitted.scores(test) + log_jacobian
            budget = Budget(draws=0, seed=seed)
            estimate = Estimate.of(
                values,
                index=tested.index.numpy(),
                quantity=data.preprocess.estimand,
                estimator=name,
                direction="exact",
                budget=budget,
                data=tested.data,
            )
            found.append(Classic(name, setting, estimate, fitted.split))
    return found


def classics_left_out(data: Dataset) -> str | None:
    """Why scikit-learn's densities do not stand beside the VAE on these data, in words; None where they do."""
    support = data.preprocess.support(data.support)
    if _continuous(support):
        return None
    left_out = "Probabilistic PCA, factor analysis, the Gaussian mixture and the kernel density are left out"
    stand_in = (
        "The independence model (every column by itself) and the latent class model (columns independent within a "
        "class) stand in, whose log p(x) is of the same kind as the VAE's."
    )
    if support.kind == "mixed":
        kinds = ", ".join(dict.fromkeys(_PLURAL[one.kind] for one in support.columns if one.kind not in CONTINUOUS))
        why = (
            f"they are densities of real numbers, and this table holds {kinds} as well, whose part of log p(x) is a "
            "log-probability"
        )
    else:
        why = (
            f"these data are {_PLURAL[support.kind]}, so the VAE's log p(x) is a log-probability and theirs would be a "
            "log-density, which can be made as large as one likes on values that repeat"
        )
    return f"{left_out}: {why}. {stand_in}"


def _continuous(support: Support) -> bool:
    return all(one.kind in CONTINUOUS for one in support.columns or (support,))


def as_seen(data: Dataset, examples: Examples, seed: int) -> tuple[Array, Array]:
    """Preprocessed rows [n, dimensions] and the log-Jacobian [n]."""
    shape = data.preprocess.noise_shape
    noise = None if shape is None else keyed_uniform(shape, examples.index, seed)
    with torch.no_grad():
        y, log_jacobian = data.preprocess(examples.x, noise)
    return y.flatten(1).double().numpy(), log_jacobian.double().numpy()


def _tuned(candidates: list[_Candidate], train: Array, validation: Array, bar: Progress) -> tuple[str, _Fitted]:
    best, kept = -np.inf, (candidates[0].setting, candidates[0].fit(train))
    for candidate in candidates:
        fitted = candidate.fit(train)
        value = float(fitted.scores(validation).mean())
        bar.advance(validation=value)
        if value > best:
            best, kept = value, (candidate.setting, fitted)
    return kept


def _families(rows: int, dimensions: int, seed: int) -> list[tuple[str, list[_Candidate]]]:
    return [
        ("probabilistic PCA", list(_pca(rows, dimensions))),
        ("factor analysis", list(_factor_analysis(rows, dimensions))),
        ("Gaussian mixture", list(_mixtures(rows, dimensions, seed))),
        ("kernel density", list(_kernels())),
    ]


def _sizes(rows: int, dimensions: int, most: int) -> list[int]:
    sizes = (1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 56, 64, 96, 128)
    return [d for d in sizes if d < min(rows, dimensions, most)] or [1]


def _pca(rows: int, dimensions: int) -> Iterator[_Candidate]:
    from sklearn.decomposition import PCA

    for d in _sizes(rows, dimensions, 200):
        yield _candidate(f"{d} components", PCA(d, svd_solver="full"), _pca_split)


def _factor_analysis(rows: int, dimensions: int) -> Iterator[_Candidate]:
    from sklearn.decomposition import FactorAnalysis

    for d in _sizes(rows, dimensions, 65):
        yield _candidate(f"{d} factors", FactorAnalysis(d), _factor_split)


def _mixtures(rows: int, dimensions: int, seed: int) -> Iterator[_Candidate]:
    from sklearn.mixture import GaussianMixture

    full = ("full", (5, 10, 20, 40), (1e-4, 1e-3, 3e-3))
    diagonal = ("diag", (20, 40, 80, 120, 160, 240), (1e-4, 1e-3))
    for kind, sizes, floors in (full, diagonal) if dimensions <= _MOST_FULL_DIMENSIONS else (diagonal,):
        for k in [size for size in sizes if size <= rows] or [1]:
            for floor in floors:
                model = GaussianMixture(k, covariance_type=kind, reg_covar=floor, random_state=seed, max_iter=100)
                yield _candidate(
                    f"{k} components, {kind} covariance, {floor:g} added to its diagonal", model, _mixture_split
                )


def _kernels() -> Iterator[_Candidate]:
    from sklearn.neighbors import KernelDensity

    for bandwidth in (0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.5, 0.7, 1.0):
        yield _candidate(f"Gaussian kernel, bandwidth {bandwidth:g}", KernelDensity(bandwidth=bandwidth), _kernel_split)


def _candidate(setting: str, model: Any, split: Callable[[Any, Array], Split]) -> _Candidate:
    def fit(train: Array) -> _Fitted:
        fitted = model.fit(train)
        return _Fitted(
            lambda rows: np.asarray(fitted.score_samples(rows), dtype=np.float64),
            split(fitted, train),
        )

    return _Candidate(setting, fit)


def _pca_split(model: Any, train: Array) -> Split:
    """M. Tipping & C. Bishop, "Probabilistic principal component analysis" (1999): σ² = the mean discarded λ."""
    noise = float(model.noise_variance_)
    return float((model.explained_variance_ - noise).sum()), noise * train.shape[1]


def _factor_split(model: Any, train: Array) -> Split:
    return float(np.square(model.components_).sum()), float(model.noise_variance_.sum())


def _mixture_split(model: Any, train: Array) -> Split:
    weights, means, covariances = model.weights_, model.means_, model.covariances_
    within = covariances.sum(1) if covariances.ndim == 2 else np.trace(covariances, axis1=1, axis2=2)
    return float(weights @ np.square(means - weights @ means).sum(1)), float(weights @ within)


def _kernel_split(model: Any, train: Array) -> Split:
    return float(train.var(0).sum()), float(model.bandwidth_) ** 2 * train.shape[1]


def _class_families(supports: Sequence[Support], train: Array, seed: int) -> list[tuple[str, list[_Candidate]]]:
    different = len(np.unique(train, axis=0))
    sizes = [k for k in _CLASSES if 2 * k <= different] or [1]
    sizes = sizes[::2] if train.size > _MOST_ELEMENTS else sizes
    alone = _Candidate(
        "a table, a normal or a negative binomial per column, as its kind asks", _latent_classes(supports, 1, seed)
    )
    grouped = [_Candidate(f"{k} classes", _latent_classes(supports, k, seed)) for k in sizes]
    return [("independence model", [alone]), ("latent class model", grouped)]


def _latent_classes(supports: Sequence[Support], classes: int, seed: int) -> Callable[[Array], _Fitted]:
    def fit(train: Array) -> _Fitted:
        model = fit_latent_classes(train, supports, classes, seed=seed)
        return _Fitted(model.log_prob, (model.between, model.within))

    return fit
