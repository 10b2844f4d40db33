"""Automatic relevance finds the size that was planted, where theory says that it can."""

import math

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor, nn

import elbowroom as er
from elbowroom.priors import Relevance

D, N = 30, 1_000


def planted(rank: int, signal: float = 4.0, seed: int = 0) -> np.ndarray:
    """Rows of a normal whose covariance has `rank` eigenvalues of 1 + signal, and 1 elsewhere."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(D, rank)))[0] * math.sqrt(signal)
    return rng.normal(size=(N, rank)) @ axes.T + rng.normal(size=(N, D))


def found(x: np.ndarray, latents: int, steps: int = 500) -> tuple[Relevance, float]:
    """A linear decoder and its noise, trained with the best q throughout, so that the ELBO is log p(x)."""
    covariance = torch.tensor(np.cov(x.T, bias=True))
    decoder = nn.Linear(latents, D, bias=False).double()
    prior = Relevance(latents, decoder).double()
    prior.weigh_against(len(x))
    nn.init.normal_(decoder.weight, std=0.3, generator=torch.Generator().manual_seed(0))
    log_noise = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([decoder.weight, log_noise], lr=0.05)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = prior.weight_penalty() - elbo(covariance, decoder.weight, log_noise.exp())
        loss.backward()
        optimizer.step()
        schedule.step()
    return prior, log_noise.exp().item()


def elbo(covariance: Tensor, weights: Tensor, noise: Tensor) -> Tensor:
    """log p(x) of probabilistic PCA, a mean over the data."""
    model = weights @ weights.T + noise * torch.eye(D).double()
    return -(torch.logdet(model) + torch.trace(torch.linalg.solve(model, covariance))) / 2


@pytest.mark.parametrize("rank", [1, 3, 8, 20])
def test_the_planted_size_is_found_as_pca_s_evidence_finds_it(rank: int) -> None:
    x = planted(rank)
    prior, noise = found(x, 24)
    gamma = D / N
    edge = 1 + 2 * gamma + 2 * math.sqrt(gamma * (1 + gamma))
    expected = int((np.linalg.eigvalsh(np.cov(x.T, bias=True)) / noise > edge).sum())
    assert int(prior.relevant().sum()) == expected == rank
    assert PCA("mle").fit(x).n_components_ == rank
    assert prior.state_words() == [f"{rank} of 24 latents relevant"]


def test_what_is_too_weak_is_lost_as_theory_says() -> None:
    """The sample variance of a direction of 1.2 mostly lies above the edge of pure noise only where N is larger."""
    x = planted(3, signal=0.2)
    prior, noise = found(x, 6)
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True)) / noise
    gamma = D / N
    assert int(prior.relevant().sum()) == int((values > 1 + 2 * gamma + 2 * math.sqrt(gamma * (1 + gamma))).sum()) < 3


def test_the_penalty_is_that_of_weights_whose_precision_is_integrated_out() -> None:
    """∫ Π N(w; 0, 1 / α) Gamma(α; ε, floor² / 2) dα as ε → 0, by quadrature over log α, up to a constant."""
    decoder = nn.Linear(2, 3).double()
    prior = Relevance(2, decoder, floor=0.3).double()
    assert prior.weight_penalty().item() == 0
    prior.weigh_against(7)
    log_alpha = torch.linspace(-30, 30, 20_001, dtype=torch.float64)

    def by_quadrature(weights: Tensor) -> Tensor:
        squares = weights.square().sum(0).unsqueeze(1) + 0.3**2
        log_density = (1.5 * log_alpha - log_alpha.exp() * squares / 2).logsumexp(1)
        return -log_density.sum() / 7

    other = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)).double()
    before = prior.weight_penalty().item() - by_quadrature(decoder.weight).item()
    with torch.no_grad():
        decoder.weight.copy_(other)
    assert prior.weight_penalty().item() - by_quadrature(other).item() == pytest.approx(before, abs=1e-6)


def test_it_trains_by_a_word_and_leaves_the_density_alone(tmp_path) -> None:
    data = er.load_data(planted(2).astype(np.float32), name="planted", validation=100, test=100)
    recipe = er.models.Recipe().where(model="bayesian-pca", latents=5, seed=1)
    vae = er.models.build(recipe, data)
    history = er.fit(vae, data, er.models.goal(recipe), epochs=1, batch_size=200, select="last", progress=False)
    assert vae.prior["z"].examples.item() == 800
    last = history.rows[-1]["train"]
    assert last["objective"] == pytest.approx(last["rate"] + last["distortion"], rel=1e-4)
    back = er.load_model(er.save_model(vae, tmp_path / "m.vae"))
    assert back.prior["z"].decoder is back.likelihood.network
    with pytest.raises(er.InputError, match="first layer is linear and reads 3 latents"):
        Relevance(3, nn.Identity())
