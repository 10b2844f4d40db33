"""The normal with missing cells against SciPy, a direct search for the maximum, and what it reduces to without gaps."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize

from elbowroom.exact import NormalWithGaps, fit_normal_with_gaps

COVARIANCE = np.array([[2.0, 0.9, -0.3], [0.9, 1.0, 0.2], [-0.3, 0.2, 0.5]])
MEAN = np.array([1.0, -2.0, 0.5])


def rows(n: int, share: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.multivariate_normal(MEAN, COVARIANCE, n)
    return np.where(rng.random(x.shape) < share, np.nan, x)


def test_a_row_scores_the_marginal_of_its_seen_cells() -> None:
    model, x = NormalWithGaps(MEAN, COVARIANCE), rows(40, 0.4)
    for row, found in zip(x, model.log_prob(x), strict=True):
        seen = ~np.isnan(row)
        expected = 0.0
        if seen.any():
            expected = stats.multivariate_normal(MEAN[seen], COVARIANCE[np.ix_(seen, seen)]).logpdf(row[seen])
        assert found == pytest.approx(expected, abs=1e-10)


def test_without_gaps_it_is_the_mean_and_the_covariance() -> None:
    x = rows(200, 0.0)
    model = fit_normal_with_gaps(x)
    np.testing.assert_allclose(model.mean, x.mean(0))
    np.testing.assert_allclose(model.covariance, np.cov(x, rowvar=False, ddof=0), rtol=1e-5, atol=1e-6)


def test_the_fit_is_the_maximum_that_a_search_finds() -> None:
    x = rows(60, 0.3)[:, :2]
    x = x[~np.isnan(x).all(1)]
    model = fit_normal_with_gaps(x, ridge=1e-9, steps=500)

    def loss(p: np.ndarray) -> float:
        root = np.array([[np.exp(p[2]), 0.0], [p[3], np.exp(p[4])]])
        return -float(NormalWithGaps(p[:2], root @ root.T).log_prob(x).mean())

    best = minimize(loss, np.zeros(5), method="BFGS").fun
    assert -model.log_prob(x).mean() == pytest.approx(best, abs=2e-4)


def test_every_step_gains() -> None:
    x = rows(80, 0.4)
    scores = [fit_normal_with_gaps(x, steps=steps).log_prob(x).mean() for steps in range(1, 10)]
    assert min(np.diff(scores)) > -1e-9


def test_shrinking_keeps_the_variances() -> None:
    shrunk = NormalWithGaps(MEAN, COVARIANCE).shrunk(0.25)
    np.testing.assert_allclose(np.diag(shrunk.covariance), np.diag(COVARIANCE))
    assert shrunk.covariance[0, 1] == pytest.approx(0.75 * 0.9)
