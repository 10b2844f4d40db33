"""What the shipped objectives and procedures compute, against closed forms, quadrature and hand computation."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import elbowroom as er
from elbowroom.distributions import draw
from elbowroom.numerics import Batch, CapabilityError
from elbowroom.objectives import Elbo, Geco, Iwae
from elbowroom.objectives.discrepancy import squared_discrepancy
from elbowroom.procedures import Adversarial, Phase, Procedure, ReweightedWakeSleep, TotalCorrelation, WakeSleep
from elbowroom.training import TrainingStep

END = torch.tensor(math.inf)


def linear_vae(latents: int = 1, features: int = 3, scale: float = 0.7, seed: int = 3) -> er.VAE:
    torch.manual_seed(seed)
    encoder, decoder = nn.Linear(features, 2 * latents), nn.Linear(latents, features)
    return er.VAE(
        er.priors.StandardNormal(latents),
        er.posteriors.DiagonalNormal(encoder, latents),
        er.likelihoods.Normal(decoder, features, scale=scale),
    ).double()


def examples(n: int, features: int = 3) -> Batch:
    x = torch.randn(n, features, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Batch(x, torch.arange(n))


def gradient(total: Tensor, module: nn.Module) -> Tensor:
    found = torch.autograd.grad(total, list(module.parameters()), allow_unused=True)
    pairs = zip(found, module.parameters(), strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


# IWAE -----------------------------------------------------------------------------------------------------------------


def log_weights(vae: er.VAE, x: Tensor, noise: np.ndarray) -> np.ndarray:
    """log p(x, z) − log q(z | x) of one x at z = μ + σ · noise, by SciPy."""
    with torch.no_grad():
        q = vae.posterior["z"]({"x": x[None, None]})
    mean, std = q.mean.item(), q.stddev.item()
    z = mean + std * noise
    net = vae.likelihood.network
    decoded = z[..., None] * net.weight.detach().numpy()[:, 0] + net.bias.detach().numpy()
    log_p = stats.norm.logpdf(x.numpy(), decoded, 0.7).sum(-1) + stats.norm.logpdf(z)
    return log_p - stats.norm.logpdf(z, mean, std)


def test_iwae_is_the_bound_by_quadrature() -> None:
    """E log ½ (w₁ + w₂) over two standard normals, by Gauss–Hermite in each."""
    vae, batch = linear_vae(), examples(1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    one, two = (log_weights(vae, batch.x[0], side) for side in np.meshgrid(nodes, nodes))
    exact = ((np.logaddexp(one, two) - math.log(2)) * np.outer(weights, weights)).sum() / (2 * math.pi)
    many = Batch(batch.x.expand(40_000, -1), torch.arange(40_000))
    noise = vae.keyed_noise(2, many.index, seed=0)
    total = Iwae(draws=2)(vae, many, noise, END).total.item()
    log_w = log_weights(vae, batch.x[0], noise["z"][..., 0].numpy())
    standard_error = np.logaddexp(log_w[0], log_w[1]).std() / math.sqrt(40_000)
    assert 0 < standard_error < 0.02
    assert abs(-total - exact) < 4 * standard_error


def test_iwae_with_many_draws_is_log_p() -> None:
    vae, batch = linear_vae(), examples(5)
    noise = vae.keyed_noise(50_000, batch.index, seed=0)
    exact = er.exact.LinearVAE(vae).log_prob(batch).mean().item()
    assert -Iwae(draws=50_000)(vae, batch, noise, END).total.item() == pytest.approx(exact, abs=0.03)


def test_the_gradient_of_iwae_weighs_each_draw_by_its_importance() -> None:
    vae, batch = linear_vae(latents=2), examples(4)
    noise = vae.keyed_noise(3, batch.index, seed=0)
    log_w = vae(batch, noise).log_weight
    expected = torch.zeros(sum(p.numel() for p in vae.parameters()), dtype=torch.float64)
    for i in range(4):
        share = torch.softmax(log_w[:, i].detach(), 0)
        for k in range(3):
            expected -= share[k] * gradient(vae(batch, noise).log_weight[k, i], vae) / 4
    found = gradient(Iwae(draws=3)(vae, batch, noise, END).total, vae)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_iwae_of_one_draw_is_the_sampled_elbo() -> None:
    vae, batch = linear_vae(latents=2), examples(7)
    noise = vae.keyed_noise(1, batch.index, seed=0)
    totals = [objective(vae, batch, noise, END).total for objective in (Iwae(draws=1), Elbo(kl="sampled"))]
    torch.testing.assert_close(totals[0], totals[1], rtol=1e-13, atol=0)
    torch.testing.assert_close(gradient(totals[0], vae), gradient(totals[1], vae), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("draws", [0, -3])
def test_iwae_needs_a_draw(draws: int) -> None:
    with pytest.raises(er.InputError, match="draws of 1 or more"):
        Iwae(draws=draws)


# GECO -----------------------------------------------------------------------------------------------------------------


def test_the_multiplier_follows_the_moving_average_of_the_violation() -> None:
    vae, batch = linear_vae(), examples(6)
    objective = Geco(tolerance=5.0, speed=0.3, memory=0.8, penalty=2.0).double()
    log_multiplier, average = 0.0, math.nan
    for seed in range(9):
        if seed == 5:
            objective.tolerance.fill_(500.0)  # far on the other side
        noise = vae.keyed_noise(1, batch.index, seed)
        loss = objective(vae, batch, noise, END)
        terms = vae(batch, noise)
        violation = -terms.log_likelihood.mean().item() - objective.tolerance.item()
        total = terms.rate().mean().item() + math.exp(log_multiplier) * violation
        assert loss.total.item() == pytest.approx(total, rel=1e-12)
        assert loss.logged["multiplier"].item() == pytest.approx(math.exp(log_multiplier))
        average = violation if math.isnan(average) else 0.8 * average + 0.2 * violation
        log_multiplier += 0.3 * min(max(average, -1.0), 1.0)
        log_multiplier = min(max(log_multiplier, -math.log(2)), math.log(2))
        for name, value in loss.moved.items():
            getattr(objective, name).copy_(value)
    assert objective.log_multiplier.item() == pytest.approx(log_multiplier, rel=1e-12)


def test_geco_ends_on_the_rate_distortion_curve() -> None:
    """A linear VAE of full width has the curve of a Gaussian source, reverse water-filling: θ in every direction.

    R = ½ Σ log (λ_i / θ) and D = d θ / 2σ² + d/2 log 2πσ², with λ the eigenvalues of the data's covariance.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2_020, 2)) * [2.0, 1.2]
    data = er.load_data(x - x.mean(0), validation=10, test=10, preprocess="none")
    train = data.train.x.double()
    eigenvalues = torch.linalg.eigvalsh((train - train.mean(0)).T @ (train - train.mean(0)) / len(train))
    theta, variance = 0.25, 0.25  # the tolerance is the distortion at θ
    tolerance = 2 * theta / (2 * variance) + math.log(2 * math.pi * variance)
    optimum = 0.5 * (eigenvalues / theta).log().sum().item()
    vae = linear_vae(2, 2, scale=math.sqrt(variance))
    how = Geco(tolerance)
    settings = {"epochs": 100, "batch_size": 200, "lr": 3e-2, "lr_final": 1e-3, "select": "last", "progress": False}
    history = er.fit(vae, data, how, **settings)
    rate, distortion, _ = er.evidence.rate_distortion(vae, data.train, draws=64)
    assert distortion.mean == pytest.approx(tolerance, abs=0.02 + 4 * distortion.se_mc)
    # Nothing of this distortion has a smaller rate, and a nat of distortion is worth λ = 1/(θ/σ²) = 1 nats of rate.
    assert -0.03 - 4 * distortion.se_mc < rate.mean - optimum < 0.03
    assert history.rows[-1]["train"]["multiplier"] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    "numbers", [{"tolerance": math.nan}, {"speed": 0.0}, {"memory": 1.0}, {"penalty": 0.5}, {"draws": 0}]
)
def test_geco_refuses_what_it_cannot_be(numbers: dict[str, float]) -> None:
    with pytest.raises(er.InputError, match=r"Geco needs|tolerance must be a finite number; got nan\."):
        Geco(**{"tolerance": 1.0} | numbers)


# Wake–sleep -----------------------------------------------------------------------------------------------------------


def test_wake_has_the_gradient_of_the_elbo_for_the_model() -> None:
    """The entropy of q does not depend on prior and likelihood."""
    vae, batch = linear_vae(latents=2), examples(6)
    step = TrainingStep(vae, WakeSleep())
    noise = step.keyed_noise(1, batch.index, 0)
    wake = gradient(step(batch, noise, END, "wake").total, vae.likelihood)
    bound = gradient(Elbo()(vae, batch, noise, END).total, vae.likelihood)
    torch.testing.assert_close(wake, bound, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        terms = vae(batch, noise)
        joint = stats.norm.logpdf(terms.z["z"].numpy()).sum(-1) + terms.log_likelihood.numpy()
    assert step(batch, noise, END, "wake").total.item() == pytest.approx(-joint.mean(), rel=1e-12)


def test_sleep_is_the_mean_over_dreams_on_the_likelihoods_scale() -> None:
    """E −log q(z | y) over z ~ N(0, 1), y = W z + b + σ ε in closed form, whatever the preprocessing and the batch."""
    vae = linear_vae(features=3)
    vae.preprocess = er.preprocess.Affine(100.0, shift=7.0)
    with torch.no_grad():
        vae.posterior["z"].network.weight[1].zero_()  # a spread that does not depend on y
        spread = vae.posterior["z"]({"x": torch.zeros(1, 1, 3).double()}).stddev.item()
        weight, bias = vae.likelihood.network.weight[:, 0], vae.likelihood.network.bias
        reads, shift = vae.posterior["z"].network.weight[0], vae.posterior["z"].network.bias[0]
        # z − μ(y) = (1 − r·W) z − r·b − shift − σ r·ε
        square = (1 - reads @ weight) ** 2 + (reads @ bias + shift) ** 2 + 0.49 * reads @ reads
        exact = 0.5 * math.log(2 * math.pi * spread**2) + square.item() / (2 * spread**2)
    step, batch = TrainingStep(vae, WakeSleep()), examples(40_000)
    noise = step.keyed_noise(1, batch.index, 0)
    per_group = [
        step(batch.rows(rows), {n: v[:, rows] for n, v in noise.items()}, END, "sleep").total.item()
        for rows in (slice(i, i + 400) for i in range(0, 40_000, 400))
    ]
    standard_error = np.std(per_group, ddof=1) / 10
    assert abs(np.mean(per_group) - exact) < 4 * standard_error


def test_sleep_alone_teaches_q_the_exact_posterior() -> None:
    data = er.load_data(np.random.default_rng(0).normal(size=(2_020, 3)), validation=10, test=10, preprocess="none")
    vae = linear_vae()
    with torch.no_grad():
        vae.posterior["z"].network.weight[1].zero_()  # the exact spread does not depend on x
    sleep = WakeSleep()["sleep"].objective
    how = Procedure({"sleep": Phase(sleep, parts=("posterior",))})
    er.fit(vae, data, how, epochs=40, batch_size=100, lr=3e-2, lr_final=1e-3, select="last", progress=False)
    points = Batch(vae.sample(50), torch.arange(50))  # where q was taught
    exact = er.exact.LinearVAE(vae).posterior(points)
    q = vae.posterior["z"]({"x": points.x.double()[None]})
    assert (q.mean[0] - exact.mean).abs().max() < 0.05
    assert (q.stddev[0, :, 0] / exact.variance[:, 0].sqrt() - 1).abs().max() < 0.05


def test_a_bernoulli_draw_has_the_right_share_of_ones_and_no_gradient() -> None:
    logits = torch.tensor([-200.0, -3.0, 0.0, 1.5, 200.0], dtype=torch.float64)
    noise = torch.randn(100_000, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for family in (torch.distributions.Bernoulli(logits=logits), torch.distributions.Bernoulli(logits.sigmoid())):
        value, log_density = draw(family, noise)
        p = logits.sigmoid()
        assert ((value.mean(0) - p).abs() <= 4 * (p * (1 - p) / 100_000).sqrt()).all()
        torch.testing.assert_close(log_density(), family.log_prob(value))
    with pytest.raises(CapabilityError, match="carries no gradient"):
        draw(torch.distributions.Bernoulli(logits=logits.requires_grad_()), noise)


# Reweighted wake–sleep ------------------------------------------------------------------------------------------------


def test_the_weighted_gradient_of_q_is_that_of_the_divergence_from_the_exact_posterior() -> None:
    """E_{p(z|x)} ∇ log q(z | x) in closed form for a linear model and a normal q; many draws leave little bias."""
    vae, batch = linear_vae(), examples(3)
    step = TrainingStep(vae, ReweightedWakeSleep(draws=4_000))
    noise = step.keyed_noise(4_000, batch.index, 0)
    found = gradient(step(batch, noise, END, "posterior").total, vae.posterior)
    exact, q = er.exact.LinearVAE(vae).posterior(batch), vae.posterior["z"]({"x": batch.x[None]})
    mean, variance = exact.mean.double(), exact.variance.double()
    cross = 0.5 * (q.variance[0].log() + (variance + (mean - q.mean[0]).square()) / q.variance[0]).sum(-1).mean()
    expected = gradient(cross, vae.posterior)
    assert (found - expected).norm() < 0.05 * expected.norm()


def test_reweighted_wake_sleep_trains_the_model_by_the_importance_weighted_bound() -> None:
    vae, batch = linear_vae(latents=2), examples(6)
    step = TrainingStep(vae, ReweightedWakeSleep(draws=3))
    noise = step.keyed_noise(3, batch.index, 0)
    torch.testing.assert_close(step(batch, noise, END).total, Iwae(draws=3)(vae, batch, noise, END).total)
    assert set(step.moved_by("posterior")) == {f"vae.posterior.z.network.{name}" for name in ("weight", "bias")}
    with pytest.raises(er.InputError, match="2 or more"):
        ReweightedWakeSleep(draws=1)


# Total correlation ----------------------------------------------------------------------------------------------------


class Quadratic(nn.Module):
    """A critic that holds the log ratio of a centred normal to its margins exactly: z₁², z₂², z₁ z₂ and a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(torch.stack([z[:, 0] ** 2, z[:, 1] ** 2, z[:, 0] * z[:, 1]], 1))


def copying(rho: float, n: int) -> tuple[er.VAE, er.data.Dataset]:
    """An encoder that copies x into z, x ~ N(0, [[1, ρ], [ρ, 1]]), with hardly any noise."""
    x = np.random.default_rng(0).multivariate_normal([0, 0], [[1, rho], [rho, 1]], n + 20)
    data = er.load_data(x, validation=10, test=10, preprocess="none")
    vae = linear_vae(2, 2)
    with torch.no_grad():
        network = vae.posterior["z"].network
        network.weight.zero_()
        network.weight[0, 0] = network.weight[1, 1] = 1.0
        network.bias.copy_(torch.tensor([0.0, 0.0, -8.0, -8.0]))
    return vae, data


def test_the_critic_finds_the_total_correlation_of_a_normal() -> None:
    rho = 0.8
    vae, data = copying(rho, 8_000)
    how = TotalCorrelation(Quadratic().double(), weight=3.0)
    critic = Procedure({"vae": Phase(Elbo(), parts=("likelihood",)), "critic": how["critic"]})
    critic["critic"].lr, critic["critic"].betas = 5e-2, (0.9, 0.999)
    er.fit(vae, data, critic, epochs=50, batch_size=1_000, lr=1e-3, lr_final=1e-3, select="last", progress=False)
    batch = data.train.rows(slice(None))
    step = TrainingStep(vae, how)
    noise = step.keyed_noise(1, batch.index, 0)
    with torch.no_grad():
        z = vae(batch, noise).z["z"][0]
        logged = step(batch, noise, END, "vae").logged
    correlation = np.corrcoef(z.numpy().T)[0, 1]
    exact = -0.5 * math.log(1 - correlation**2)
    # At the optimum the logit is the log ratio; its mean over 8,000 draws is that of their own correlation.
    assert logged["tc"].item() == pytest.approx(exact, abs=0.03)
    assert logged["normal_tc"].item() == pytest.approx(exact, rel=1e-3)


def test_the_critics_loss_and_the_penalty_are_what_the_source_says() -> None:
    vae, batch = linear_vae(latents=2), examples(50)
    critic = er.networks.MLP([2, 4, 1]).double()
    step = TrainingStep(vae, TotalCorrelation(critic, weight=3.0).double())
    noise = step.keyed_noise(1, batch.index, 0)
    terms = vae(batch, noise)
    z = terms.z["z"][0].detach()
    joint = critic(z)
    loss = step(batch, noise, END, "vae")
    negative_elbo = (terms.rate() - terms.log_likelihood).mean()
    torch.testing.assert_close(loss.total, negative_elbo + 3 * joint.mean())
    order = noise["critic.order"][0].argsort(0)
    factors = torch.stack([z[order[:, j], j] for j in range(2)], 1)
    assert (factors.sort(0).values == z.sort(0).values).all()
    assert (factors != z).any(1).float().mean() > 0.9
    cross_entropy = nn.functional.binary_cross_entropy_with_logits(
        torch.cat([joint, critic(factors)]), torch.cat([torch.ones(50, 1), torch.zeros(50, 1)]).double()
    )
    torch.testing.assert_close(step(batch, noise, END, "critic").total, cross_entropy)
    with_none = TrainingStep(vae, TotalCorrelation(critic, weight=0.0).double())(batch, noise, END, "vae").total
    torch.testing.assert_close(with_none, Elbo()(vae, batch, noise, END).total)


def test_the_critic_needs_latents_that_are_drawn() -> None:
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.Categorical(3),
        er.posteriors.Categorical(nn.Linear(3, 3), 3),
        er.likelihoods.Normal(nn.Linear(3, 3), 3),
    )
    data = er.load_data(np.random.default_rng(0).normal(size=(40, 3)), validation=10, test=10, preprocess="none")
    with pytest.raises(er.InputError, match="classes are not drawn"):
        er.fit(vae, data, TotalCorrelation(nn.Linear(3, 1), 1.0), epochs=1, progress=False)
    assert er.fit(vae, data, WakeSleep(), epochs=2, progress=False).best_epoch > 0


# Adversarial ----------------------------------------------------------------------------------------------------------


def test_the_critics_loss_and_what_fools_it_are_what_the_source_says() -> None:
    vae, batch = linear_vae(latents=2), examples(30)
    critic = er.networks.MLP([2, 4, 1]).double()
    step = TrainingStep(vae, Adversarial(critic, weight=3.0).double())
    noise = step.keyed_noise(1, batch.index, 0)
    terms = vae(batch, noise)
    z, prior = terms.z["z"][0], noise["adversarial.z"][0]
    loss = step(batch, noise, END, "autoencoder")
    fooling = nn.functional.binary_cross_entropy_with_logits(critic(z), torch.ones(30, 1).double())
    torch.testing.assert_close(loss.total, 3 * fooling - terms.log_likelihood.mean())
    torch.testing.assert_close(loss.logged["mmd"], squared_discrepancy(z, prior).detach())
    told = torch.cat([torch.ones(30, 1), torch.zeros(30, 1)]).double()
    cross_entropy = nn.functional.binary_cross_entropy_with_logits(torch.cat([critic(prior), critic(z)]).detach(), told)
    assert step(batch, noise, END, "critic").total.item() == pytest.approx(cross_entropy.item())
    with pytest.raises(er.InputError, match="weight above 0"):
        Adversarial(critic, weight=0.0)


def test_the_critic_draws_the_aggregate_posterior_to_the_prior() -> None:
    """Planted: q(z) begins at N(2, 0.3²) in both dimensions, and x can be decoded wherever z is."""
    x = np.random.default_rng(0).normal(size=(440, 2))
    data = er.load_data(x, validation=200, test=40, preprocess="none")
    vae = linear_vae(2, 2, scale=2.0)
    with torch.no_grad():
        network = vae.posterior["z"].network
        network.weight.copy_(0.3 * torch.eye(4, 2)), network.weight[2:].zero_()
        network.bias.copy_(torch.tensor([2.0, 2.0, -3.0, -3.0]))
    how = Adversarial(er.networks.MLP([2, 16, 1]).double(), weight=2.0, lr=1e-2)
    history = er.fit(vae, data, how, epochs=40, batch_size=50, lr=2e-2, select="last", progress=False)
    mmd = history.column("validation", "mmd")
    z = vae.encode(data.train)["z"]
    assert mmd[-1] < 0.05 * mmd[0]
    assert z.mean(0).abs().max() < 0.3
    assert any("bounds no log p(x)" in note for note in history.notes)
