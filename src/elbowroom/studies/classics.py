"""The families of classics and their settings: scikit-learn's densities, or latent classes. They see arrays alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.exact import fit_latent_classes
from elbowroom.numerics import Support

__all__ = ["Array", "Candidate", "Fitted", "class_families", "families"]

Array = NDArray[np.float64]
Scores = Callable[[Array], Array]
Split = tuple[float, float]  # Var E[x | z], E Var[x | z]

_MOST_FULL_DIMENSIONS = 100
_CLASSES = (2, 3, 4, 6, 8, 12, 16, 24, 32)
_MOST_ELEMENTS = 2_000_000  # of training rows × columns: beyond, fewer numbers of latent classes are tried


@dataclass(frozen=True)
class Fitted:
    """A fitted density.

    Attributes
    ----------
    scores : callable
        Rows [n, dimensions] to log-densities [n], in nats.
    split : (float, float)
        Var E[x | z] and E Var[x | z], summed over dimensions.
    """

    scores: Scores
    split: Split


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
    return [
        ("probabilistic PCA", list(_pca(rows, dimensions))),
        ("factor analysis", list(_factor_analysis(rows, dimensions))),
        ("Gaussian mixture", list(_mixtures(rows, dimensions, seed))),
        ("kernel density", list(_kernels())),
    ]


def _sizes(rows: int, dimensions: int, most: int) -> list[int]:
    sizes = (1, 2, 4, 8, 12, 16, 20, 24, 32, 40, 48, 56, 64, 96, 128)
    return [d for d in sizes if d < min(rows, dimensions, most)] or [1]


def _pca(rows: int, dimensions: int) -> Iterator[Candidate]:
    from sklearn.decomposition import PCA

    for d in _sizes(rows, dimensions, 200):
        yield _candidate(f"{d} components", PCA(d, svd_solver="full"), _pca_split)


def _factor_analysis(rows: int, dimensions: int) -> Iterator[Candidate]:
    from sklearn.decomposition import FactorAnalysis

    for d in _sizes(rows, dimensions, 65):
        yield _candidate(f"{d} factors", FactorAnalysis(d), _factor_split)


def _mixtures(rows: int, dimensions: int, seed: int) -> Iterator[Candidate]:
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


def _kernels() -> Iterator[Candidate]:
    from sklearn.neighbors import KernelDensity

    for bandwidth in (0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.5, 0.7, 1.0):
        yield _candidate(f"Gaussian kernel, bandwidth {bandwidth:g}", KernelDensity(bandwidth=bandwidth), _kernel_split)


def _candidate(setting: str, model: Any, split: Callable[[Any, Array], Split]) -> Candidate:
    def fit(train: Array) -> Fitted:
        fitted = model.fit(train)
        return Fitted(
            lambda rows: np.asarray(fitted.score_samples(rows), dtype=np.float64),
            split(fitted, train),
        )

    return Candidate(setting, fit)


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


def class_families(supports: Sequence[Support], train: Array, seed: int) -> list[tuple[str, list[Candidate]]]:
    """Models of columns that are not all real numbers.

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
    different = len(np.unique(train, axis=0))
    sizes = [k for k in _CLASSES if 2 * k <= different] or [1]
    sizes = sizes[::2] if train.size > _MOST_ELEMENTS else sizes
    alone = Candidate(
        "a table, a normal or a negative binomial per column, as its kind asks", _latent_classes(supports, 1, seed)
    )
    grouped = [Candidate(f"{k} classes", _latent_classes(supports, k, seed)) for k in sizes]
    return [("independence model", [alone]), ("latent class model", grouped)]


def _latent_classes(supports: Sequence[Support], classes: int, seed: int) -> Callable[[Array], Fitted]:
    def fit(train: Array) -> Fitted:
        model = fit_latent_classes(train, supports, classes, seed=seed)
        return Fitted(model.log_prob, (model.between, model.within))

    return fit
