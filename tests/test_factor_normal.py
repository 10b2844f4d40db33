"""Densities without a columns × columns matrix against scikit-learn's and SciPy's, which build it."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.neighbors import KernelDensity

from elbowroom.exact import FactorNormal, Kernels, PrincipalAxes, ProbabilisticPCA, fit_factor_normal
from elbowroom.numerics import InputError

SHAPES = {"tall": (300, 8), "square": (60, 60), "fewer rows than columns": (40, 300), "wide": (400, 300)}


def rows(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n, columns = shape
    x = rng.normal(size=(n, 3)) @ rng.normal(size=(3, columns))
    return x + rng.uniform(0.3, 1.0, columns) * rng.normal(size=shape) + 5.0


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_one_decomposition_is_scikit_learns_pca_of_every_size(shape) -> None:
    x, held_out = rows(shape), rows(shape)[:9] + 0.1
    axes = PrincipalAxes.of(x, 7)
    for d in (0, 1, 3, 7):
        model = axes.cut(d)
        if d:
            ours = ProbabilisticPCA.fit(x, d).marginal.log_prob(torch.from_numpy(held_out))
            np.testing.assert_allclose(model.log_prob(held_out), ours.numpy(), rtol=1e-9)
        if d and shape[0] > shape[1]:  # with fewer rows scikit-learn's noise is no maximum of the likelihood
            theirs = PCA(d, svd_solver="full").fit(x)
            np.testing.assert_allclose(model.log_prob(held_out), theirs.score_samples(held_out), rtol=1e-9)
        dense = np.diag(model.noise) + model.loadings.T @ model.loadings
        expected = stats.multivariate_normal(model.mean, dense).logpdf(held_out)
        np.testing.assert_allclose(model.log_prob(held_out), expected, rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_factors_score_as_scikit_learns_do(shape) -> None:
    x, held_out = rows(shape), rows(shape)[:9] - 0.2
    theirs = FactorAnalysis(3, tol=1e-3).fit(x)
    model = FactorNormal(theirs.mean_, theirs.components_, theirs.noise_variance_)
    np.testing.assert_allclose(model.log_prob(held_out), theirs.score_samples(held_out), rtol=1e-9)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_factors_by_blocks_reach_scikit_learns_maximum(kind) -> None:
    x = rows((300, 12)).astype(kind)
    model = fit_factor_normal(x, PrincipalAxes.of(x, 3).cut(3), steps=2_000)
    theirs = FactorAnalysis(3, tol=1e-8, max_iter=5_000, svd_method="lapack").fit(x.astype(np.float64))
    assert model.log_prob(x).mean() == pytest.approx(theirs.score(x.astype(np.float64)), abs=2e-3)
    scores = [fit_factor_normal(x, PrincipalAxes.of(x, 3).cut(3), steps=k).log_prob(x).mean() for k in range(1, 8)]
    assert min(np.diff(scores)) > -1e-5


def test_blocks_change_nothing(monkeypatch) -> None:
    x = rows((50, 70))
    axes = PrincipalAxes.of(x, 4)
    whole = axes.cut(4).log_prob(x), fit_factor_normal(x, axes.cut(4)).noise, Kernels(x).log_prob(x[:5], 0.3)
    monkeypatch.setattr("elbowroom.exact.factor_normal._CELLS_AT_ONCE", 500)
    monkeypatch.setattr("elbowroom.exact.kernels._CELLS_AT_ONCE", 500)
    axes = PrincipalAxes.of(x, 4)
    parts = axes.cut(4).log_prob(x), fit_factor_normal(x, axes.cut(4)).noise, Kernels(x).log_prob(x[:5], 0.3)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize("shape", [(200, 3), (50, 120)])
def test_kernels_are_scikit_learns(shape) -> None:
    x, held_out = rows(shape), rows(shape)[:20] + 0.05
    kernels = Kernels(x)
    for h in (0.05, 0.3, 1.0):
        theirs = KernelDensity(bandwidth=h, rtol=0, atol=0, algorithm="ball_tree").fit(x).score_samples(held_out)
        np.testing.assert_allclose(kernels.log_prob(held_out, h), theirs, rtol=1e-8)
    assert kernels.variance == pytest.approx(x.var(0).sum())


def test_no_variance_left_is_no_density() -> None:
    x = rows((6, 4))
    x[:, 3] = x[:, 0]
    with pytest.raises(InputError, match="no variance is left"):
        PrincipalAxes.of(x, 3).cut(3)
    with pytest.raises(InputError, match="no noise"):
        FactorNormal(np.zeros(2), np.ones((1, 2)), np.array([1.0, 0.0]))
