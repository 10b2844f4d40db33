"""Normals with few factors, and normals of rows with missing cells: how their settings move."""

from functools import partial
from typing import Any

import numpy as np

from elbowroom.exact import (
    FactorNormal,
    NormalWithGaps,
    PrincipalAxes,
    factors_of_covariance,
    fit_factor_normal,
    fit_normal_with_gaps,
)
from elbowroom.numerics import count

from .candidates import WIDE, Axis, Family, Fitted, Learned, Setting, common_floor, floor_words, floors, once, sizes

__all__ = ["factor_analysis", "gaussian_with_gaps", "probabilistic_pca"]

_MOST_AXES = 500  # of wide rows
_MOST_FACTORS = 400
_NOISES = (1e-6, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)
_SHARES = (0.0, 0.003, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
_MOST_FULL = 100
_LEAST_RIDGE = 1e-6


def probabilistic_pca(rows: int, dimensions: int) -> Family:
    """Probabilistic PCA with any number of components.

    Parameters
    ----------
    rows, dimensions : int
        Of the training data.

    Returns
    -------
    Family
        Its setting is (components,).
    """
    axes = once(_principal_axes)
    most = max(min(rows, dimensions, _MOST_AXES if dimensions > WIDE else dimensions) - 1, 1)
    wide = f"of {dimensions:,} columns no more than {_MOST_AXES} axes are computed" if most == _MOST_AXES - 1 else None

    def fit(setting: Setting, train: Learned) -> Fitted:
        return of_factors(axes(train).cut(min(setting[0], train.dimensions - 1)))

    return Family(
        "probabilistic PCA",
        (Axis("components", sizes(most), (None, wide)),),
        ((min(8, most),), (min(64, most),)),
        fit,
        lambda setting: count(setting[0], "component"),
        copied=False,
    )


def _principal_axes(train: Learned) -> PrincipalAxes:
    if train.dimensions > WIDE:
        return PrincipalAxes.of(train.rows, min(_MOST_AXES, *train.rows.shape))
    moments = train.moments
    return PrincipalAxes.of_covariance(moments.mean, moments.covariance, _rank(train))


def _rank(train: Learned) -> int:
    """How many directions vary: the rows' number where noise of a known variance fills no others."""
    known = train.noise is not None and bool((train.noise > 0).all())
    rows = train.moments.rows if train.centres is None else len(train.centres)
    return train.dimensions if known else min(rows, train.dimensions)


def factor_analysis(learned: Learned) -> Family:
    """Factor analysis with any number of factors, and a floor under the noise.

    Parameters
    ----------
    learned : Learned
        The training rows.

    Returns
    -------
    Family
        Its setting is (factors, floor, common floor), or (factors,) of a wide table.
    """
    rows, dimensions = learned.n, learned.dimensions
    most = max(min(rows - 1, dimensions - 1, _MOST_FACTORS), 1)
    ends = (None, f"no more than {_MOST_FACTORS} factors are tried" if most == _MOST_FACTORS else None)
    if dimensions > WIDE:
        axes = once(_principal_axes)
        return Family(
            "factor analysis",
            (Axis("factors", [d for d in sizes(64)[::2] if d <= most], (None, "more would take too long")),),
            ((min(5, most),),),
            lambda setting, train: _by_blocks(axes(train), setting[0], train),
            lambda setting: count(setting[0], "factor"),
            lambda setting: 50 * 3 * rows * dimensions * setting[0] / 1e9,
        )
    return Family(
        "factor analysis",
        (Axis("factors", sizes(most), ends), Axis("noise", _NOISES), common_floor(learned)),
        ((min(4, most), 1e-3, 3e-4), (min(32, most), 1e-3, 3e-4)),
        _Factors(),
        lambda setting: f"{count(setting[0], 'factor')}, a column's noise {floor_words(*setting[1:])} or more",
        lambda setting: 10 * dimensions**2 * (dimensions + 2 * setting[0]) / 1e9,
        copied=False,
    )


class _Factors:
    """Fits factor analysis; of the same rows each fit begins where the last one with the same floor ended."""

    def __init__(self) -> None:
        self._ended = once(lambda train: {})

    def __call__(self, setting: Setting, train: Learned) -> Fitted:
        factors, *floor = setting
        moments, ended = train.moments, self._ended(train)
        start = ended.get(tuple(floor))
        fit = partial(factors_of_covariance, moments.mean, moments.covariance, factors)
        model = fit(floor=floors(train, *floor), start=start, steps=_steps(train))
        ended[tuple(floor)] = model.noise

        def floored(least: float) -> Any:
            share = least / float(np.diag(moments.covariance).max())
            bare = fit(floor=min(share, 1.0), start=model.noise, steps=_steps(train))
            return bare.floored(least).log_prob

        return of_factors(model, floored)


def _steps(train: Learned) -> int:
    return 200 if train.dimensions <= _MOST_FULL else 30


def _by_blocks(axes: PrincipalAxes, factors: int, train: Learned) -> Fitted:
    return of_factors(fit_factor_normal(train.rows, axes.cut(factors)))


def of_factors(model: FactorNormal, floored: Any = None) -> Fitted:
    """A normal with factors as a fitted density.

    Parameters
    ----------
    model : FactorNormal
        The normal.
    floored : callable, optional
        The same fitted with a least noise; by default its noise is raised to that.

    Returns
    -------
    Fitted
        The density.
    """
    split = float(np.square(model.loadings).sum()), float(model.noise.sum())
    return Fitted(model.log_prob, split, floored or (lambda least: model.floored(least).log_prob))


def gaussian_with_gaps(dimensions: int) -> list[Family]:
    """A normal with any covariance, of rows of which cells are missing.

    Parameters
    ----------
    dimensions : int
        Columns.

    Returns
    -------
    list of Family
        One, or none where there are too many columns.
    """
    if not 1 < dimensions <= _MOST_FULL:
        return []
    fitted = once(lambda train: fit_normal_with_gaps(train.rows))
    axis = Axis("shrinkage", _SHARES)
    words = "correlations times {:g}"
    return [
        Family(
            "Gaussian with missing cells",
            (axis,),
            ((0.0,), (0.1,)),
            lambda setting, train: _shrunk(fitted(train), setting[0], train),
            lambda setting: words.format(1 - setting[0]),
        )
    ]


def _shrunk(whole: NormalWithGaps, share: float, train: Learned) -> Fitted:
    total = float(np.trace(whole.covariance))

    def floored(least: float) -> Any:
        ridge = least * train.dimensions / total
        return fit_normal_with_gaps(train.rows, ridge=ridge, start=whole).shrunk(share).log_prob

    return Fitted(whole.shrunk(share).log_prob, (0.0, total), floored)
