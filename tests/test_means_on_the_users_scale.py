"""The mean of p(x | z) is Σ value · p(value | z): a mean of codes is not the number of the nearest code."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Independent, Normal

import elbowroom as er
from elbowroom.distributions import BetaBinomial, Columns, DiscretisedNormal, Levels, NormalWithAtoms, simulate
from elbowroom.preprocess import (
    Atoms,
    Binarise,
    Chain,
    Codes,
    Dequantise,
    Identity,
    Rounded,
    Standardise,
    mean_of_x,
)
from elbowroom.preprocess import Columns as Maps
from elbowroom.runs.written import write_x
from elbowroom.sklearn import VariationalAutoencoder

DRAWS = 5_000
SCALED = Standardise((2,)).fit(torch.tensor([[2.0, 0.0], [6.0, 1.0]], dtype=torch.float64))
LOGITS = torch.tensor([[0.3, -2.0, 1.5], [-1.0, 0.0, 1.0]])
NARROW = Normal(torch.tensor([0.52, 0.48]), torch.tensor([0.03, 0.02]))
STEPS = {
    "signs": (Codes([-1.0, 1.0]), Bernoulli(logits=torch.tensor([0.4, -3.0]))),
    "marks": (Codes([3.0, 4.0, 5.0]), Levels(LOGITS)),
    "doses of a categorical": (Codes([0.1, 0.5, 2.2]), Levels(LOGITS)),
    "doses of a discretised normal": (
        Codes([0.1, 0.5, 2.2]),
        DiscretisedNormal(torch.tensor([0.7, 1.4]), torch.tensor([0.9, 0.2]), 3),
    ),
    "doses of a beta-binomial": (Codes([0.1, 0.5, 2.2]), BetaBinomial(torch.zeros(2), torch.tensor([0.0, 1.0]), 3)),
    "doses as they are": (Chain([Codes([0.1, 0.5, 2.2]), Identity()]), Levels(LOGITS)),
    "few levels dequantised": (Dequantise(40, (2,)), NARROW),
    "rounded": (Chain([Rounded([0.5, 2.0], [0.0, 1.0]), SCALED]), Normal(torch.tensor([0.3, -0.2]), torch.ones(2) * 4)),
    "rain": (Atoms(SCALED, [2.0]), NormalWithAtoms(torch.zeros(2), torch.ones(2), torch.ones(2, 1), [-1.0])),
    "rain in other units": (
        Atoms(SCALED, [0.0]),
        NormalWithAtoms(torch.zeros(2), torch.ones(2), torch.ones(2, 1), [-2.0]),
    ),
    "bits": (Binarise(17, (2,)), Bernoulli(logits=torch.tensor([0.4, -3.0]))),
}


def _draws_back(step, p):
    generator = torch.Generator().manual_seed(0)
    return step.inverse(torch.stack([simulate(p, generator) for _ in range(DRAWS)])).double()


@pytest.mark.parametrize("name", STEPS)
def test_the_mean_of_x_is_that_of_its_draws(name):
    step, family = STEPS[name]
    p = Independent(family, 1, validate_args=False)
    x = _draws_back(step, p)
    mean = mean_of_x(step, p)
    assert mean.shape == (2,)
    error = (mean - x.mean(0)).abs() / (x.std(0) / DRAWS**0.5)
    assert error.max() < 4


def test_the_mean_of_doses_is_their_exact_sum():
    values, p = torch.tensor([0.1, 0.5, 2.2], dtype=torch.float64), Levels(LOGITS)
    exact = (p.probs.double() * values).sum(-1)
    torch.testing.assert_close(mean_of_x(Codes(values.tolist()), Independent(p, 1)), exact, rtol=1e-6, atol=0)


def test_columns_have_the_mean_of_their_own_step():
    groups = [Independent(one, 1, validate_args=False) for _, one in (STEPS["signs"], STEPS["marks"], STEPS["rain"])]
    maps = Maps([Codes([-1.0, 1.0]), Codes([0.1, 0.5, 2.2]), STEPS["rain"][0]], [2, 2, 2])
    alone = [mean_of_x(step, group) for step, group in zip(maps.steps, groups, strict=True)]
    torch.testing.assert_close(mean_of_x(maps, Columns(groups)), torch.cat(alone))


def test_classes_without_an_order_have_no_mean_under_any_name():
    p = Independent(Categorical(logits=LOGITS), 1)
    assert mean_of_x(Codes([0.1, 0.5, 2.2]), p).isnan().all()
    assert mean_of_x(Codes([1.0, 2.0, 3.0]), p).isnan().all()


def test_a_model_of_signs_reconstructs_means_and_samples_signs():
    torch.manual_seed(0)
    likelihood = er.likelihoods.Bernoulli(nn.Linear(1, 3), 3)
    encoder = er.posteriors.DiagonalNormal(nn.Linear(3, 2), 1)
    vae = er.VAE(er.priors.StandardNormal(1), encoder, likelihood, Codes([-1.0, 1.0]))
    x = torch.tensor([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]])
    with torch.no_grad():
        p = likelihood.network(vae.encode(x)["z"]).sigmoid()
        torch.testing.assert_close(vae.reconstruct(x), (2 * p - 1).double())
        z = vae.draw_prior(5, 3, {})["z"][0]
        torch.testing.assert_close(
            vae.sample(5, mode="mean", seed=3), (2 * likelihood.network(z).sigmoid() - 1).double()
        )
        p = likelihood.network(z).sigmoid()
        beside = 2 * (p + 0.5 * (p * (1 - p)).sqrt()) - 1
        torch.testing.assert_close(vae.sample(5, mode="offset", offset=0.5, seed=3), beside.double())
    assert set(vae.sample(50).unique().tolist()) == {-1.0, 1.0}


def test_an_estimator_gives_means_of_signs():
    rng = np.random.default_rng(0)
    x = np.where(rng.random((400, 3)) < [0.2, 0.5, 0.8], 1.0, -1.0)
    model = VariationalAutoencoder(1, network=(), max_epochs=20, learning_rate=0.02, random_state=0).fit(x)
    np.testing.assert_allclose(model.inverse_transform([[0.0]])[0], x.mean(0), atol=0.25)


def test_a_mean_of_codes_is_written_as_the_number_it_is(tmp_path):
    data = {"image_shape": None, "columns": ["smokes"], "classes": {"smokes": ["no", "yes"]}}
    for x, expected in (([[0.9], [0.0]], ["0.9", "0.0"]), ([[1.0], [0.0]], ["yes", "no"])):
        assert write_x(tmp_path / "x.csv", np.array(x), data, {}).read_text().split()[1:] == expected
