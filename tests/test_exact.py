"""The oracles against answers that nobody here wrote, and against each other."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm
from sklearn.decomposition import PCA, FactorAnalysis
from torch import nn

import elbowroom as er
from elbowroom.exact import LinearVAE, ProbabilisticPCA, log_evidence_by_quadrature

rng = np.random.default_rng(0)
TABLE = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 7)) + 0.3 * rng.normal(size=(60, 7)) + 2.0


def linear_vae(d: int = 2, event: int = 7, scale: object = 0.7, preprocess: object = None) -> er.VAE:
    torch.manual_seed(3)
    return er.VAE(
        er.priors.StandardNormal(d),
        er.posteriors.DiagonalNormal(nn.Linear(event, 2 * d), d),
        er.likelihoods.Normal(nn.Linear(d, event), event, scale=scale, start=0.5),
        preprocess,
    ).double()


def batch(n: int = 6, event: int = 7) -> er.Batch:
    return er.Batch(torch.tensor(TABLE[:n, :event]) - 2.0, torch.arange(n))


@pytest.mark.parametrize("d", [1, 3, 5])
def test_probabilistic_pca_is_sklearns(d: int) -> None:
    model, theirs = ProbabilisticPCA.fit(TABLE, d), PCA(d, svd_solver="full").fit(TABLE)
    np.testing.assert_allclose(model.log_prob(TABLE).numpy(), theirs.score_samples(TABLE), rtol=1e-10)
    assert model.noise_variance == pytest.approx(theirs.noise_variance_, rel=1e-10)


def test_linear_vae_with_factor_analysis_inside_has_its_likelihood() -> None:
    fa = FactorAnalysis(2).fit(TABLE)
    vae = linear_vae(scale="feature")
    with torch.no_grad():
        vae.likelihood.network.weight.copy_(torch.tensor(fa.components_.T))
        vae.likelihood.network.bias.copy_(torch.tensor(fa.mean_))
        above = torch.tensor(fa.noise_variance_).sqrt() - vae.likelihood.floor_value
        vae.likelihood.raw.copy_(above.expm1().log() - vae.likelihood.offset)
    examples = er.Batch(torch.tensor(TABLE), torch.arange(len(TABLE)))
    np.testing.assert_allclose(LinearVAE(vae).log_prob(examples).numpy(), fa.score_samples(TABLE), rtol=1e-9)


@pytest.mark.parametrize("scale", [0.7, "shared", "feature"])
def test_log_p_and_posterior_are_those_of_the_joint_gaussian(scale: object) -> None:
    vae, examples = linear_vae(scale=scale), batch()
    model = LinearVAE(vae)
    w, mean, noise = model.weights.numpy(), model.mean.numpy(), np.diag(model.noise.numpy())
    joint = np.block([[np.eye(2), w.T], [w, w @ w.T + noise]])
    x, z = examples.x.numpy(), rng.normal(size=(6, 2))
    log_joint = multivariate_normal(np.r_[0, 0, mean], joint).logpdf(np.c_[z, x])
    log_x = multivariate_normal(mean, w @ w.T + noise).logpdf(x)
    np.testing.assert_allclose(model.log_prob(examples).numpy(), log_x, rtol=1e-10)
    np.testing.assert_allclose(
        model.posterior(examples).log_prob(torch.tensor(z)).numpy(), log_joint - log_x, rtol=1e-8
    )


@pytest.mark.parametrize("scale", [0.7, "shared", "feature"])
def test_three_forms_of_the_bound_agree(scale: object) -> None:
    """Mean log weight by Gauss–Hermite, reconstruction − KL, and log p − KL to the posterior."""
    vae, examples = linear_vae(scale=scale), batch()
    model = LinearVAE(vae)
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)  # exact: the integrand is quadratic in the noise
    pairs = torch.tensor(np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 1, 2))
    share = torch.tensor(np.outer(weights, weights).reshape(-1, 1) / (2 * np.pi))
    with torch.no_grad():
        jensen = (share * vae(examples, {"z": pairs.expand(-1, 6, -1)}).log_weight).sum(0)
    torch.testing.assert_close(jensen, model.elbo(examples), rtol=0, atol=1e-8)
    torch.testing.assert_close(jensen, model.log_prob(examples) - model.gap(examples), rtol=0, atol=1e-8)
    torch.testing.assert_close(-model.rate(examples) - model.distortion(examples), jensen, rtol=0, atol=1e-8)


def test_log_jacobian_of_preprocessing_is_counted() -> None:
    plain, moved = linear_vae(), linear_vae(preprocess=er.preprocess.Affine(2.0, shift=-1.0))
    examples = batch()
    doubled = er.Batch((examples.x + 1.0) / 2.0, examples.index)
    expected = LinearVAE(plain).log_prob(examples) + 7 * np.log(2.0)
    torch.testing.assert_close(LinearVAE(moved).log_prob(doubled), expected)
    torch.testing.assert_close(LinearVAE(moved).elbo(doubled), LinearVAE(plain).elbo(examples) + 7 * np.log(2.0))


@pytest.mark.parametrize("d", [1, 2])
def test_quadrature_is_exact_on_the_linear_vae(d: int) -> None:
    vae, examples = linear_vae(d), batch()
    found = log_evidence_by_quadrature(vae, examples, nodes=300)
    np.testing.assert_allclose(found.values, LinearVAE(vae).log_prob(examples).numpy(), rtol=1e-10)
    assert found.direction == "exact"


def test_quadrature_of_a_bernoulli_vae_is_scipys() -> None:
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 5)).double()
    vae = er.VAE(
        er.priors.StandardNormal(1),
        er.posteriors.DiagonalNormal(nn.Linear(5, 2), 1),
        er.likelihoods.Bernoulli(decoder, 5),
    ).double()
    x = torch.tensor([[0, 1, 1, 0, 1], [1, 1, 1, 1, 1]], dtype=torch.float64)

    def density(z: float, row: torch.Tensor) -> float:
        with torch.no_grad():
            on = decoder(torch.tensor([[z]], dtype=torch.float64))[0].sigmoid().numpy()
        return norm.pdf(z) * np.prod(np.where(row.numpy() > 0.5, on, 1 - on))

    expected = [np.log(quad(density, -9, 9, args=(row,), epsabs=1e-13)[0]) for row in x]
    found = log_evidence_by_quadrature(vae, er.Batch(x, torch.arange(2)), nodes=400)
    np.testing.assert_allclose(found.values, expected, rtol=1e-9)


def test_what_is_not_linear_is_refused() -> None:
    with pytest.raises(er.CapabilityError, match="networks and a Normal"):
        LinearVAE(_mlp_vae())
    with pytest.raises(er.CapabilityError, match="one or two"):
        log_evidence_by_quadrature(linear_vae(3), batch())
    with pytest.raises(er.InputError, match="d=7"):
        ProbabilisticPCA.fit(TABLE, 7)


def _mlp_vae() -> er.VAE:
    return er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(er.networks.MLP([7, 8, 4]), 2),
        er.likelihoods.Normal(er.networks.MLP([2, 8, 7]), 7),
    )
