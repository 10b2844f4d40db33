"""What decides the split of variance, in quick versions of reproductions/variance_splits."""

import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

import elbowroom as er
from elbowroom.exact import ProbabilisticPCA, active_at
from elbowroom.metrics import latent_use, reconstruction_error, variance_budget
from elbowroom.remedies import calibrate


def made(data, latents: int, scale: float | str = 1.0, hidden: tuple[int, ...] = (), seed: int = 0) -> er.VAE:
    def network(inputs: int, outputs: int) -> nn.Module:
        return er.networks.MLP([inputs, *hidden, outputs]) if hidden else nn.Linear(inputs, outputs)

    torch.manual_seed(seed)
    pixels = math.prod(data.event)
    return er.VAE(
        er.priors.StandardNormal(latents),
        er.posteriors.DiagonalNormal(network(pixels, 2 * latents), latents),
        er.likelihoods.Normal(network(latents, pixels), pixels, scale=scale),
        preprocess=data.preprocess,
    )


def stacked(vaes: list[er.VAE], data, betas: list[float], **settings) -> None:
    er.fit_stacked(vaes, data, [er.objectives.Elbo(b) for b in betas], select="last", progress=False, **settings)


def seen(data, examples) -> np.ndarray:
    noise = er.numerics.keyed_uniform(data.event, examples.index, 0)
    return data.preprocess(examples.x, noise)[0].double().numpy()


@pytest.fixture(scope="module")
def digits():
    return er.load_data("digits")


def test_a_latent_is_flagged_as_unused_in_every_model_whose_noise_exceeds_the_first_eigenvalue(digits) -> None:
    """β at σ = 1 is σ², so a scan over σ² is one stack; the theory is of linear models, these are linear."""
    eigenvalues = np.linalg.eigvalsh(np.cov(seen(digits, digits.train).T, bias=True))[::-1]
    noises = [3.0 * float(eigenvalues[0])] * 10 + [0.3 * float(eigenvalues[0])] * 10
    vaes = [made(digits, 1, seed=seed) for seed in range(20)]
    stacked(vaes, digits, noises, epochs=30, batch_size=150, lr=5e-2, lr_final=5e-3)
    uses = [latent_use(model, digits.test) for model in vaes]
    assert [active_at(eigenvalues, noise, latents=1) for noise in noises] == [0] * 10 + [1] * 10
    assert [int(use.active.sum()) for use in uses] == [0] * 10 + [1] * 10
    assert max(use.kl.max() for use in uses[:10]) < 0.01


def test_beta_zero_is_an_autoencoder_whose_encoder_is_trained_to_a_point(digits) -> None:
    """A linear one leaves what PCA leaves, and the sd of q falls to nothing beside the means."""
    model = made(digits, 1)
    batch = digits.test.batch()
    given, _ = model.given(batch, model.keyed_noise(0, batch.index, 0))
    before = model.posterior["z"](given).stddev.median()
    settings = {"epochs": 80, "batch_size": 150, "lr": 1e-1, "lr_final": 1e-3}
    er.fit(model, digits, er.objectives.Elbo(0.0), select="last", progress=False, **settings)
    q = model.posterior["z"](given)
    assert before > 0.5
    assert (q.stddev[0] / q.mean[0].std(0)).median() < 0.1
    test, pca = seen(digits, digits.test), PCA(1).fit(seen(digits, digits.train))
    left = ((test - pca.inverse_transform(pca.transform(test))) ** 2).sum(1)
    assert reconstruction_error(model, digits.test) == pytest.approx(left.mean(), rel=0.05)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_planted_latent_share_is_recovered_by_learned_noise_and_by_calibrating(share: float) -> None:
    """Linear: every pixel has variance 1, `share` of it from one latent. σ = 1 as it is misses the share."""
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(1, 8))
    weights *= math.sqrt(share) / np.linalg.norm(weights, axis=0)
    x = generator.normal(size=(2_500, 1)) @ weights + math.sqrt(1 - share) * generator.normal(size=(2_500, 8))
    data = er.load_data(x, support="real", preprocess="none", validation=200, test=300)
    closed = ProbabilisticPCA.fit(data.train.x, 1)
    latent = float(closed.weights.square().sum())
    expected = latent / (latent + 8 * closed.noise_variance)
    assert expected == pytest.approx(share, abs=0.02)

    settings = {"epochs": 16, "batch_size": 100, "lr": 0.1, "lr_final": 3e-3, "select": "last", "progress": False}
    learned, raw = made(data, 1, "shared"), made(data, 1)
    er.fit(learned, data, **settings)
    er.fit(raw, data, er.objectives.Elbo(closed.noise_variance), **settings)
    calibrated = calibrate(raw, data, draws=2).vae
    for model in (learned, calibrated):
        budget = variance_budget(model, data.train)
        assert abs(budget.latent_share - expected) < 0.01 + 4 * budget.latent_share_se
    missed = variance_budget(raw, data.train)
    assert expected - missed.latent_share > 0.01 + 4 * missed.latent_share_se
    assert missed.thrown_away > 1 - expected
