"""The rate–distortion curve by annealing against the closed forms of linear decoders."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor, nn

import elbowroom as er
from elbowroom.evidence import _rate_distortion_curve as distortion
from elbowroom.evidence import rate_distortion_curve
from elbowroom.exact import LinearVAE

F64 = torch.float64
BETAS = (0.3, 2.0, 20.0)


def linear(d: int = 2, event: int = 4, scale: float = 0.8) -> er.VAE:
    torch.manual_seed(3)
    decoder, encoder = nn.Linear(d, event), nn.Linear(event, 2 * d)
    with torch.no_grad():
        decoder.weight.normal_()
    return er.VAE(
        er.priors.StandardNormal(d),
        er.posteriors.DiagonalNormal(encoder, d),
        er.likelihoods.Normal(decoder, event, scale=scale),
    ).double()


def examples(n: int) -> er.Batch:
    return er.Batch(torch.randn(n, 4, generator=torch.Generator().manual_seed(1), dtype=F64), torch.arange(n))


@torch.no_grad()
def exact(vae: er.VAE, batch: er.Batch, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Rate KL(N(m, A⁻¹) ‖ N(0, I)) and mean squared error of p(z) exp(−β |x − W z − b|²), a Gaussian; [n] each."""
    weights, rest = vae.likelihood.network.weight, batch.x - vae.likelihood.network.bias
    precision = torch.eye(weights.shape[1], dtype=F64) + 2 * beta * weights.T @ weights
    covariance = precision.inverse()
    mean = 2 * beta * rest @ weights @ covariance
    rate = 0.5 * (covariance.trace() + mean.square().sum(-1) - len(precision) + precision.logdet())
    error = (rest - mean @ weights.T).square().sum(-1) + (weights @ covariance @ weights.T).trace()
    return rate.numpy(), error.numpy()


def assert_just_above(found: np.ndarray, truth: np.ndarray) -> None:
    """In the mean over examples: at most 4 standard errors below, at most 0.1 nats above."""
    above = found - truth
    assert -4 * above.std(ddof=1) / math.sqrt(len(above)) < above.mean() < 0.1


def test_many_temperatures_reach_the_closed_form_of_squared_error() -> None:
    vae, batch = linear(), examples(40)
    found = rate_distortion_curve(
        vae, batch, betas=BETAS, distortion="squared error", temperatures=100, chains=16, leapfrog=4
    )
    np.testing.assert_array_equal(found.betas, BETAS)
    for beta, rates, errors in zip(BETAS, found.rates, found.distortions, strict=True):
        rate, error = exact(vae, batch, beta)
        assert abs(errors.mean - error.mean()) < 4 * errors.se_mc
        assert abs(rates.mean - rate.mean()) < 4 * rates.se_mc
        assert rates.se_mc < 0.1
        assert_just_above(rates.values + beta * errors.values, rate + beta * error)  # −log Z_β


def test_few_temperatures_stay_above_the_curve() -> None:
    """The pair (rate, distortion) itself lies above the exact curve through its distortion."""
    vae, batch = linear(), examples(400)
    found = rate_distortion_curve(
        vae, batch, betas=(1.0, 5.0), distortion="squared error", temperatures=3, chains=2, leapfrog=2
    )
    for rates, errors in zip(found.rates, found.distortions, strict=True):
        there = brentq(lambda b, d=errors: exact(vae, batch, b)[1].mean() - d.mean, 1e-6, 1e3)
        above = rates.mean - exact(vae, batch, there)[0].mean()
        slope = there * errors.se_mc  # dR / dD = −β
        assert above > 4 * math.hypot(rates.se_mc, slope) > 0


def test_at_beta_one_rate_and_negative_log_likelihood_add_to_the_evidence() -> None:
    vae, batch = linear(), examples(30)
    found = rate_distortion_curve(vae, batch, betas=(0.2, 1.0), temperatures=60, chains=16, leapfrog=4)
    evidence, model = LinearVAE(vae).log_prob(batch).numpy(), LinearVAE(vae)
    assert_just_above(found.rates[1].values + found.distortions[1].values, -evidence)
    posterior = model.posterior(batch)
    prior = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=F64), torch.eye(2, dtype=F64))
    rate = torch.distributions.kl_divergence(posterior, prior).numpy()
    assert abs((found.rates[1].values - rate).mean()) < 4 * found.rates[1].se_mc
    rate, error = exact(vae, batch, 0.2 / (2 * 0.8**2))  # −log p(x | z) is squared error / 2σ² and a constant
    constant = 4 * math.log(0.8 * math.sqrt(2 * math.pi))
    assert abs((found.rates[0].values - rate).mean()) < 4 * found.rates[0].se_mc
    assert abs((found.distortions[0].values - error / (2 * 0.8**2) - constant).mean()) < 4 * found.distortions[0].se_mc


def test_any_function_of_the_decoded_mean() -> None:
    vae, batch = linear(), examples(6)
    settings = {"temperatures": 10, "chains": 3, "leapfrog": 3}

    def half_error(decoded: Tensor, x: Tensor) -> Tensor:
        return 0.5 * (decoded - x).square().sum(-1)

    mine = rate_distortion_curve(vae, batch, betas=(2.0, 8.0), distortion=half_error, **settings)
    known = rate_distortion_curve(vae, batch, betas=(1.0, 4.0), distortion="squared error", **settings)
    for a, b, c, d in zip(mine.rates, known.rates, mine.distortions, known.distortions, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-6)
        np.testing.assert_allclose(2 * c.values, d.values, rtol=1e-6)
    assert mine.distortions[0].unit == "half_error"


def test_numbers_and_their_jackknife_by_hand() -> None:
    """Weights 1, 3 and distortions 5, 1 at β = 2: D = 2, rate −log 2 − 4; without either chain what the other says."""
    log_weights = torch.tensor([[1.0], [3.0]], dtype=F64).log()
    found = distortion._rate_and_distortion(log_weights, torch.tensor([[5.0], [1.0]], dtype=F64), torch.full((1,), 2.0))
    rates = np.array([-math.log(3.0) - 2.0, -10.0])  # of the second chain alone, of the first alone
    expected = [-math.log(2.0) - 4.0, rates.var(), 2.0, np.var([5.0, 1.0])]
    np.testing.assert_allclose(found[:, 0], expected)


def test_memory_changes_nothing() -> None:
    vae, batch = linear(), examples(5)
    settings = {"betas": (0.5, 3.0), "distortion": "squared error", "temperatures": 12, "chains": 3, "leapfrog": 3}
    whole, tight = (rate_distortion_curve(vae, batch, **settings, memory=m) for m in ("1 GiB", 40_000))
    for a, b in zip(whole.rates + whole.distortions, tight.rates + tight.distortions, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-9)
        np.testing.assert_allclose(a.mc_variance, b.mc_variance, rtol=1e-7)
        np.testing.assert_array_equal(a.index, b.index)


def test_in_words() -> None:
    found = rate_distortion_curve(linear(), examples(4), betas=(0.5, 3.0), temperatures=5, chains=2, leapfrog=2)
    first, second, last = str(found).split("\n")
    assert first.startswith(f"β 0.5: rate {found.rates[0].mean:.3f} ±")
    assert second.startswith("β 3: rate")
    assert last == "upper bound on the rate function; annealing over 5 temperatures, 2 chains"


@pytest.mark.parametrize("betas", [(), (0.0, 1.0), (2.0, 1.0), (1.0, 1.0), (1.0, math.inf)])
def test_betas_that_are_no_ladder_are_refused(betas: tuple[float, ...]) -> None:
    with pytest.raises(er.InputError, match=r"positive numbers, ascending|must be a finite number; got inf"):
        rate_distortion_curve(linear(), examples(2), betas=betas)


def test_what_means_nothing_is_refused_in_words() -> None:
    with pytest.raises(er.InputError, match="'squared error' or a function"):
        rate_distortion_curve(linear(), examples(2), betas=(1.0,), distortion="absolute error")
    with pytest.raises(er.InputError, match="rate_distortion_curve needs temperatures=2 or more"):
        rate_distortion_curve(linear(), examples(2), betas=(1.0,), temperatures=1)
