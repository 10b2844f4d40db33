"""Two-sample tests against Jensen–Shannon divergences by quadrature, and against what each classifier can see."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm, t
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from torch import Tensor

from elbowroom.metrics import CLASSIFIERS, TwoSample, classifier_two_sample
from elbowroom.metrics.two_sample import _best_temperature, _doubt, _right
from elbowroom.numerics import InputError


def shifted(n: int, shift: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Standard normals, and standard normals moved by `shift`."""
    generator = torch.Generator().manual_seed(seed)
    data, samples = torch.randn(2, n, *shift.shape, generator=generator)
    return data, samples + shift


def jensen_shannon(distance: float) -> float:
    """Between N(0, I) and N(shift, I) with ‖shift‖ = distance, in nats: a matter of one dimension."""

    def half(x: float) -> float:
        return norm.pdf(x) * math.log(2 * expit(distance**2 / 2 - distance * x))

    return quad(half, -12, 12)[0]


def test_logistic_regression_reaches_the_divergence_of_two_normals() -> None:
    result = classifier_two_sample(*shifted(10_000, torch.tensor([1.0])))
    assert abs(result.log_odds - jensen_shannon(1.0)) < 3 * result.se
    assert abs(result.accuracy - norm.cdf(0.5)) < 3 * result.accuracy_se
    assert result.n == 6_000


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_no_classifier_exceeds_the_divergence_and_each_comes_near_it(classifier: str) -> None:
    shift = torch.zeros(6, 6)
    shift[2:4, 1:5] = 0.6
    result = classifier_two_sample(*shifted(3_000, shift), classifier=classifier)
    divergence = jensen_shannon(float(shift.norm()))
    assert 0.7 * divergence < result.log_odds < divergence + 3 * result.se


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_equal_distributions_have_log_odds_zero(classifier: str) -> None:
    result = classifier_two_sample(*shifted(2_000, torch.zeros(6, 6)), classifier=classifier)
    assert abs(result.log_odds) <= 3 * result.se
    assert abs(result.accuracy - 0.5) <= 3 * result.accuracy_se


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_copies_stay_with_their_originals_and_cannot_be_told(classifier: str) -> None:
    """p and 1 − p multiply to at most ¼: held-out log-odds of a pair of equal rows are never above 0."""
    digits = torch.as_tensor(load_digits().images[:600])
    result = classifier_two_sample(digits, digits.clone(), classifier=classifier)
    assert -0.01 < result.log_odds <= 1e-12
    assert result.accuracy == pytest.approx(0.5)


@pytest.mark.parametrize("classifier", ["logistic", "trees"])
def test_columns_in_any_units_and_far_from_0_are_told_apart_alike(classifier: str) -> None:
    """Seconds since 1970 beside shares: neither hides the other, nor do 32 bits hide either."""
    narrow = torch.arange(34) == 8  # in more columns than components, and none of those that trees see besides
    data, samples = shifted(600, torch.where(narrow, 2.0, 0.0))
    units, origin = (torch.where(narrow, *pair).double() for pair in ((1e-3, 1e6), (1e3, 1.6e9)))
    plain = classifier_two_sample(data, samples, classifier=classifier)
    assert plain.log_odds > 0.3 * jensen_shannon(2.0)
    other = classifier_two_sample(origin + units * data, origin + units * samples, classifier=classifier)
    assert other.log_odds == pytest.approx(plain.log_odds, abs=0.01)


def test_whole_numbers_beyond_32_bit_floats_are_not_rounded() -> None:
    data, samples = (2**30 + (8 * x).round().long() for x in shifted(600, torch.tensor([2.0])))
    assert classifier_two_sample(data, samples).log_odds > 0.6 * jensen_shannon(2.0)


def test_correlation_alone_shows_to_the_convolutional_network_and_not_to_a_linear_one() -> None:
    white, other = torch.randn(2, 3_000, 8, 8, generator=torch.Generator().manual_seed(1))
    smooth = (other + other.roll(1, 2)) / math.sqrt(2)
    linear, convolutional = (
        classifier_two_sample(white, smooth, classifier=name) for name in ("logistic", "convolutional")
    )
    assert abs(linear.log_odds) <= 3 * linear.se
    assert convolutional.interval[0] > 0.3


def test_the_standard_error_is_the_spread_over_repetitions() -> None:
    """Of 60 repetitions, so that the ratio of the spreads has a standard error of 1/√120."""
    results = [classifier_two_sample(*shifted(1_000, torch.tensor([1.0]), seed)) for seed in range(60)]
    for value, se in (("log_odds", "se"), ("accuracy", "accuracy_se")):
        spread = np.std([getattr(r, value) for r in results], ddof=1)
        expected = math.sqrt(np.mean([getattr(r, se) ** 2 for r in results]))
        assert abs(spread / expected - 1) < 3 / math.sqrt(120)


def test_the_temperature_makes_overconfident_logits_honest() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, 20_000)
    labels = generator.binomial(1, expit(logits))
    loss, factor = _best_temperature(3 * logits, labels)
    assert factor == pytest.approx(1 / 3, abs=0.02)
    p = (1 - _doubt(20_000)) * expit(factor * 3 * logits) + _doubt(20_000) / 2
    assert loss == pytest.approx(log_loss(labels, p), rel=1e-9)
    assert _best_temperature(-logits, labels) == (pytest.approx(math.log(2)), 0.0)


def test_one_certain_error_costs_no_more_than_the_doubt() -> None:
    assert _right(np.array([800.0]), np.array([0]), _doubt(98))[0] == pytest.approx(math.log(0.01))


def test_the_floor_of_digits_is_small_and_a_seed_fixes_every_number() -> None:
    digits = load_digits()
    order = np.random.default_rng(0).permutation(1_796)
    train, test = digits.data[order[:898]], digits.data[order[898:]]
    floor = classifier_two_sample(test, train, classifier="convolutional", image_shape=(8, 8), seed=3)
    assert abs(floor.log_odds) <= 3 * floor.se
    assert floor == classifier_two_sample(test, train, classifier="convolutional", image_shape=(8, 8), seed=3)


def test_the_line_says_what_was_measured() -> None:
    line = str(TwoSample("trees", 0.25, 0.01, 0.8, 0.005, 6_000))
    assert line == "trees: log-odds 0.2500 nats (95 % 0.2304 … 0.2696), accuracy 80.0% ± 0.5%, 6,000 held out"


@pytest.mark.parametrize(
    ("data", "samples", "classifier", "words"),
    [
        (torch.zeros(200, 3), torch.zeros(300, 3), "logistic", "equally many.*cut the larger"),
        (torch.zeros(50, 3), torch.zeros(50, 3), "logistic", "100 examples or more.*got 50"),
        (torch.zeros(200, 3), torch.zeros(200, 3), "forest", "no classifier 'forest'.*convolutional"),
        (torch.zeros(200, 4), torch.zeros(200, 4), "convolutional", "no images.*image_shape"),
        (torch.zeros(200, 4), torch.full((200, 4), math.nan), "trees", "samples hold NaN .*or infinite numbers"),
        (torch.zeros(200, 4), torch.zeros(200, 4), "trees", "same constant"),
    ],
)
def test_what_cannot_be_tested_is_refused_in_words(data: Tensor, samples: Tensor, classifier: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        classifier_two_sample(data, samples, classifier=classifier)


def test_the_interval_is_student_s_of_half_the_examples() -> None:
    """At 60 held out, 30 of each side, 1.96 standard errors would leave out more than 5 %."""
    low, high = TwoSample("logistic", 0.1, 0.02, 0.6, 0.05, 60).interval
    assert (low, high) == pytest.approx((0.1 - t.ppf(0.975, 29) * 0.02, 0.1 + t.ppf(0.975, 29) * 0.02))
