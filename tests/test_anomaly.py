"""The area under the ROC curve against scikit-learn, and its error against repetition and against pairs by hand."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from elbowroom.metrics import auroc
from elbowroom.numerics import InputError


@pytest.mark.parametrize("ties", [False, True])
def test_area_is_that_of_scikit_learn(ties: bool) -> None:
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(0.7, 1, 83), rng.normal(0, 2, 140)
    if ties:
        inside, outside = inside.round(), outside.round()
        inside[:3], outside[:5] = -np.inf, -np.inf
    labels = np.repeat([1, 0], [83, 140])
    expected = roc_auc_score(labels, np.clip(np.concatenate([inside, outside]), -100, 100))
    found = auroc(inside, outside)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.n == 223
    assert auroc(outside, inside).value == pytest.approx(1 - expected, abs=1e-12)
    assert auroc(outside, inside).se == pytest.approx(found.se, rel=1e-12)


def test_error_against_delong_pair_by_pair() -> None:
    rng = np.random.default_rng(1)
    inside, outside = rng.integers(0, 6, 15).astype(float), rng.integers(0, 5, 9).astype(float)
    kernel = [[1.0 if a > b else 0.5 if a == b else 0.0 for b in outside] for a in inside]
    v10, v01 = np.mean(kernel, 1), np.mean(kernel, 0)
    expected = math.sqrt(np.var(v10, ddof=1) / 15 + np.var(v01, ddof=1) / 9)
    assert auroc(inside, outside).se == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("shift", "spread"), [(0.0, 1.0), (0.7, 1.0), (1.0, 2.0)])
def test_area_and_error_of_two_normals(shift: float, spread: float) -> None:
    """The area is Φ(shift / √(1 + spread²)); the stated variance is that of repetition."""
    rng = np.random.default_rng(2)
    found = [auroc(rng.normal(shift, 1, 60), rng.normal(0, spread, 40)) for _ in range(2000)]
    values, stated = np.array([f.value for f in found]), np.array([f.se**2 for f in found])
    assert abs(values.mean() - norm.cdf(shift / math.hypot(1, spread))) < 4 * values.std() / math.sqrt(2000)
    squares = (values - values.mean()) ** 2
    error = math.hypot(squares.std(), stated.std()) / math.sqrt(2000)
    assert abs(stated.mean() - squares.mean()) < 4 * error


def test_what_is_no_score_is_refused() -> None:
    with pytest.raises(InputError, match="outside scores hold NaN"):
        auroc([1.0, 2.0], [0.0, math.nan])
    with pytest.raises(InputError, match="inside scores must be a list of two"):
        auroc([1.0], [0.0, 1.0])
    assert str(auroc([2.0, 3.0], [0.0, 1.0])) == "1 ± 0 (n = 4)"
