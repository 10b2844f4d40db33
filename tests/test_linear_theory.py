"""The linear VAE, trained, against what the theory says of it: optimum, noise, columns, saddles, collapse."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import Tensor, nn

import elbowroom as er
from elbowroom.exact import LinearVAE, active_at, linear_elbo, optimal_encoder, stationary_points

rng = np.random.default_rng(0)
DIGITS = (load_digits().data + rng.random((1797, 64))) / 17
COVARIANCE = torch.tensor(np.cov(DIGITS.T, bias=True))
ASCENDING, VECTORS = torch.linalg.eigh(COVARIANCE)
EIGENVALUES, VECTORS = ASCENDING.flip(0), VECTORS.flip(1)


def train(covariance: Tensor, d: int, noise: float | None = None, steps: int = 400) -> tuple[Tensor, Tensor]:
    """Weights and σ² of a linear VAE trained on its ELBO by L-BFGS from random weights, q at its best throughout."""
    start = torch.Generator().manual_seed(0)
    scaled = torch.randn(len(covariance), d, generator=start, dtype=torch.float64).requires_grad_()
    log_noise = covariance.diagonal().mean().log() if noise is None else torch.tensor(math.log(noise)).double()
    free = [scaled, log_noise.requires_grad_()] if noise is None else [scaled]
    optimizer = torch.optim.LBFGS(
        free, max_iter=steps, history_size=100, line_search_fn="strong_wolfe", tolerance_grad=1e-9, tolerance_change=0.0
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        weights, variance = scaled * (log_noise / 2).exp(), log_noise.exp()
        value = -linear_elbo(covariance, weights, *optimal_encoder(weights, variance), variance)
        value.backward()
        return value

    optimizer.step(loss)
    return (scaled * (log_noise / 2).exp()).detach(), log_noise.exp().detach()


def as_vae(weights: Tensor, noise: Tensor, mean: Tensor) -> er.VAE:
    """An er.VAE with this decoder and the encoder that is best for it."""
    d, (encoder, variances) = weights.shape[1], optimal_encoder(weights, noise)
    networks = nn.Linear(len(weights), 2 * d).double(), nn.Linear(d, len(weights)).double()
    with torch.no_grad():
        networks[0].weight.zero_()[:d] = encoder
        networks[0].bias.copy_(torch.cat([-encoder @ mean, 0.5 * variances.log()]))
        networks[1].weight.copy_(weights)
        networks[1].bias.copy_(mean)
    posterior = er.posteriors.DiagonalNormal(networks[0], d, spread="exp", floor=0.0)
    likelihood = er.likelihoods.Normal(networks[1], len(weights), scale=float(noise.sqrt()))
    return er.VAE(er.priors.StandardNormal(d), posterior, likelihood).double()


@pytest.fixture(scope="module")
def ten() -> tuple[Tensor, Tensor]:
    return train(COVARIANCE, 10)


def test_trained_linear_vae_reaches_the_pca_optimum(ten: tuple[Tensor, Tensor]) -> None:
    """ELBO = exact log-likelihood = scikit-learn's PCA.score, and no gap is left."""
    examples = er.Batch(torch.tensor(DIGITS), torch.arange(len(DIGITS)))
    model = LinearVAE(as_vae(*ten, examples.x.mean(0)))
    elbo, exact = model.elbo(examples).mean(), model.log_prob(examples).mean()
    theirs = PCA(10, svd_solver="full").fit(DIGITS).score(DIGITS)
    assert float(elbo) == pytest.approx(theirs, abs=0.05)
    assert float(exact) == pytest.approx(theirs, abs=0.05)
    assert 0 <= float(model.gap(examples).mean()) < 0.001


def test_columns_are_scaled_principal_components(ten: tuple[Tensor, Tensor]) -> None:
    """The subspace, orthogonal columns, and their lengths² = eigenvalue − σ²."""
    weights, noise = ten
    basis = torch.linalg.qr(weights).Q
    cosines = torch.linalg.svdvals(basis.T @ VECTORS[:, :10])
    assert torch.rad2deg(torch.acos(cosines.min().clamp(max=1))) < 2
    gram = weights.T @ weights
    lengths = gram.diagonal().sort(descending=True).values
    assert (gram - gram.diag().diag()).abs().max() < 0.01 * lengths[-1]
    torch.testing.assert_close(lengths, EIGENVALUES[:10] - noise, rtol=0.01, atol=0)


@pytest.mark.parametrize("d", [1, 2, 5, 20, 35, 50])
def test_learned_noise_is_the_mean_discarded_eigenvalue(d: int) -> None:
    _, noise = train(COVARIANCE, d, steps=250)  # which leaves less than 0.5 %
    torch.testing.assert_close(noise, EIGENVALUES[d:].mean(), rtol=0.01, atol=0)


@pytest.mark.parametrize("used", [0, 1, 3, 6, 10])
def test_at_a_fixed_noise_the_active_units_are_the_eigenvalues_above_it(used: int) -> None:
    """With ten latents and σ² between two eigenvalues, the units above it are in use and the rest collapse."""
    edge = torch.cat([2 * EIGENVALUES[:1], EIGENVALUES])
    noise = float((edge[used] * edge[used + 1]).sqrt())
    weights, _ = train(COVARIANCE, 10, noise, steps=300)
    lengths = weights.square().sum(0).sort(descending=True).values
    expected = torch.zeros(10, dtype=torch.float64)
    expected[:used] = EIGENVALUES[:used] - noise
    torch.testing.assert_close(lengths, expected, rtol=0.02, atol=1e-4)
    assert active_at(EIGENVALUES, noise, latents=10) == used == int((lengths > 1e-3).sum())


def mean_log_prob(weights: Tensor, noise: float, covariance: Tensor) -> Tensor:
    """Mean log N(x; μ, W Wᵀ + σ² I) over data of this covariance."""
    size = len(covariance)
    model = weights @ weights.T + noise * torch.eye(size, dtype=weights.dtype)
    return -0.5 * (size * math.log(2 * math.pi) + torch.logdet(model) + torch.linalg.solve(model, covariance).trace())


def test_elbo_from_the_covariance_is_that_of_the_examples() -> None:
    weights, noise = 0.3 * torch.randn(64, 3, dtype=torch.float64), torch.tensor(0.2).double()
    examples = er.Batch(torch.tensor(DIGITS[:200]), torch.arange(200))
    mean, covariance = examples.x.mean(0), torch.tensor(np.cov(DIGITS[:200].T, bias=True))
    model = LinearVAE(as_vae(weights, noise, mean))
    expected = linear_elbo(covariance, weights, *optimal_encoder(weights, noise), noise)
    torch.testing.assert_close(model.elbo(examples).mean(), expected)
    cov = (weights @ weights.T + noise * torch.eye(64)).numpy()
    scipys = multivariate_normal(mean.numpy(), cov).logpdf(DIGITS[:200]).mean()
    assert float(mean_log_prob(weights, float(noise), covariance)) == pytest.approx(scipys)
    m = weights.T @ weights + noise * torch.eye(3)
    torch.testing.assert_close(scipys - expected, 0.5 * (m.diagonal().log().sum() - torch.logdet(m)))


SPECTRUM = torch.tensor([3.0, 2.0, 1.2, 0.6, 0.3], dtype=torch.float64)


@pytest.mark.parametrize("noise", [0.2, 0.8, 1.5, None])
def test_hessians_of_log_p_and_elbo_have_the_predicted_signs(noise: float | None) -> None:
    """At each stationary point; the ELBO's Hessian is over decoder, encoder and its variances together."""
    covariance, points = SPECTRUM.diag(), stationary_points(SPECTRUM, 2, noise_variance=noise)
    assert [point.stable for point in points] == [True] + [False] * (len(points) - 1)
    for point in points:
        weights, sigma2 = torch.zeros(5, 2, dtype=torch.float64), point.noise_variance
        for column, row in enumerate(point.retained):
            weights[row, column] = (SPECTRUM[row] - sigma2).sqrt()
        encoder, variances = optimal_encoder(weights, sigma2)
        whole = torch.cat([weights.flatten(), encoder.flatten(), variances.log().flatten()])

        def elbo(parts: Tensor, sigma2: float = sigma2) -> Tensor:
            return linear_elbo(covariance, parts[:10].view(5, 2), parts[10:20].view(2, 5), parts[20:].exp(), sigma2)

        def log_p(parts: Tensor, sigma2: float = sigma2) -> Tensor:
            return mean_log_prob(parts.view(5, 2), sigma2, covariance)

        flat = weights.flatten()
        assert float(elbo(whole)) == pytest.approx(point.log_prob, abs=1e-10)
        assert float(log_p(flat)) == pytest.approx(point.log_prob, abs=1e-10)
        assert torch.func.grad(elbo)(whole).abs().max() < 1e-10
        assert torch.func.grad(log_p)(flat).abs().max() < 1e-10
        steepest = torch.linalg.eigvalsh(torch.func.hessian(log_p)(flat))[-1]
        joint = torch.linalg.eigvalsh(torch.func.hessian(elbo)(whole))[-1]
        if point.stable:
            assert max(steepest, joint) < 1e-8
        else:
            assert float(steepest) == pytest.approx(point.curvature, rel=1e-8)
            assert joint > 1e-3


def test_learned_noise_adds_no_other_maximum() -> None:
    points = stationary_points(SPECTRUM, 2)
    assert points[0].retained == (0, 1)
    assert points[0].noise_variance == pytest.approx(0.7)
    assert points[0].log_prob == pytest.approx(
        -0.5 * (5 * math.log(2 * math.pi) + math.log(3.0 * 2.0 * 0.7**3) + 5.0), abs=1e-12
    )


def test_a_hundred_random_starts_end_at_one_elbo() -> None:
    """Eight columns of digits, three latents, decoder and σ² trained side by side, q at its best throughout."""
    busiest = np.argsort(DIGITS.var(0))[-8:]
    covariance = torch.tensor(np.cov(DIGITS[:, busiest].T, bias=True))
    start = torch.Generator().manual_seed(1)
    scaled = torch.randn(100, 8, 3, generator=start, dtype=torch.float64).mul_(2).requires_grad_()
    log_noise = torch.randn(100, generator=start, dtype=torch.float64).sub_(2).requires_grad_()
    optimizer = torch.optim.Adam([scaled, log_noise], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1200)
    for _ in range(1200):
        optimizer.zero_grad()
        noise = log_noise.exp()
        weights = scaled * noise.sqrt()[:, None, None]
        elbo = linear_elbo(covariance, weights, *optimal_encoder(weights, noise), noise)
        (-elbo.sum()).backward()
        optimizer.step()
        schedule.step()
    values = torch.linalg.eigvalsh(covariance).flip(0)
    best = stationary_points(values, 3)[0]
    assert best.retained == (0, 1, 2)
    np.testing.assert_allclose(elbo.detach(), best.log_prob, atol=1e-3)


def test_what_has_no_stationary_points_is_refused() -> None:
    with pytest.raises(er.InputError, match="latents must"):
        stationary_points([2.0, 1.0], 2)
    with pytest.raises(er.InputError, match="must be positive"):
        stationary_points([2.0, 1.0], 1, noise_variance=0.0)
    with pytest.raises(er.InputError, match="greatest first"):
        active_at([1.0, 2.0], 0.5)
    with pytest.raises(er.InputError, match="too many subsets"):
        stationary_points(EIGENVALUES, 10)


@pytest.mark.parametrize(
    ("beta", "least", "most"), [(0.1, 1.0, 1.0), (0.5, 1.0, 1.0), (0.9, 0.9, 1.0), (1.0, 0.0, 0.0), (2.0, 0.0, 0.0)]
)
def test_below_beta_one_the_objective_is_no_bound(beta: float, least: float, most: float) -> None:
    """Share of the digits at which −D − βR of the best linear model for that β exceeds its exact log p(x).

    Its ELBO never does, nor does that at the σ² of calibration.
    """
    examples = er.Batch(torch.tensor(DIGITS), torch.arange(len(DIGITS)))
    noise, mean = EIGENVALUES[10:].mean(), examples.x.mean(0)
    weights = VECTORS[:, :10] * (EIGENVALUES[:10] - beta * noise).clamp_min(0).sqrt()  # the best for σ² and β
    vae = as_vae(weights, beta * noise, mean)
    vae.likelihood.scale = float(noise.sqrt())
    model = LinearVAE(vae)
    exact, rate, distortion = model.log_prob(examples), model.rate(examples), model.distortion(examples)
    above = (-distortion - beta * rate > exact + 1e-9).double().mean()
    assert least <= above <= most
    assert (-distortion - rate <= exact + 1e-9).all()
    error = 2 * noise * (distortion.mean() - 32 * (2 * math.pi * noise).log())
    vae.likelihood.scale = float((error / 64).sqrt())
    calibrated = LinearVAE(vae)
    assert (calibrated.elbo(examples) <= calibrated.log_prob(examples) + 1e-9).all()
    assert calibrated.elbo(examples).mean() >= -(distortion + rate).mean() - 1e-9
