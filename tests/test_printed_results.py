"""What estimators return prints, at a prompt too, as a line or a few whose numbers are the estimates' means."""

import re
from typing import Any

import numpy as np
import pytest
import torch

from elbowroom import VAE, evidence, likelihoods, posteriors, priors
from elbowroom.numerics import Estimate

X = torch.linspace(-1, 1, 12).view(6, 2)
ANNEALING: dict[str, Any] = {"temperatures": 10, "chains": 2, "leapfrog": 2}


@pytest.fixture(scope="module")
def vae() -> VAE:
    torch.manual_seed(0)
    return VAE(
        priors.StandardNormal(1),
        posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
        likelihoods.Normal(torch.nn.Linear(1, 2), 2),
    )


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", text.replace("−", "-"))]


def lines(found: Any) -> list[str]:
    """Of the REPL, which print agrees with, and in which no array stands."""
    text = repr(found)
    assert text == str(found) == f"{found}"
    assert "array(" not in text
    assert "tensor(" not in text
    assert "Estimate(" not in text
    return text.splitlines()


def means(rows: list[str]) -> list[float]:
    return [numbers(row)[0] for row in rows]


def rounded(estimates: Any, digits: int = 2) -> list[float]:
    return [round(one.mean, digits) for one in estimates]


def test_a_bound_is_one_line(vae: VAE) -> None:
    found = evidence.elbo(vae, X, draws=4)
    assert means(lines(found)) == rounded([found])
    assert numbers(lines(found)[0])[1:3] == [round(found.se_mc, 2), round(found.se_points, 2)]


def test_estimates_in_a_list_print_alike(vae: VAE) -> None:
    found = evidence.elbo(vae, X, draws=4)
    assert repr([found]) == f"[{found}]"


def test_rate_and_distortion_are_three_lines(vae: VAE) -> None:
    found = evidence.rate_distortion(vae, X, draws=4)
    assert means(lines(found)) == rounded(found)
    assert found == tuple(found)
    assert len(found) == 3


def test_a_curve_is_a_line_per_number_of_draws(vae: VAE) -> None:
    found = evidence.iwae_curve(vae, X, draws=100)
    rows = lines(found)
    assert means(rows) == rounded(found.estimates)
    assert [re.findall(r"IWAE-(\d+)", row) for row in rows] == [[str(k)] for k in found.draws]


def test_two_bounds_are_one_line(vae: VAE) -> None:
    found = evidence.bdmc(vae, 4, **ANNEALING)
    (row,) = lines(found)
    assert numbers(row)[0] == round(found.gap.mean, 3)
    between = re.search(r"at least (\S+), at most (\S+),", row.replace("−", "-"))
    assert between
    assert [float(end) for end in between.groups()] == rounded([found.lower, found.upper])


def test_a_rate_distortion_curve_is_a_line_per_beta(vae: VAE) -> None:
    found = evidence.rate_distortion_curve(vae, X, betas=[0.5, 1.0], **ANNEALING)
    *rows, foot = lines(found)
    assert [numbers(row)[0] for row in rows] == [0.5, 1.0]
    assert [numbers(row)[1] for row in rows] == rounded(found.rates, 3)
    assert [numbers(row)[3] for row in rows] == rounded(found.distortions, 3)
    assert foot.startswith("upper bound on the rate function")


def test_conditional_log_likelihoods_are_two_lines(vae: VAE) -> None:
    found = evidence.conditional_log_likelihood(vae, X)
    example, feature = lines(found)
    assert means([example]) == rounded([found.per_example])
    each = found.per_feature.mean(0)
    assert numbers(feature) == [2.0, round(each.min(), 2), round(each.max(), 2)]


def test_traces_are_a_line_each(vae: VAE) -> None:
    found = evidence.simulated_against_real(vae, X, **ANNEALING)
    (both,), (real,) = lines(found), lines(found.real)
    assert round(found.real.shortfall.mean, 3) in numbers(both)
    assert round(found.simulated.shortfall.mean, 3) in numbers(both)
    mean, error, points, acceptance, temperatures = numbers(real)
    assert [mean, points, temperatures] == [round(found.real.shortfall.mean, 3), 6, 10]
    assert [error, acceptance] == [
        round(found.real.shortfall.se_total, 3),
        round(float(np.mean(found.real.acceptance)), 2),
    ]


def test_a_warning_stands_in_the_repr() -> None:
    bad = Estimate.of([0.0, 1.0], khat=[0.9, 0.1], quantity="log p(x)", estimator="IWAE-9", direction="lower")
    assert "k̂ above 0.7 on 1 example" in repr(bad)


def test_a_model_says_which_samples_have_its_density(vae: VAE) -> None:
    said = str(vae).splitlines()
    assert said[-2] == "Its bounds are bounds on log p(x), in nats, on the scale of the data."
    assert said[-1].startswith('Samples have this density with mode="ancestral"; with "mean" or "offset"')
