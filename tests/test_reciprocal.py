"""Reciprocal sampling against exact log p(x), its density estimates against SciPy, its errors against repetition."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import gaussian_kde, multivariate_normal
from torch import nn

import elbowroom as er
from elbowroom.evidence import reciprocal_sampling
from elbowroom.evidence._reciprocal_sampling import _kernel, _normal, _posterior_chain, _reciprocal
from elbowroom.exact import LinearVAE, log_evidence_by_quadrature

from .test_evidence import batch, near_posterior_vae, within


def test_densities_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    z = rng.standard_normal((30, 4, 2, 3)) @ rng.standard_normal((3, 3)) + 5
    other = z[:7] + 0.3
    for n in range(2):
        rows, at = z[:, :, n].reshape(-1, 3), other[:, :, n].reshape(-1, 3)
        normal = multivariate_normal(rows.mean(0), np.cov(rows.T)).logpdf(at).reshape(7, 4)
        kernel = gaussian_kde(rows.T).logpdf(at.T).reshape(7, 4)
        for fit, expected in ((_normal, normal), (_kernel, kernel)):
            found = fit(torch.from_numpy(z))(torch.from_numpy(other))
            np.testing.assert_allclose(found[:, :, n], expected, rtol=1e-8, atol=1e-8)


def test_chains_draw_from_the_posterior() -> None:
    vae, examples = near_posterior_vae(), batch(3)
    chain = _posterior_chain(vae.target(examples), 64, warm_up=20, leapfrog=5, seed=0)
    z, log_joint = (torch.stack(column) for column in zip(*(next(chain) for _ in range(40)), strict=True))
    exact = LinearVAE(vae).posterior(examples)
    per_chain = z.mean(0)
    within(per_chain.mean(0).numpy(), exact.mean.numpy(), per_chain.std(0).numpy() / 8)
    squares = (z - exact.mean).square().mean(0)
    within(squares.mean(0).numpy(), exact.variance.numpy(), squares.std(0).numpy() / 8)
    expected = LinearVAE(vae).log_prob(examples) + exact.log_prob(z)
    np.testing.assert_allclose(log_joint, expected, rtol=1e-10)


@pytest.mark.parametrize("density", ["normal", "kernel"])
def test_linear_vae(density: str) -> None:
    """Within its errors plus the half of the relative variance by which −log of a mean leans upwards."""
    vae, examples = near_posterior_vae(), batch()
    found = reciprocal_sampling(vae, examples, draws=1000, chains=64, warm_up=20, leapfrog=4, density=density)
    exact = LinearVAE(vae).log_prob(examples).numpy()
    within(found.values, exact, np.sqrt(found.mc_variance) + 1e-4)
    assert found.ess is not None
    assert found.ess.min() > 100
    assert abs(found.mean - exact.mean()) < 0.05


def test_a_decoder_that_bends() -> None:
    """Two latents, a posterior that is no Gaussian, and quadrature."""
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(nn.Linear(3, 4), 2),
        er.likelihoods.Normal(decoder, 3, scale=0.5),
    ).double()
    examples = er.Batch(vae.sample(5, seed=1), torch.arange(5))
    exact = log_evidence_by_quadrature(vae, examples, nodes=400).values
    for density in ("normal", "kernel"):
        found = reciprocal_sampling(vae, examples, draws=1000, chains=64, warm_up=20, leapfrog=4, density=density)
        within(found.values, exact, np.sqrt(found.mc_variance) + 1e-3)
        assert found.unmixed == 0


def test_the_mean_is_unbiased_and_its_log_leans_upwards() -> None:
    """Exact draws of the posterior: E[1 / p̂] = 1 / p, so E[log p̂] ≥ log p; the stated variance is repetition's."""
    vae, one, runs = near_posterior_vae(), batch(1), 4000
    posterior, log_p = LinearVAE(vae).posterior(one), LinearVAE(vae).log_prob(one)
    torch.manual_seed(0)
    z = posterior.sample((10, 8, runs)).squeeze(3)
    log_q = torch.distributions.MultivariateNormal(posterior.mean[0] + 0.4, posterior.covariance_matrix[0]).log_prob(z)
    value, variance, _ = _reciprocal(log_q - (log_p + posterior.log_prob(z[..., None, :]).squeeze(-1)))
    inverse = (log_p - value).exp()
    assert abs(inverse.mean() - 1) < 4 * inverse.std() / math.sqrt(runs)
    assert value.mean() - log_p > 4 * value.std() / math.sqrt(runs)
    squares = (value - value.mean()).square()
    error = torch.hypot(squares.std(), variance.std()) / math.sqrt(runs)
    assert variance.mean() > squares.mean() - 4 * error
    assert variance.mean() < 1.25 * squares.mean() + 4 * error


def test_memory_and_order_change_nothing() -> None:
    vae, examples = near_posterior_vae(), batch(5)
    settings = {"draws": 64, "chains": 16, "warm_up": 5, "leapfrog": 3, "density": "kernel"}
    whole = reciprocal_sampling(vae, examples, **settings)
    order = torch.tensor([3, 0])
    some = er.Batch(examples.x[order], examples.index[order])
    found = reciprocal_sampling(vae, some, memory="200 kB", **settings)
    np.testing.assert_allclose(found.values, whole.values[order], rtol=1e-6)
    np.testing.assert_allclose(found.mc_variance, whole.mc_variance[order], rtol=1e-4)


def test_chains_that_have_not_mixed_say_so() -> None:
    found = reciprocal_sampling(near_posterior_vae(), batch(2), draws=32, chains=8, warm_up=0, leapfrog=1, seed=3)
    assert found.unmixed == 2
    assert "R-hat above 1.1 on 2 examples: chains have not mixed" in str(found)


def test_what_cannot_be_is_refused() -> None:
    vae, examples = near_posterior_vae(), batch(1)
    for settings, words in (
        ({"chains": 5}, "must be even"),
        ({"draws": 20}, "need draws=64 or more"),
        ({"density": "mixture"}, "density must be"),
        ({"leapfrog": 0}, "leapfrog must be"),
        ({"memory": "1 kB"}, "does not hold the draws"),
    ):
        with pytest.raises(er.InputError, match=words):
            reciprocal_sampling(vae, examples, **settings)
    wide = er.VAE(
        er.priors.StandardNormal(50),
        er.posteriors.DiagonalNormal(nn.Linear(5, 100), 50),
        er.likelihoods.Normal(nn.Linear(50, 5), 5),
    )
    with pytest.raises(er.InputError, match=r"50 latent dimensions has 1,325 numbers to fit, which 1,008 draws"):
        reciprocal_sampling(wide, er.Batch(torch.zeros(1, 5), torch.arange(1)))
