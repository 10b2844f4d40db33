"""Statistics of z against a linear encoder of normal data, whose aggregate posterior is a normal that is known."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import elbowroom as er
from elbowroom.adapters import from_modules
from elbowroom.metrics import latent_statistics

N, C, P = 4_000, 2, 3
SHIFT, GAIN, NARROW = np.array([1.0, -0.5]), np.array([[2.0, 0.0], [1.5, 0.5]]), 0.1


class Linear(nn.Module):
    """x [n, 1, 2, 3] → mu [n, 2, 3] = GAIN x + SHIFT at every position, σ = NARROW."""

    def __init__(self, gain: np.ndarray = GAIN) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain, dtype=torch.float32))

    def forward(self, x: torch.Tensor):
        mu = torch.einsum("dc,ncp->ndp", self.gain, x.squeeze(1)) + torch.tensor(SHIFT, dtype=torch.float32)[:, None]
        return mu, torch.full_like(mu, 2 * math.log(NARROW))


def data() -> er.data.Dataset:
    return er.load_data(np.random.default_rng(0).normal(size=(N, C, P)), test=0.4, preprocess="none", flat=False)


def made(**more) -> er.VAE:
    likelihood = er.likelihoods.Normal(None, (1, C, P), scale=0.25)
    return from_modules(Linear(**more), nn.Flatten(), likelihood)


def test_every_statistic_is_that_of_the_known_aggregate_posterior() -> None:
    found = latent_statistics(made(), data(), components=3, seed=1)
    cov = GAIN @ GAIN.T + NARROW**2 * np.eye(C)
    n = found.per_channel.n * P
    spread_of_means = np.sqrt(np.diag(GAIN @ GAIN.T))
    np.testing.assert_allclose(found.means, SHIFT, atol=4 * spread_of_means.max() / math.sqrt(n))
    np.testing.assert_allclose(found.deviations, spread_of_means, rtol=4 / math.sqrt(2 * n))
    np.testing.assert_allclose(found.spread, NARROW, rtol=1e-4)
    np.testing.assert_allclose(found.narrowness, NARROW / np.sqrt(np.diag(cov)), rtol=4 / math.sqrt(2 * n))
    pooled = cov.trace() / C + SHIFT.var()
    assert 1 / found.scale_factor**2 == pytest.approx(pooled, rel=0.05)
    own = 0.5 * P * (np.diag(cov) + SHIFT**2 - 1 - np.log(np.diag(cov))).sum()
    whole = own + 0.5 * P * (np.log(np.diag(cov)).sum() - np.linalg.slogdet(cov)[1])
    for score, exact in ((found.per_channel, own), (found.across_channels, whole), (found.mixture, whole)):
        assert abs(score.value - exact) < 4 * score.se + 0.05, (score, exact)
    second = cov.diagonal() + SHIFT**2
    np.testing.assert_allclose(found.kl.sum(), P * 0.5 * (second - 1 - 2 * math.log(NARROW)).sum(), rtol=0.05)
    assert found.noise == pytest.approx(0.25)
    assert found.in_use.all()
    assert found.practically_deterministic == bool((found.narrowness < 0.1).all())
    assert str(found).count("\n") == 3


def test_a_channel_that_says_nothing_is_not_in_use() -> None:
    found = latent_statistics(made(gain=np.array([[2.0, 0.0], [0.0, 0.0]])), data(), components=1)
    assert found.in_use.tolist() == [True, False]
    assert found.narrowness[1] == pytest.approx(1.0)
    assert found.practically_deterministic
    assert "1 of 2 channels in use" in str(found)
    assert "practically deterministic" in str(found)


def test_what_has_no_such_statistics_is_refused() -> None:
    with pytest.raises(er.InputError, match="There is no block 'y'; the model has z"):
        latent_statistics(made(), data(), block="y")
    classes = er.VAE(
        er.priors.Categorical(3),
        er.posteriors.Categorical(nn.Linear(2, 3), 3),
        er.likelihoods.Normal(nn.Linear(3, 2), 2),
    )
    with pytest.raises(er.CapabilityError, match="not over real numbers"):
        latent_statistics(classes, er.load_data(np.random.default_rng(0).normal(size=(40, 2)), preprocess="none"))
