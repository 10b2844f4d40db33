"""Scores of disentanglement on representations that were built, so that their answers are known."""

import numpy as np
import pytest
from scipy import stats
from sklearn.feature_selection import mutual_info_classif
from sklearn.metrics import mutual_info_score

from elbowroom.metrics import dci, factor_vae_score, mutual_information_gap, sap
from elbowroom.numerics import InputError

rng = np.random.default_rng(0)
N = 3_000
FACTORS = np.column_stack([rng.integers(0, levels, N) for levels in (3, 4, 6)])
NOISE = rng.normal(size=(N, 3))
PURE = {
    "identity": FACTORS.astype(float),
    "permuted": FACTORS[:, [2, 0, 1]],
    "flipped": -FACTORS.astype(float),
    "scaled": FACTORS * [1e-6, 1.0, 1e6] + [5.0, 0.0, -3.0],
    "beside a constant": np.c_[np.full(N, 0.3), FACTORS],
}


@pytest.mark.parametrize("codes", PURE.values(), ids=PURE)
def test_a_code_for_every_factor_has_the_top_score(codes) -> None:
    for found in (mutual_information_gap(codes, FACTORS), sap(codes, FACTORS, classes=[0])):
        np.testing.assert_allclose(found.by_factor, 1.0, atol=0.03)
        assert found.value > 0.98
    assert factor_vae_score(codes, FACTORS, votes=400).value == 1.0
    found = dci(codes[:1000], FACTORS[:1000], trees=5)
    assert min(found.disentanglement, found.completeness) > 0.95
    assert found.informativeness.value == 1.0


def test_codes_that_know_nothing_are_at_chance() -> None:
    gap, line, votes = mutual_information_gap(NOISE, FACTORS), sap(NOISE, FACTORS), factor_vae_score(NOISE, FACTORS)
    bias = 19 * (np.array([3, 4, 6]) - 1) / (2 * N)  # of a table of counts, in nats, alike for all codes
    assert (gap.table.mean(0) / bias).tolist() == pytest.approx([1, 1, 1], abs=0.45)
    assert gap.value < 0.01
    assert line.value < 5 * line.se
    assert abs(votes.value - 1 / 3) < 4 * votes.se
    told = dci(NOISE, FACTORS, trees=10).informativeness
    assert told.value < 4 * told.se


def test_constant_codes_say_nothing() -> None:
    constant = np.full((N, 2), 0.7)
    assert mutual_information_gap(constant, FACTORS).value == 0.0
    assert sap(constant, FACTORS, classes=[1]).value == 0.0
    found = dci(constant, FACTORS, trees=2)
    assert (found.disentanglement, found.completeness, found.importances.sum()) == (0.0, 0.0, 0.0)
    votes = factor_vae_score(constant, FACTORS)
    assert abs(votes.value - 1 / 3) < 4 * votes.se


def test_two_factors_that_are_turned_by_45_degrees_fall_as_far_as_they_must() -> None:
    """Both codes say as much of either factor: gaps are 0, importances a half, and the votes guess between two."""
    both = rng.integers(0, 6, (N, 2))
    turned = both @ np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
    assert abs(mutual_information_gap(turned, both).value) < 0.03
    assert abs(sap(turned, both).value) < 0.05
    np.testing.assert_allclose(sap(turned, both).table, 0.5, atol=0.04)
    found = dci(turned, both, trees=20)
    assert max(found.disentanglement, found.completeness) < 0.02
    assert found.informativeness.value > 0.9
    votes = factor_vae_score(turned, both)
    assert abs(votes.value - 0.5) < 0.1


def test_a_factor_in_two_codes_costs_the_gap_and_completeness_and_nothing_else() -> None:
    twice = np.c_[FACTORS, FACTORS[:, 0]]
    gap, line = mutual_information_gap(twice, FACTORS), sap(twice, FACTORS)
    assert gap.by_factor.tolist() == pytest.approx([0, 1, 1], abs=0.01)
    assert line.by_factor.tolist() == pytest.approx([0, 1, 1], abs=0.02)
    found = dci(twice, FACTORS, trees=40)
    assert found.disentanglement > 0.95
    split = found.importances[[0, 3], 0]
    assert found.completeness == pytest.approx(1 - (stats.entropy(split) / np.log(4)) / 3, abs=0.02)
    assert factor_vae_score(twice, FACTORS, votes=400).value == 1.0


def test_two_factors_in_one_code_cost_disentanglement_and_votes_but_not_the_gap() -> None:
    """One code holds two factors as the digits of one number, and another the third; a code of noise stands beside."""
    codes = np.c_[4 * FACTORS[:, 0] + FACTORS[:, 1], FACTORS[:, 2], NOISE[:, 0]]
    gap = mutual_information_gap(codes, FACTORS)
    assert gap.value > 0.95
    found = dci(codes, FACTORS, trees=20)
    assert found.importances[0, :2].min() > 0.9
    shares = found.importances[0] / found.importances[0].sum()
    assert 1 - stats.entropy(shares) / np.log(3) == pytest.approx(1 - np.log(2) / np.log(3), abs=0.05)
    scaled = FACTORS / FACTORS.std(0)
    votes = factor_vae_score(np.c_[scaled[:, 0] + scaled[:, 1], FACTORS[:, 2]], FACTORS)
    assert votes.value == pytest.approx(2 / 3, abs=4 * votes.se)  # whichever of two is held, the same code is named


def test_a_single_factor_and_a_single_code() -> None:
    one, code = FACTORS[:, :1], FACTORS[:, :1] + 0.1 * NOISE[:, :1]
    assert mutual_information_gap(one, one).value == pytest.approx(1.0)
    assert factor_vae_score(code, one).value == 1.0
    assert sap(code, one).value == pytest.approx(np.corrcoef(code[:, 0], one[:, 0])[0, 1] ** 2)
    assert dci(code, one, trees=3).disentanglement == 1.0


def test_tables_hold_what_scikit_learn_says() -> None:
    codes = FACTORS + 0.7 * NOISE
    found = mutual_information_gap(codes, FACTORS, bins=8)
    for i in range(3):
        for j in range(3):
            binned = np.digitize(codes[:, i], np.linspace(codes[:, i].min(), codes[:, i].max(), 9)[1:-1])
            assert found.table[i, j] == pytest.approx(mutual_info_score(binned, FACTORS[:, j]), abs=1e-10)
    near = mutual_info_classif(codes, FACTORS[:, 1], random_state=0)
    assert found.table[1, 1] == pytest.approx(near[1], abs=0.1)
    entropy = stats.entropy(np.bincount(FACTORS[:, 2]))
    top = np.sort(found.table[:, 2])
    assert found.by_factor[2] == pytest.approx((top[-1] - top[-2]) / entropy)


def test_errors_are_those_of_repeated_samples() -> None:
    def scores(seed: int):
        local = np.random.default_rng(seed)
        factors = local.integers(0, 4, (400, 2))
        codes = factors + local.normal(size=(400, 2))
        return mutual_information_gap(codes, factors), sap(codes, factors)

    many = [scores(seed) for seed in range(40)]
    for which in (0, 1):
        spread = np.std([one[which].value for one in many], ddof=1)
        said = np.sqrt(np.mean([one[which].se ** 2 for one in many]))
        assert said == pytest.approx(spread, rel=0.4)


def test_errors_name_what_is_wrong() -> None:
    for call in (mutual_information_gap, sap, dci, factor_vae_score):
        with pytest.raises(InputError, match="same 20 examples or more; got 3000 and 2999"):
            call(NOISE, FACTORS[1:])
        with pytest.raises(InputError, match="Factor 1 has one value in all 3,000 examples"):
            call(NOISE, np.c_[FACTORS[:, 0], np.zeros(N)])
        with pytest.raises(InputError, match="Factor 0 has 3,000 values in 3,000 examples: round it"):
            call(NOISE, NOISE)
        with pytest.raises(InputError, match="codes hold NaN"):
            call(np.where(NOISE > 2, np.nan, NOISE), FACTORS)
    with pytest.raises(InputError, match=r"columns of factors, 0…2; got \[3\]"):
        sap(NOISE, FACTORS, classes=[3])
    with pytest.raises(InputError, match="No value of factor 1 has 900 examples, the most is"):
        factor_vae_score(NOISE, FACTORS, batch=900)
    with pytest.raises(InputError, match="bins must be 2 or more"):
        mutual_information_gap(NOISE, FACTORS, bins=1)


@pytest.mark.parametrize(("scale", "offset"), [(1e-8, 0.0), (1.0, 1e8)])
def test_neither_scale_nor_offset_of_codes_matters_to_dci(scale: float, offset: float) -> None:
    factors = np.random.default_rng(0).integers(0, 4, (300, 2))
    found = dci(factors * np.array([scale, 1.0]) + offset, factors)
    assert found.disentanglement == found.completeness == found.informativeness.value == 1.0
