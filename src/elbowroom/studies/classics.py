"""The classics of scikit-learn on the same data as the VAE, each tuned on validation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.data import Dataset, Examples
from elbowroom.numerics import Budget, Estimate, keyed_uniform
from elbowroom.runs import Progress

__all__ = ["Classic", "as_seen", "classics"]

Array = NDArray[np.float64]
Scores = Callable[[Array], Array]
Split = tuple[float, float]

_MOST_TRAIN, _MOST_TEST = 5_000, 2_000
_MOST_FULL_DIMENSIONS = 100


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
    the user's scale. Settings are chosen by validation log-likelihood. Binary data get independent Bernoullis. On large
    data the first 5,000 training rows are used.
    """
    train, _ = as_seen(data, data.train[:_MOST_TRAIN], seed)
    validation, _ = as_seen(data, data.validation[:_MOST_TEST], seed)
    tested = data.test[:_MOST_TEST]
    test, log_jacobian = as_seen(data, tested, seed)
    binary = data.preprocess.support(data.support).kind == "binary"
    families = _binary_families() if binary else _families(train.shape[1], seed)
    found = []
    with Progress("classics", sum(len(candidates) for _, candidates in families), progress) as bar:
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


def _families(dimensions: int, seed: int) -> list[tuple[str, list[_Candidate]]]:
    return [
        ("probabilistic PCA", list(_pca(dimensions))),
        ("factor analysis", list(_factor_analysis(dimensions))),
        ("Gaussian mixture", list(_mixtures(dimensions, seed))),
        ("kernel density", list(_kernels())),
    ]


def _sizes(dimensions: int, most: int) -> list[int]:
    return [d for d in (1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 56, 64, 96, 128) if d < min(dimensions, most)] or [1]


def _pca(dimensions: int) -> Iterator[_Candidate]:
    from sklearn.decomposition import PCA

    for d in _sizes(dimensions, 200):
        yield _candidate(f"{d} components", PCA(d, svd_solver="full"), _pca_split)


def _factor_analysis(dimensions: int) -> Iterator[_Candidate]:
    from sklearn.decomposition import FactorAnalysis

    for d in _sizes(dimensions, 65):
        yield _candidate(f"{d} factors", FactorAnalysis(d), _factor_split)


def _mixtures(dimensions: int, seed: int) -> Iterator[_Candidate]:
    from sklearn.mixture import GaussianMixture

    full = ("full", (5, 10, 20, 40), (1e-4, 1e-3, 3e-3))
    diagonal = ("diag", (20, 40, 80, 120, 160, 240), (1e-4, 1e-3))
    for kind, sizes, floors in (full, diagonal) if dimensions <= _MOST_FULL_DIMENSIONS else (diagonal,):
        for k in sizes:
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


def _binary_families() -> list[tuple[str, list[_Candidate]]]:
    def fit(train: Array) -> _Fitted:
        on = (train.sum(0) + 1.0) / (len(train) + 2.0)
        return _Fitted(
            lambda rows: np.asarray(rows @ np.log(on) + (1 - rows) @ np.log1p(-on)),
            (0.0, float((on * (1 - on)).sum())),
        )

    return [("independent Bernoullis", [_Candidate("one probability per column, rule of succession", fit)])]
