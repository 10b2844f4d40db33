"""Numbers with errors: the two errors apart, directions, pairing, and what is printed."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from elbowroom.numerics import Budget, Estimate, InputError
from elbowroom.numerics._standard_errors import share_error, standard_errors
from elbowroom.numerics.estimate import PER_EXAMPLE

rng = np.random.default_rng(0)


def made(values: object, variance: object = 0.01, direction: str = "lower", **rest: object) -> Estimate:
    settings = {"quantity": "log p(x)", "estimator": "IWAE-10", **rest}
    return Estimate.of(values, variance, direction=direction, **settings)


def test_two_errors_add_in_squares_to_the_error_of_the_mean() -> None:
    values, variance = rng.normal(size=50), rng.uniform(0, 0.5, 50)
    estimate = made(values, variance)
    assert estimate.se_mc == pytest.approx(np.sqrt(variance.sum()) / 50)
    assert np.hypot(estimate.se_mc, estimate.se_points) == pytest.approx(values.std(ddof=1) / np.sqrt(50))


def test_errors_are_those_of_repetition() -> None:
    """log p_i ~ N(0, 2²) over examples, noise N(0, 1) from draws: what each error promises."""
    runs, n = 4000, 20
    truth = 2 * rng.normal(size=(runs, n))
    seen = truth + rng.normal(size=(runs, n))
    estimates = [made(row, 1.0) for row in seen]
    assert np.std(seen.mean(1) - truth.mean(1)) == pytest.approx(estimates[0].se_mc, rel=0.05)
    total = np.mean([e.se_total**2 for e in estimates])
    assert total == pytest.approx(np.var(seen.mean(1)), rel=0.1)
    assert np.mean([e.se_points**2 for e in estimates]) == pytest.approx(4 / n, rel=0.05)


def test_rows_of_one_example_err_together() -> None:
    """As of a bootstrap: their noise is keyed by the example, so that a hundred copies know no more than one."""
    words = {"quantity": "log p(x)", "estimator": "ELBO", "direction": "lower"}
    one, many = (Estimate.of(np.ones(n), np.full(n, 0.04), np.zeros(n, dtype=int), **words) for n in (1, 100))
    assert one.se_mc == pytest.approx(0.2)
    assert many.se_mc == pytest.approx(0.2)
    apart = Estimate.of(np.ones(100), np.full(100, 0.04), np.arange(100), **words)
    assert apart.se_mc == pytest.approx(0.02)


def test_bits_per_dimension() -> None:
    estimate = made([-800.0, -900.0], 4.0).bits_per_dimension(784)
    np.testing.assert_allclose(estimate.values, np.array([800, 900]) / (784 * math.log(2)))
    np.testing.assert_allclose(estimate.mc_variance, 4 / (784 * math.log(2)) ** 2)
    assert (estimate.direction, estimate.unit) == ("upper", "bits")
    assert "upper bound on −log₂ p(x) per dimension" in str(estimate)


@pytest.mark.parametrize(
    ("mine", "other", "expected"),
    [
        ("lower", "exact", "lower"),
        ("exact", "lower", "upper"),
        ("lower", "upper", "lower"),
        ("upper", "lower", "upper"),
        ("lower", "lower", "none"),
        ("upper", "upper", "none"),
        ("exact", "exact", "exact"),
        ("exact", "unbiased", "unbiased"),
        ("unbiased", "unbiased", "unbiased"),
        ("none", "exact", "none"),
        ("unbiased", "upper", "lower"),
    ],
)
def test_direction_of_a_difference(mine: str, other: str, expected: str) -> None:
    assert (made([1.0], direction=mine) - made([2.0], direction=other)).direction == expected


def test_differences_pair_by_index() -> None:
    mine = made([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], index=[5, 6, 7])
    other = made([10.0, 20.0, 30.0], [1.0, 2.0, 3.0], index=[7, 4, 5])
    difference = mine - other
    assert dict(zip(difference.index.tolist(), difference.values, strict=True)) == {5: -29.0, 7: -7.0}
    np.testing.assert_allclose(difference.mc_variance, [3.1, 1.3])
    with pytest.raises(InputError, match="no example in common"):
        mine - made([1.0], index=[99])
    with pytest.raises(InputError, match="different data"):
        mine - made([1.0, 2.0, 3.0], index=[5, 6, 7], data="other")


def test_printed_line() -> None:
    line = str(made([-86.0, -86.8], 0.0002))
    assert line == "−86.40 nats ±0.01 (draws) ±0.40 (2 points), lower bound on log p(x), IWAE-10"
    assert str(made([3.0, 4.0], 0.0, direction="exact")).endswith("log p(x), exact, IWAE-10")


@pytest.mark.parametrize(("values", "variance"), [([1.0], 0.1), ([1.0], math.nan), ([1.0, 2.0], math.nan)])
def test_no_nan_is_printed_or_saved(values: list[float], variance: float) -> None:
    estimate = made(values, variance)
    assert "nan" not in str(estimate)
    text = json.dumps(estimate.to_dict(), allow_nan=False)
    back = Estimate.from_dict(json.loads(text))
    np.testing.assert_array_equal(back.mc_variance, estimate.mc_variance)


def test_collapsed_weights_are_announced() -> None:
    budget = Budget(draws=500, seed=0)
    assert "not to be trusted" not in str(made([1.0, 2.0], ess=[10.0, 400.0], budget=budget))
    line = str(made([1.0, 2.0], ess=[1.4, 400.0], budget=budget))
    assert "effective sample size below 10 on 1 example:" in line
    assert "not to be trusted" in line


def test_a_difference_warns_where_one_side_does() -> None:
    many, few = Budget(draws=500, seed=0), Budget(draws=5, seed=0)
    mine = made([1.0, 2.0, 3.0], ess=[400.0, 3.0, 50.0], khat=[0.1, 0.2, 0.9], budget=many)
    other = made([1.0, 2.0], ess=[1.5, 4.0], khat=[0.3, math.nan], index=[0, 2], budget=few)
    exact = made([1.0, 2.0, 3.0], direction="exact")
    for one, two in ((mine, exact), (exact, mine)):
        assert ((one - two).collapsed, (one - two).missed) == (1, 1)
    for one, two in ((mine, other), (other, mine)):  # example 0: 1.5 of 5 draws are less than a third
        difference = one - two
        np.testing.assert_array_equal(difference.khat, [0.3, 0.9])
        assert (difference.collapsed, difference.missed) == (1, 1)
    np.testing.assert_array_equal((mine - exact).ess, mine.ess)
    assert (exact - exact).ess is None


def test_draws_that_miss_are_announced() -> None:
    assert "k̂" not in str(made([1.0, 2.0], khat=[0.7, math.nan]))
    line = str(made([1.0, 2.0, 3.0], khat=[0.71, math.nan, 2.0]))
    assert line.endswith("; k̂ above 0.7 on 2 examples: the draws miss where p(z | x) lies")


def test_divergence_is_announced() -> None:
    few, many = made([1.0, 2.0], divergent=[0.0, 0.05]), made([1.0, 2.0], divergent=[0.06, 0.0])
    assert "diverged" not in str(few)
    assert str(many).endswith("; more than 5 % of transitions diverged on 1 example: chains may lag behind there")
    np.testing.assert_array_equal((few - many).divergent, [0.06, 0.05])
    assert (few - made([1.0, 2.0])).diverged == 0
    assert (made([1.0, 2.0]) - many).diverged == 1


def test_few_draws_have_not_collapsed() -> None:
    assert made([1.0], ess=[4.0], budget=Budget(draws=5, seed=0)).collapsed == 0
    assert made([1.0], ess=[1.0], budget=Budget(draws=1, seed=0)).collapsed == 0


def test_round_trip_through_json() -> None:
    estimate = made(
        [1.0, 2.0],
        [0.1, 0.2],
        index=[3, 1],
        ess=[9.0, 8.0],
        khat=[0.5, math.nan],
        divergent=[0.25, 0.0],
        rhat=[1.0, math.nan],
        data="abc",
        budget=Budget(10, 7, 0.5),
    )
    back = Estimate.from_dict(json.loads(json.dumps(estimate.to_dict(), allow_nan=False)))
    assert str(back) == str(estimate)
    for name in PER_EXAMPLE:
        np.testing.assert_array_equal(getattr(back, name), getattr(estimate, name))
    assert (back.budget, back.data, back.unit) == (estimate.budget, "abc", "nats")


@pytest.mark.parametrize(
    ("values", "variance", "index"), [([], 0.0, None), ([1.0], 0.0, [1, 2]), ([[1.0]], 0.0, [[1]])]
)
def test_wrong_shapes_are_refused(values: object, variance: object, index: object) -> None:
    with pytest.raises(InputError, match="one value, variance and index per example"):
        made(values, variance, index=index)


def test_values_that_are_no_numbers_are_said_with_the_estimate() -> None:
    common = {"quantity": "log p(x)", "estimator": "IWAE-5", "direction": "lower"}
    lost = Estimate.of([-np.inf, 1.0, np.nan], [0.1, 0.1, 0.1], **common)
    assert lost.lost == 2
    assert lost.warnings[0] == "no finite value on 2 examples"
    some = Estimate.of([3.0, 1.0, 2.0], [0.1, np.nan, 0.1], **common)
    assert some.lost == 0
    assert "(3 points and a draws error unknown on 1 of them, together)" in str(some)


@pytest.mark.parametrize("points", [2, 3, 10, 200])
def test_an_interval_of_few_points_is_as_wide_as_student_says(points: int) -> None:
    assert standard_errors(points) == pytest.approx(stats.t.ppf(0.975, points - 1))
    assert standard_errors(points, sides=1) == pytest.approx(stats.t.ppf(0.95, points - 1))
    assert standard_errors(1) == math.inf


@pytest.mark.parametrize(("hits", "n"), [(0, 20), (20, 20), (7, 20), (500, 1000)])
def test_a_share_of_none_or_all_is_not_sure(hits: int, n: int) -> None:
    """The deviation of the posterior of a share under a uniform prior is as large, nearly."""
    expected = stats.beta(hits + 1, n - hits + 1).std()
    assert share_error(hits / n, n) == pytest.approx(expected, rel=0.08)
    assert math.isnan(share_error(math.nan, 0))
