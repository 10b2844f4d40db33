"""The semi-supervised classifier for scikit-learn: its contract, labels that are missing, M1 in a pipeline."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import LabelSpreading
from sklearn.utils.estimator_checks import parametrize_with_checks

import elbowroom as er
from elbowroom.sklearn import VAEClassifier, VariationalAutoencoder

FAILS = {"check_classifiers_classes": "its targets are −1 and 1, and −1 says that there is no label"}
rng = np.random.default_rng(0)
Y = rng.integers(0, 3, 120)
X = np.eye(3)[Y] * 4 + rng.normal(size=(120, 3))
QUICK = {"network": (8,), "max_epochs": 12, "learning_rate": 0.02, "random_state": 0}


@parametrize_with_checks(
    [VAEClassifier(1, network=(8,), max_epochs=4, learning_rate=0.05, random_state=0)],
    expected_failed_checks=lambda _: FAILS,
)
def test_scikit_learns_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def few(names: Any = None) -> np.ndarray:
    """Two labels of each class."""
    names = np.arange(3) if names is None else names
    y = np.full(120, "-1" if np.asarray(names).dtype.kind == "U" else -1, dtype=object)
    for code in range(3):
        y[np.flatnonzero(code == Y)[:2]] = names[code]
    return np.array(y.tolist())


@pytest.mark.parametrize("names", [np.array([3, 5, 9]), np.array(["u", "v", "w"]), np.array([-7.0, 0.0, 2.0])])
def test_six_labels_and_the_rows_without_one_are_enough(names: np.ndarray) -> None:
    found = VAEClassifier(**QUICK | {"max_epochs": 25}).fit(X, few(names))
    assert (found.classes_ == names).all()
    assert (found.predict(X) == names[Y]).mean() > 0.92  # measured: 0.95; Bayes' rule 0.99
    p = found.predict_proba(X)
    assert p.sum(1) == pytest.approx(np.ones(120))
    assert (names[p.argmax(1)] == found.predict(X)).all()
    assert found.score(X, names[Y]) == (found.predict(X) == names[Y]).mean()
    assert found.score(X, few(names)) == 1.0  # over the six that have a label


def test_company_does_not_change_a_row_and_a_seed_gives_the_same() -> None:
    one, two = (VAEClassifier(**QUICK).fit(X, few()) for _ in range(2))
    assert (one.predict_proba(X) == two.predict_proba(X)).all()
    assert one.predict_proba(X[5:6])[0] == pytest.approx(one.predict_proba(X)[5], abs=1e-12)
    assert one.score(X, Y, sample_weight=(Y == 0)) == (one.predict(X[Y == 0]) == 0).mean()


def test_rows_outside_the_model_s_support_are_classified_all_the_same() -> None:
    digits = load_digits()
    x, y = digits.data[:150], digits.target[:150]
    assert (x.std(0) == 0).any()  # columns that never vary here do elsewhere
    found = VAEClassifier(4, network=(16,), max_epochs=6, random_state=0).fit(x, y)
    assert found.predict_proba(digits.data[150:300] + 1).shape == (150, 10)
    holes = np.where(rng.random(x.shape) < 0.1, np.nan, x)
    assert np.isfinite(VAEClassifier(2, network=(8,), max_epochs=2).fit(holes, y).predict_proba(holes)).all()
    iris = load_iris()
    scores = cross_val_score(VAEClassifier(**QUICK), iris.data, iris.target, cv=3)
    assert scores.mean() > 0.75  # measured: 0.82, in 12 epochs


def test_m1_is_a_pipeline_of_codes_and_any_classifier() -> None:
    """The transformer learns from all rows, the classifier from those with a label."""
    m1 = VariationalAutoencoder(2, network=(), scale="shared", max_epochs=40, learning_rate=0.05, random_state=0)
    model = make_pipeline(m1, LabelSpreading())
    assert (model.fit(X, few()).predict(X) == Y).mean() > 0.9
    codes = m1.fit_transform(X)
    alone = LogisticRegression().fit(codes[few() >= 0], few()[few() >= 0])
    assert (alone.predict(codes) == Y).mean() > 0.9
    assert clone(model).get_params()["variationalautoencoder__n_components"] == 2


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.full(120, -1), "All labels are missing"),
        (np.where(Y == 0, 4, -1), "one class alone, 4"),
        (Y[:-1], "inconsistent numbers of samples"),
        (Y + 0.5, "continuous"),
    ],
)
def test_labels_that_teach_nothing_are_refused(y: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        VAEClassifier(**QUICK).fit(X, y)


@pytest.mark.parametrize(
    ("missing", "said"), [(np.nan, "nan"), (None, "None"), (pd.NA, "<NA>"), ("", "''"), ("NA", "'NA'")]
)
def test_rows_without_a_label_are_said_by_minus_one_alone(missing: Any, said: str) -> None:
    """None was a TypeError, an empty word a class of its own, and a NaN that was scored a wrong prediction."""
    words = np.array(["u", "v", "w"], dtype=object)[Y % 3]
    model = VAEClassifier(**QUICK).fit(X, words)
    y = words.copy()
    y[3] = missing
    for call in (VAEClassifier(**QUICK).fit, model.score):
        with pytest.raises(er.InputError, match=rf"{said} in row 3 \(counted from 0\); −1 stands for a row without"):
            call(X, y)
    numbers = VAEClassifier(**QUICK).fit(X, Y)
    with pytest.raises(er.InputError, match="nan in row 3"):
        numbers.score(X, np.where(np.arange(len(Y)) == 3, np.nan, Y))


def test_other_misuse_is_said() -> None:
    with pytest.raises(er.InputError, match="weight of 0 or more"):
        VAEClassifier(**QUICK | {"weight": -1}).fit(X, Y)
    found = VAEClassifier(**QUICK | {"max_epochs": 1}).fit(X, Y)
    with pytest.raises(er.InputError, match="no accuracy"):
        found.score(X, np.full(120, -1))
    with pytest.raises(er.InputError, match="infinite"):
        found.predict(np.where(X > 4, np.inf, X))
