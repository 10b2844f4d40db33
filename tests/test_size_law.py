"""log p(size) by a discrete law of totals, and the bound that it makes of log p(x | size)."""

import numpy as np
import pytest
from scipy import stats

import elbowroom as er
from elbowroom.evidence import SizeLaw, fit_size_law, with_size
from elbowroom.numerics import Estimate


@pytest.mark.parametrize(
    ("kind", "numbers"), [("negative binomial", (300.0, 4.0)), ("discretised log-normal", (5.5, 0.6))]
)
def test_a_law_sums_to_one_and_is_found_again(kind: str, numbers: tuple[float, float]) -> None:
    law = SizeLaw(kind, (numbers,))
    every = np.arange(1, 60_000)
    p = np.exp(law.log_prob(every))
    assert p.sum() == pytest.approx(1, abs=1e-6)
    drawn = np.random.default_rng(0).choice(every, 4_000, p=p / p.sum())
    found = fit_size_law(drawn)
    assert found.kind == kind
    assert found.numbers[0] == pytest.approx(numbers, rel=0.06)


def test_the_log_normal_is_the_integral_of_its_density_far_out_too() -> None:
    law = SizeLaw("discretised log-normal", ((5.0, 0.1),))
    for total in (100, 148, 400, 5_000):
        log_t = np.log(total)
        density = stats.norm(5.0, 0.1).logpdf(log_t) - log_t
        assert law.log_prob([total])[0] == pytest.approx(density, rel=0.02), total


def test_groups_have_numbers_of_their_own() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 2_000)
    totals = rng.lognormal(np.array([5.0, 7.0])[group], 0.3).round()
    law = fit_size_law(totals, groups=group)
    assert [one[0] for one in law.numbers] == pytest.approx([5.0, 7.0], abs=0.05)
    assert law.log_prob(totals, groups=group).mean() > fit_size_law(totals).log_prob(totals).mean() + 0.5


def test_the_sum_bounds_log_p_of_x_where_that_is_known_by_summation() -> None:
    """x | T ~ multinomial-like Poissons given T, T by the law: log p(x) is a sum over T."""
    law = SizeLaw("negative binomial", ((40.0, 5.0),))
    every = np.arange(1, 1_500)
    share = np.array([0.5, 0.3, 0.2])
    rng = np.random.default_rng(0)
    p = np.exp(law.log_prob(every))
    sizes = rng.choice(every, 200, p=p / p.sum())
    x = rng.poisson(sizes[:, None] * share)
    x[x.sum(1) == 0, 0] = 1
    totals = x.sum(1)
    joint = stats.poisson(every[:, None, None] * share).logpmf(x[None]).sum(-1) + law.log_prob(every)[:, None]
    truth = np.logaddexp.reduce(joint, 0)
    given = Estimate.of(
        stats.poisson(totals[:, None] * share).logpmf(x).sum(1),
        quantity="log p(x | batch, size)", estimator="exact", direction="exact",
    )  # fmt: skip
    bound = with_size(given, law.log_prob(totals))
    assert (bound.values <= truth).all()
    assert truth.mean() - bound.mean < np.log(totals.mean()) + 1  # no worse than not knowing which of the sizes it was
    assert (bound.quantity, bound.direction) == ("log p(x | batch)", "lower")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda one: with_size(one, [-1.0]), "this one is of log p"),
        (lambda one: fit_size_law([0.0, 3.0]), "whole numbers from 1 on"),
        (lambda one: fit_size_law([1.5, 3.0]), "whole numbers from 1 on"),
        (lambda one: fit_size_law([3, 4, 5], groups=[0, 0, 1]), "two rows or more"),
        (lambda one: fit_size_law([3, 4], kind="gamma"), "one of negative binomial"),
        (lambda one: SizeLaw("negative binomial", ((3.0, 1.0),)).log_prob([3], groups=[1]), "a row is of group 1"),
    ],
)
def test_what_makes_no_sense_is_refused(call: object, said: str) -> None:
    one = Estimate.of([-1.0], quantity="log p(x)", estimator="ELBO", direction="lower")
    with pytest.raises(er.InputError, match=said):
        call(one)
