"""Mixtures of normals and of factor analysers: how their settings move."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from elbowroom.exact import (
    FactorMixture,
    NormalMixture,
    fit_factor_mixture,
    fit_latent_classes,
    fit_normal_mixture,
)
from elbowroom.exact.normal_mixture import k_means
from elbowroom.numerics import Support, count

from .candidates import (
    WIDE,
    Array,
    Axis,
    Family,
    Fitted,
    Learned,
    Scores,
    Setting,
    common_floor,
    floor_words,
    floors,
    once,
    sizes,
)

__all__ = ["factor_mixture", "gaussian_mixture"]

_MOST_FULL = 100  # columns with full covariances
_MOST_COMPONENTS, _MOST_OF_WIDE = 1_000, 32
_FLOORS = (1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 2e-2, 4e-2, 0.07, 0.12, 0.2, 0.5, 1.0)
_COMMON = 3e-4  # the common floor that the search sets out from, where columns vary unlike
_TURNS = (0.0, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95, 1.0)
_STEPS, _MORE_STEPS = 100, 5  # of EM, on one copy of the rows and then on all
_PER_COMPONENT = 1e6  # multiplications, what a step costs beside its arithmetic
_USUAL_STEPS = 25  # that EM takes until it ends, for what a fit is estimated to cost
_FEW_CELLS, _RESTARTS = 20_000, 3  # rows × columns, up to which EM begins from several places
_BARE = 1e-10  # the floor that a mixture is fitted with once more where it is asked what holds its variances up


def gaussian_mixture(learned: Learned, seed: int) -> Family:
    """Mixtures of normals with covariances from full to diagonal, and from one each to one for all.

    Parameters
    ----------
    learned : Learned
        The training rows.
    seed : int
        Of where expectation–maximisation begins.

    Returns
    -------
    Family
        Its setting is (components, floor, pooled, uncorrelated, common floor); of a wide table (components,).
    """
    rows, dimensions = learned.n, learned.dimensions
    if dimensions > WIDE:
        return _diagonal_and_wide(rows, dimensions, seed)
    most = max(min(rows // 2, _MOST_COMPONENTS), 1)
    top = f"no more than {_MOST_COMPONENTS:,} components are tried" if most == _MOST_COMPONENTS else None
    full = dimensions <= _MOST_FULL
    axes = (
        Axis("components", sizes(most), (None, top or "more would leave components of one row")),
        Axis("floor", _FLOORS, ("a lower floor would be rounding", None)),
        Axis("pooled", _TURNS),
        Axis("uncorrelated", _TURNS if full else (1.0,)),
        common_floor(learned),
    )
    starts = tuple((k, 1e-2, pooled, 0.0, _COMMON) for k, pooled in ((2, 0.0), (5, 0.0), (3, 1.0))) if full else ()
    several = _RESTARTS if rows * dimensions <= _FEW_CELLS else 1
    begun = once(lambda train: _Groups(train, seed, several))

    def fit(setting: Setting, train: Learned) -> Fitted:
        return _fitted(setting, train, begun(train))

    def cost(setting: Setting) -> float:
        k, _, _, uncorrelated, _ = setting
        step = 4 * dimensions if uncorrelated == 1 else dimensions**2
        return _USUAL_STEPS * several * k * (rows * (step + 10) + _PER_COMPONENT) / 1e9

    return Family(
        "Gaussian mixture", axes, (*starts, (min(20, most), 1e-2, 0.0, 1.0, _COMMON)), fit, _words, cost, halved=True
    )


def _words(setting: Setting) -> str:
    k, floor, pooled, uncorrelated, common = setting
    kind = {0.0: "full", 1.0: "diagonal"}.get(uncorrelated, f"correlations times {1 - uncorrelated:g} in the")
    shared = {0.0: "", 1.0: ", the same for all"}.get(pooled, f", {pooled:g} of the way to the same for all")
    floored = f"{floor_words(floor, common)} added to its diagonal"
    return f"{count(k, 'component')}, {kind} covariance{shared if k > 1 else ''}, {floored}"


class _Groups:
    """Where expectation–maximisation begins on some rows: clusters by k-means, kept for all floors and shapes."""

    def __init__(self, train: Learned, seed: int, several: int) -> None:
        self.rows, self.seeds = train.rows[: train.n], range(seed, seed + several)
        self.kept: dict[int, list[Any]] = {}

    def __call__(self, components: int) -> list[Any]:
        """The cluster of each row [n], from every seed."""
        if components not in self.kept:
            seeds = self.seeds if components > 1 else self.seeds[:1]
            self.kept[components] = [k_means(self.rows, components, seed) for seed in seeds]
        return self.kept[components]


def _likeliest(models: Iterable[Any], rows: Array) -> Any:
    """The model under which the rows are likeliest; the one that there is."""
    found = list(models)
    return found[0] if len(found) == 1 else max(found, key=lambda model: float(model.log_prob(rows).mean()))


def _fitted(setting: Setting, train: Learned, groups: _Groups) -> Fitted:
    k, share, pooled, uncorrelated, common = setting
    floor = floors(train, share, common)
    about: dict[str, Any] = {"pooled": pooled, "uncorrelated": uncorrelated}
    begun = (fit_normal_mixture(groups.rows, k, floor=floor, groups=one, steps=_STEPS, **about) for one in groups(k))
    model = _likeliest(begun, groups.rows)
    if train.copies > 1:
        model = fit_normal_mixture(train.rows, k, floor=floor, start=model, steps=_MORE_STEPS, **about)
    return Fitted(model.log_prob, (model.between, model.within), _Bare(model, train, **about))


def _diagonal_and_wide(rows: int, dimensions: int, seed: int) -> Family:
    supports = (Support("real"),) * dimensions
    most = max(min(rows // 2, _MOST_OF_WIDE), 1)

    def fit(setting: Setting, train: Learned) -> Fitted:
        model = fit_latent_classes(train.rows, supports, setting[0], seed=seed)
        return Fitted(model.log_prob, (model.between, model.within))

    return Family(
        "Gaussian mixture",
        (Axis("components", sizes(most)[::2] or [1], (None, "more would take too long")),),
        ((min(4, most),),),
        fit,
        lambda s: f"{count(s[0], 'component')}, diagonal covariance, a thousandth of its column's variance or more",
        lambda setting: 30 * 6 * rows * dimensions * setting[0] / 1e9,
    )


def factor_mixture(learned: Learned, seed: int) -> Family:
    """Mixtures of factor analysers, between full and diagonal covariances.

    Parameters
    ----------
    learned : Learned
        The training rows.
    seed : int
        Of where expectation–maximisation begins.

    Returns
    -------
    Family
        Its setting is (components, factors, floor, common floor).
    """
    rows, dimensions = learned.n, learned.dimensions
    most = max(min(rows // 4, 200), 1)
    more = max(min(dimensions - 1, 64), 1)
    axes = (
        Axis("components", sizes(most)),
        Axis("factors", sizes(more), (None, "no more than 64 factors are tried" if more == 64 else None)),
        Axis("floor", _FLOORS, ("a lower floor would be rounding", None)),
        common_floor(learned),
    )
    begun = once(lambda train: _Groups(train, seed, 1))

    def fit(setting: Setting, train: Learned) -> Fitted:
        k, factors, share, common = setting
        groups, floor = begun(train), floors(train, share, common)
        model = fit_factor_mixture(groups.rows, k, factors, floor=floor, groups=groups(k)[0])
        if train.copies > 1:
            model = fit_factor_mixture(train.rows, k, factors, floor=floor, start=model, steps=_MORE_STEPS)
        return Fitted(model.log_prob, (model.between, model.within), _Bare(model, train))

    def cost(setting: Setting) -> float:
        k, factors, _, _ = setting
        step = dimensions * (k * (factors + 2) + 4 * factors)
        return _USUAL_STEPS * (rows * step + 5 * k * _PER_COMPONENT) / 1e9

    begin = ((2, 8, 1e-3), (10, 6, 1e-2), *(((20, 12, 3e-3),) if dimensions > _MOST_FULL else ()))
    return Family(
        "mixture of factor analysers",
        axes,
        tuple((min(k, most), min(factors, more), share, _COMMON) for k, factors, share in begin),
        fit,
        _words_of_factors,
        cost,
        halved=True,
    )


def _words_of_factors(setting: Setting) -> str:
    k, factors, share, common = setting
    of_each = f"{count(factors, 'factor')} each, {floor_words(share, common)} added to its noise"
    return f"{count(k, 'component')} of {of_each}"


class _Bare:
    """The normals of a mixture with next to no floor, where expectation–maximisation leads to from a mixture."""

    def __init__(self, model: NormalMixture | FactorMixture, train: Learned, **shape: Any) -> None:
        self.model, self.train, self.shape = model, train, shape
        self.fitted: NormalMixture | None = None

    def __call__(self, least: float) -> Scores:
        """The scores with a least variance added."""
        if self.fitted is None:
            start = self.model if isinstance(self.model, NormalMixture) else self._of_factors(self.model)
            shape: dict[str, Any] = self.shape or {"uncorrelated": float(start.diagonal)}
            rows, k = self.train.rows, len(start.weights)
            self.fitted = fit_normal_mixture(rows, k, floor=_BARE, start=start, steps=50, **shape)
        return self.fitted.widened(least).log_prob

    def _of_factors(self, model: FactorMixture) -> NormalMixture:
        means = np.stack([part.mean for part in model.parts])
        if self.train.dimensions > _MOST_FULL:
            variances = [np.square(part.loadings).sum(0) + part.noise for part in model.parts]
            return NormalMixture(model.weights, means, np.stack(variances))
        full = [part.loadings.T @ part.loadings + np.diag(part.noise) for part in model.parts]
        return NormalMixture(model.weights, means, np.stack(full))
