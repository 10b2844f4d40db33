"""The variance budget against closed forms of the linear-Gaussian model and planted splits."""

import numpy as np
import pytest
import torch
from torch import nn

import elbowroom as er
from elbowroom.distributions import LowRankNormal
from elbowroom.metrics import _variance_budget as variance
from elbowroom.metrics import variance_budget
from elbowroom.numerics import Batch


def linear_vae(weights: torch.Tensor, sigma: float, posterior_sd: float = 0.5) -> er.VAE:
    """x = W z + σ ε, z ~ N(0, I); q(z | x) = N(A x, s²) with a fixed A."""
    x_size, latents = weights.shape
    decoder, encoder = nn.Linear(latents, x_size), nn.Linear(x_size, 2 * latents)
    with torch.no_grad():
        decoder.weight.copy_(weights)
        decoder.bias.zero_()
        encoder.weight.zero_()
        encoder.weight[:latents] = torch.linalg.pinv(weights)
        encoder.bias.fill_(np.log(np.expm1(posterior_sd**2 - 1e-5)))
        encoder.bias[:latents] = 0.0
    return er.VAE(
        er.priors.StandardNormal(latents),
        er.posteriors.DiagonalNormal(encoder, latents),
        er.likelihoods.Normal(decoder, x_size, scale=sigma),
    )


def simulated(weights: torch.Tensor, sigma: float, n: int) -> Batch:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, weights.shape[1], generator=generator)
    x = z @ weights.T + sigma * torch.randn(n, len(weights), generator=generator)
    return Batch(x, torch.arange(n))


WEIGHTS = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 0.5], [-1.0, 0.3]])


def test_prior_budget_of_the_linear_model_is_the_closed_form() -> None:
    sigma, draws = 0.7, 20_000
    budget = variance_budget(linear_vae(WEIGHTS, sigma), simulated(WEIGHTS, sigma, 200), over="prior", draws=draws)
    latent, noise = WEIGHTS.square().sum().item(), 4 * sigma**2
    assert budget.noise == pytest.approx(noise, rel=1e-6)
    share = latent / (latent + noise)
    assert abs(budget.latent_share - share) < 4 * budget.latent_share_se
    ink = WEIGHTS.sum(0).square().sum().item()
    assert abs(budget.ink_latent - ink) < 4 * ink * np.sqrt(2 / draws)
    assert abs(budget.ink_noise_covariance) < 4 * noise * np.sqrt(2 / draws)
    assert budget.thrown_away == pytest.approx(1 - budget.latent_share)


def test_correlated_noise_shows_as_covariance_of_the_ink() -> None:
    """With low-rank noise of factor f, Var of its sum is (Σ f)² + D σ², of which (Σ f)² − Σ f² is covariance."""
    factor = torch.tensor([0.5, 0.5, 0.5, 0.5])

    class Correlated(er.likelihoods.Normal):
        def forward(self, given):
            loc = super().forward(given).mean
            return LowRankNormal(loc, torch.tensor(0.5), factor.view(1, 4))

    vae = linear_vae(WEIGHTS, 0.5)
    vae.likelihood = Correlated(vae.likelihood.network, 4, scale=0.5)
    draws = 20_000
    budget = variance_budget(vae, simulated(WEIGHTS, 0.5, 100), over="prior", draws=draws)
    assert budget.ink_noise_diagonal == pytest.approx(4 * (0.25 + 0.25), rel=1e-5)
    covariance = 2.0**2 - 4 * 0.25
    assert abs(budget.ink_noise_covariance - covariance) < 4 * (covariance + 2.0) * np.sqrt(2 / draws)


def test_aggregate_posterior_splits_into_between_and_within() -> None:
    examples = simulated(WEIGHTS, 0.7, 4_000)
    budget = variance_budget(linear_vae(WEIGHTS, 0.7, posterior_sd=0.5), examples, draws=2_000)
    means = examples.x @ torch.linalg.pinv(WEIGHTS).T
    assert budget.z_within == pytest.approx([0.25, 0.25], rel=1e-3)
    assert budget.z_between == pytest.approx(means.double().var(0).numpy(), rel=1e-4)
    total = np.cov(means.double().numpy(), rowvar=False) + 0.25 * np.eye(2)
    expected = total[0, 1] / np.sqrt(total[0, 0] * total[1, 1])
    assert abs(budget.z_correlation[0, 1] - expected) < 4 / np.sqrt(4_000)


@pytest.mark.parametrize("over", ["prior", "posterior"])
def test_a_decoder_that_ignores_z_has_no_latent_share(over: str) -> None:
    vae = linear_vae(WEIGHTS, 1.0)
    nn.init.zeros_(vae.likelihood.network.weight)
    assert variance_budget(vae, simulated(WEIGHTS, 1.0, 100), over=over, draws=1_000).latent_share < 1e-6


def test_what_cannot_be_measured_is_said() -> None:
    vae, batch = linear_vae(WEIGHTS, 1.0), simulated(WEIGHTS, 1.0, 10)
    with pytest.raises(er.InputError, match="20 draws"):
        variance_budget(vae, batch, draws=5)
    with pytest.raises(er.InputError, match="over must be"):
        variance_budget(vae, batch, over="data")


def test_passes_of_other_seeds_draw_other_latents() -> None:
    vae, batch = linear_vae(WEIGHTS, 0.7), simulated(WEIGHTS, 0.7, 20)
    means = [mean for seed in (0, 500) for mean, *_ in variance._passes(vae, batch, "prior", 1000, seed)]
    assert len(torch.cat(means).unique(dim=0)) == 2000
