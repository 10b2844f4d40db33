"""Scores of predicted probabilities, against scikit-learn's and against what is planted."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

import elbowroom as er
from elbowroom.metrics import Score, UnlabelledGain, brier_score, doubtful_labels, log_score, reliability

rng = np.random.default_rng(0)
P = rng.dirichlet([1.0, 0.7, 0.5], 400)
Y = np.array([rng.choice(3, p=p) for p in P])


def test_scores_are_scikit_learns() -> None:
    assert log_score(P, Y).value == pytest.approx(log_loss(Y, P), rel=1e-12)
    binary = np.c_[1 - P[:, 0], P[:, 0]]
    hit = (Y == 0).astype(int)
    assert brier_score(binary, hit).value == pytest.approx(2 * brier_score_loss(hit, P[:, 0]), rel=1e-12)
    assert brier_score(P, Y).value == pytest.approx(np.square(P - np.eye(3)[Y]).sum(1).mean(), rel=1e-12)
    spread = np.std(-np.log(P[np.arange(400), Y]), ddof=1) / 20
    assert log_score(P, Y).se == pytest.approx(spread, rel=1e-12)


@pytest.mark.parametrize(("by", "strategy"), [("width", "uniform"), ("count", "quantile")])
def test_the_reliability_curve_is_scikit_learns(by: str, strategy: str) -> None:
    found = reliability(P, Y, by=by)
    top, right = P.max(1), P.argmax(1) == Y
    accuracy, confidence = calibration_curve(right, top, n_bins=10, strategy=strategy)
    assert found.accuracy == pytest.approx(accuracy, abs=0.02 if by == "count" else 1e-12)
    assert found.confidence == pytest.approx(confidence, abs=0.02 if by == "count" else 1e-11)
    by_hand = sum(n * abs(a - c) for a, c, n in zip(found.accuracy, found.confidence, found.n, strict=True)) / 400
    assert found.error == pytest.approx(by_hand, abs=1e-12)


def test_calibrated_probabilities_are_within_chance_and_exaggerated_ones_are_not() -> None:
    """Y is drawn from P, so P is calibrated; its cube is too sure."""
    sharp = P**3 / (P**3).sum(1, keepdims=True)
    fair, sure = reliability(P, Y), reliability(sharp, Y)
    assert fair.p_value > 0.05
    assert abs(fair.error - fair.by_chance) < 0.03
    assert sure.p_value < 0.01
    assert sure.error > 3 * sure.by_chance
    assert "more than chance" in str(sure)
    assert log_score(P, Y).value < log_score(sharp, Y).value


def test_rows_that_are_as_sure_stay_in_one_bin() -> None:
    """Cut by their places, 90 of 100 right at 0.9 looked miscalibrated where rows were sorted by label."""
    found = reliability([[0.9, 0.1]] * 100, [0] * 90 + [1] * 10, by="count")
    assert found.error == pytest.approx(0.0, abs=1e-12)
    assert found.n == (100,)


def test_swapped_labels_are_found_by_who_is_sure() -> None:
    y = rng.integers(0, 2, 300)
    p = np.where(np.eye(2)[y] > 0, 0.98, 0.02)
    noisy = y.copy()
    noisy[[3, 50, 200]] = 1 - y[[3, 50, 200]]
    assert sorted(doubtful_labels(p, noisy)) == [3, 50, 200]
    noisy[3] = -1
    assert sorted(doubtful_labels(p, noisy)) == [50, 200]
    assert doubtful_labels(p, noisy, sure=0.99) == []
    assert doubtful_labels(p, np.full(300, -1)) == []


def test_a_class_held_impossible_costs_an_infinity() -> None:
    found = log_score([[1.0, 0.0], [0.5, 0.5]], [1, 1])
    assert found.value == np.inf
    assert np.isnan(found.se)
    assert str(reliability([[1.0, 0.0]], [0])).startswith("calibration error 0.000")


@pytest.mark.parametrize(
    ("p", "y", "said"),
    [
        ([0.5, 0.5], [0, 1], "rows of two classes or more"),
        ([[0.5, 0.6]], [0], "each row adds to 1"),
        ([[np.nan, 1.0]], [0], "each row adds to 1"),
        ([[0.5, 0.5]], [0, 1], r"1 rows of probabilities and labels of shape \(2,\)"),
        ([[0.5, 0.5]], ["a"], "Labels are codes here"),
        ([[0.5, 0.5]], [0.5], "Labels are codes here"),
        ([[0.5, 0.5]], [2], "hold class 2 and there are columns for 0 … 1: leave out rows of classes"),
        ([[0.5, 0.5]], [-1], "hold class -1"),
        (np.zeros((0, 2)), [], "rows of two classes or more"),
    ],
)
def test_what_are_no_probabilities_is_said(p: object, y: object, said: str) -> None:
    for score in (log_score, brier_score, reliability):
        with pytest.raises(er.InputError, match=said):
            score(p, y)


def test_numbers_out_of_range_are_refused() -> None:
    for call, said in (
        (lambda: reliability(P, Y, bins=0), "bins of 1 or more"),
        (lambda: doubtful_labels(P, Y, sure=0.2), "from 0.5 to 1"),
        (lambda: reliability(P, Y, by="size"), "by"),
    ):
        with pytest.raises(er.InputError, match=said):
            call()


def test_the_figure_holds_the_curve_and_the_line_of_calibration() -> None:
    from elbowroom import plots

    found = reliability(P, Y)
    ax = plots.reliability({"M2": found})
    curve, diagonal = ax.get_lines()
    assert np.array(curve.get_xydata()) == pytest.approx(np.c_[found.confidence, found.accuracy])
    assert np.array(diagonal.get_xydata()).tolist() == [[0.0, 0.0], [1.0, 1.0]]
    assert f"error {found.error:.3f}" in curve.get_label()
    with pytest.raises(er.InputError, match="one curve or more"):
        plots.reliability({})


def test_one_labelled_row_proves_nothing_of_unlabelled_ones() -> None:
    right, wrong, change = (Score(value, np.nan, 1) for value in (1.0, 0.0, -1.0))
    assert UnlabelledGain(wrong, right, change).remark.endswith(
        "on 1 labelled validation row, which is within its error."
    )
