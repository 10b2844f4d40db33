"""Procedures that train the encoder harder than one step a batch, against planted lags and linear-Gaussian models."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import elbowroom as er
from elbowroom.numerics import Batch, Noise
from elbowroom.objectives import Elbo
from elbowroom.procedures import Aggressive, MonteCarloEM, Procedure, SemiAmortised
from elbowroom.procedures.monte_carlo_em import _AtChainEnds, _Joint
from elbowroom.training import TrainingStep

END = torch.tensor(math.inf)


def linear_vae(latents: int = 1, features: int = 3, scale: float = 0.7, seed: int = 3) -> er.VAE:
    torch.manual_seed(seed)
    posterior = er.posteriors.DiagonalNormal(nn.Linear(features, 2 * latents), latents)
    likelihood = er.likelihoods.Normal(nn.Linear(latents, features), features, scale=scale)
    return er.VAE(er.priors.StandardNormal(latents), posterior, likelihood).double()


def examples(n: int, features: int = 3, seed: int = 1) -> Batch:
    x = torch.randn(n, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Batch(x, torch.arange(n))


# Aggressive training --------------------------------------------------------------------------------------------------


def test_the_encoder_no_longer_lags_where_plain_training_leaves_z_unused() -> None:
    """Bits that share a factor: after as many steps of the decoder, plain training has not begun to use z."""
    rng = np.random.default_rng(0)
    logits = 1.5 * rng.normal(size=(500, 1)) @ rng.normal(size=(1, 20))
    x = (rng.random((500, 20)) < 1 / (1 + np.exp(-logits))).astype(float)
    data, models = er.load_data(x, validation=100, test=100, preprocess="none"), []
    for how in (Elbo(), Aggressive(updates=20, window=5)):
        models.append(er.models.build({"latents": 1, "widths": [16], "seed": 1}, data))
        er.fit(models[-1], data, how, epochs=8, lr=4e-2, batch_size=300, select="last", progress=False)
    rates, _, bounds = zip(*(er.evidence.rate_distortion(vae, data.test, draws=16) for vae in models), strict=True)
    assert rates[0].mean < 0.05
    assert rates[1].mean > 0.4
    gained = bounds[1] - bounds[0]
    assert gained.mean > 4 * gained.se_total


class Scripted:
    """A mover whose encoder loses what a list says."""

    def __init__(self, losses: list[float]) -> None:
        self.losses, self.moves = iter(losses), list[str]()

    def move(self, phase: str, batch: Batch, noise: Noise, clock: Tensor) -> dict[str, Tensor]:
        self.moves.append(phase)
        return {"encoder.objective": torch.tensor(next(self.losses))} if phase == "encoder" else {}

    def another(self) -> tuple[Batch, Noise]:
        return examples(2), {}


@pytest.mark.parametrize(
    ("losses", "updates", "window", "expected"),
    [
        ([3.0, 3.0, 2.0, 2.0, 2.5, 2.5, 0.0], 100, 2, 6),  # the third window is worse than the second
        ([3.0, 2.0, 2.0, 0.0], 100, 1, 3),  # as good is not better
        ([5.0 - i for i in range(9)], 7, 2, 7),  # ever better, to the most that is allowed
        ([1.0, math.nan, 0.0, 0.0, 0.0], 100, 2, 2),  # numbers that are none end it too
        ([3.0, 2.0], 1, 1, 1),
    ],
)
def test_the_inner_loop_ends_with_the_first_window_that_is_no_better(
    losses: list[float], updates: int, window: int, expected: int
) -> None:
    how, mover = Aggressive(updates=updates, window=window), Scripted(losses)
    logged = how.update(mover, examples(2), {}, torch.tensor(0.0))
    assert mover.moves == ["encoder"] * expected + ["decoder"]
    assert logged["encoder.updates"].item() == expected
    how.waited.fill_(5.0)
    mover = Scripted(losses)
    how.update(mover, examples(2), {}, torch.tensor(0.0))
    assert mover.moves == ["encoder", "decoder"]


@pytest.mark.parametrize(
    ("patience", "expected"), [(1, [1, 1, 0, 0, 0, 0, 0]), (2, [1, 1, 1, 1, 1, 0, 0]), (3, [1] * 6 + [0])]
)
def test_it_is_plain_for_good_once_there_is_no_more_information(patience: int, expected: list[int]) -> None:
    how, found = Aggressive(patience=patience), []
    for value in (0.1, 0.3, 0.29, 0.4, 0.4, math.nan, 0.2):
        how.after_epoch({"information": value})
        found.append(int(how.aggressive))
    assert found == expected
    how.after_epoch({"information": 9.0})
    assert not how.aggressive


def test_in_training_the_information_on_validation_says_when() -> None:
    data = er.load_data(examples(140).x.numpy(), validation=40, test=20, preprocess="none")
    how = Aggressive(updates=6, window=2, patience=1)
    rows = er.fit(linear_vae(), data, how, epochs=25, batch_size=40, lr=0.02, progress=False).rows
    seen = [row["validation"]["information"] for row in rows]
    first = 1 + next(i for i in range(1, 25) if not seen[i] > seen[i - 1])  # the epoch that brought no more
    updates = [row["train"]["encoder.updates"] for row in rows]
    assert 1 < first < 25
    assert min(updates[:first]) > 1
    assert set(updates[first:]) == {1.0}


def test_the_information_is_that_of_the_draws_and_nears_that_of_a_normal() -> None:
    """q(z | x) = N(a x + c, s²), x ~ N(0, I): I(x; z) = ½ log (1 + ‖a‖² / s²)."""
    vae, batch = linear_vae(), examples(1_000)
    with torch.no_grad():
        vae.posterior["z"].network.weight[1].zero_()
        vae.posterior["z"].network.weight[0].mul_(2.0)
    step = TrainingStep(vae, Aggressive())
    noise = step.keyed_noise(1, batch.index, 0)
    found = step(batch, noise, END).logged["information"].item()
    with torch.no_grad():
        q = vae.posterior["z"]({"x": batch.x[None]})
        mean, sd, z = q.mean[0, :, 0].numpy(), q.stddev[0, 0, 0].item(), vae(batch, noise).z["z"][0, :, 0].numpy()
    log_all = np.log(stats.norm.pdf(z[:, None], mean, sd).mean(1))
    each = stats.norm.logpdf(z, mean, sd) - log_all
    assert found == pytest.approx(each.mean(), rel=1e-10)
    weight = vae.posterior["z"].network.weight[0].detach()
    exact = 0.5 * math.log(1 + weight.square().sum().item() / sd**2)
    bias = math.exp(exact) / 1_000  # of the x that a draw comes from among the 1,000
    assert abs(found - exact) < 4 * each.std() / math.sqrt(1_000) + bias


@pytest.mark.parametrize("numbers", [{"updates": 0}, {"window": 0}, {"patience": 0}])
def test_aggressive_refuses_what_it_cannot_be(numbers: dict[str, Any]) -> None:
    with pytest.raises(er.InputError, match="1 or more"):
        Aggressive(**numbers)


# Semi-amortised inference ---------------------------------------------------------------------------------------------


def loss_of(how: Procedure, vae: er.VAE, batch: Batch, draws: int = 1, seed: int = 0) -> Tensor:
    step = TrainingStep(vae, how)
    return step(batch, step.keyed_noise(draws, batch.index, seed), END).total


@pytest.mark.parametrize("family", ["normal", "bernoulli", "beta", "discretised"])
def test_its_gradient_is_the_total_one_through_the_steps(family: str) -> None:
    """For encoder and decoder alike, by central differences of the loss along a direction; families with gradients of
    their own must be differentiable twice."""
    vae, batch = linear_vae(latents=2), examples(4)
    if family == "bernoulli":
        vae.likelihood, batch.x = er.likelihoods.Bernoulli(nn.Linear(2, 3), 3).double(), (batch.x > 0).double()
    if family == "beta":
        vae.likelihood, batch.x = er.likelihoods.Beta(nn.Linear(2, 6), 3).double(), batch.x.sigmoid()
    if family == "discretised":
        likelihood = er.likelihoods.DiscretisedLogistic(nn.Linear(2, 6), 3, 5).double()
        vae.likelihood, batch.x = likelihood, (2 + batch.x).round().clamp(0, 4)
    how = SemiAmortised(steps=3, rate=0.2, clip=2.0).double()
    for part in (vae.posterior, vae.likelihood):
        parameters = list(part.parameters())
        gradients = torch.autograd.grad(loss_of(how, vae, batch, draws=2), parameters)
        generator = torch.Generator().manual_seed(0)
        along = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
        size, ends = 1e-5, []
        for sign in (1, -2, 1):
            with torch.no_grad():
                for parameter, direction in zip(parameters, along, strict=True):
                    parameter.add_(sign * size * direction)
            ends.append(loss_of(how, vae, batch, draws=2).item())
        slope = sum((g * d).sum().item() for g, d in zip(gradients, along, strict=True))
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * size), rel=1e-6, abs=1e-7)


def test_the_refined_bound_rises_to_the_evidence_of_a_linear_model() -> None:
    """Its columns are orthogonal, so that a diagonal q can be exact; the encoder knows nothing of it."""
    vae, batch = linear_vae(latents=2), examples(6)
    with torch.no_grad():
        vae.likelihood.network.weight.copy_(torch.tensor([[1.0, 0.5], [1.0, -0.5], [0.0, 0.8]]))
    log_p = er.exact.LinearVAE(vae).log_prob(batch).mean().item()
    amortised = -loss_of(Procedure({"vae": er.procedures.Phase(Elbo())}), vae, batch, draws=2_000).item()
    bounds = [-loss_of(SemiAmortised(steps=k, rate=0.3), vae, batch, draws=2_000).item() for k in (1, 4, 50)]
    assert amortised < bounds[0] < bounds[1] < bounds[2]
    assert log_p - amortised > 0.5
    z = er.exact.LinearVAE(vae).posterior(batch).sample((500,))  # their distortions vary as those of the bound do
    decoded = vae.likelihood({"z": z}).log_prob(batch.x)
    error = (decoded.var(0).mean() / (2_000 * 6)).sqrt().item()
    assert abs(bounds[2] - log_p) < 4 * error


def test_it_bounds_log_p_though_its_steps_are_noisy() -> None:
    """One draw a step, and steps so long that they follow it: on average the bound stays below log p(x)."""
    vae, one = linear_vae(), examples(1)
    many = Batch(one.x.expand(4_000, -1), torch.arange(4_000))
    log_p = er.exact.LinearVAE(vae).log_prob(one).item()
    how = SemiAmortised(steps=2, rate=0.5)
    each = [-loss_of(how, vae, many.rows(slice(i, i + 400)), seed=1).item() for i in range(0, 4_000, 400)]
    assert np.mean(each) < log_p - 3 * np.std(each, ddof=1) / math.sqrt(10)


def test_what_it_logs_is_the_refined_bound_beside_the_encoders_own() -> None:
    vae, batch = linear_vae(), examples(50)
    step = TrainingStep(vae, SemiAmortised(steps=8))
    logged = step(batch, step.keyed_noise(1, batch.index, 0), END).logged
    rate, distortion, _ = er.evidence.rate_distortion(vae, batch, draws=1)
    assert logged["rate"].item() == pytest.approx(rate.mean, rel=1e-12)
    assert logged["distortion"].item() == pytest.approx(distortion.mean, rel=1e-12)
    assert logged["objective"] < logged["rate"] + logged["distortion"] - 0.2


def test_a_block_that_reads_another_is_not_refined() -> None:
    q = {"a": er.posteriors.DiagonalNormal(nn.Linear(3, 2), 1)}
    q["b"] = er.posteriors.DiagonalNormal(nn.Linear(1, 2), 1, given=("a",))
    prior = {name: er.priors.StandardNormal(1) for name in q}
    vae = er.VAE(prior, q, er.likelihoods.Normal(nn.Linear(1, 3), 3, given=("a",))).double()
    with pytest.raises(er.CapabilityError, match="Block 'b' of the posterior has no numbers of its own"):
        loss_of(SemiAmortised(), vae, examples(2))


@pytest.mark.parametrize("numbers", [{"steps": 0}, {"rate": 0.0}, {"clip": -1.0}])
def test_semi_amortised_refuses_what_it_cannot_be(numbers: dict[str, Any]) -> None:
    with pytest.raises(er.InputError, match="SemiAmortised needs"):
        SemiAmortised(**numbers)


# Monte-Carlo EM -------------------------------------------------------------------------------------------------------


def test_the_chains_end_in_the_exact_posterior() -> None:
    vae, batch = linear_vae(latents=2), examples(2)
    objective = _AtChainEnds(transitions=16, leapfrog=4, acceptance=0.9, draws=2_000).double()
    objective.log_size.fill_(math.log(0.3))
    step = TrainingStep(vae, Procedure({"vae": er.procedures.Phase(objective)}))
    noise = step.keyed_noise(2_000, batch.index, 0)
    joint = _Joint(vae, batch, noise)
    with torch.no_grad():
        start = joint.flat(joint.start(noise))
        z, acceptance = objective._run(joint, start, noise)
    exact = er.exact.LinearVAE(vae).posterior(batch)
    spread = exact.variance.sqrt()
    assert ((start.mean(0) - exact.mean).abs() / spread).max() > 0.5  # q is far from it
    assert ((z.mean(0) - exact.mean).abs() < 4 * spread / math.sqrt(2_000)).all()
    for i in range(2):
        found, wanted = torch.cov(z[:, i].T), exact.covariance_matrix[i]
        error = ((wanted.square() + torch.outer(wanted.diagonal(), wanted.diagonal())) / 2_000).sqrt()
        assert ((found - wanted).abs() < 4 * error).all()
    assert 0.8 < acceptance < 1


def test_its_gradient_of_the_model_is_that_of_log_p() -> None:
    """Fisher's identity: E ∇ log p(x, z) over p(z | x) is ∇ log p(x), which a linear model has in closed form."""
    vae, batch = linear_vae(latents=2), examples(3)
    weights, bias = vae.likelihood.network.weight, vae.likelihood.network.bias
    covariance = weights @ weights.T + 0.49 * torch.eye(3)
    normal = torch.distributions.MultivariateNormal(bias, covariance)
    exact = torch.autograd.grad(normal.log_prob(batch.x).mean(), [weights, bias])
    how = MonteCarloEM(transitions=12, leapfrog=4, draws=300).double()
    how["vae"].objective.log_size.fill_(math.log(0.3))
    each = [torch.autograd.grad(-loss_of(how, vae, batch, 300, seed), [weights, bias]) for seed in range(8)]
    for found, wanted in zip(map(torch.stack, zip(*each, strict=True)), exact, strict=True):
        error = found.std(0) / math.sqrt(8)
        assert ((found.mean(0) - wanted).abs() < 5.5 * error).all()  # Student's with 7 degrees of freedom


def test_it_ends_at_the_greatest_likelihood_of_ppca() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(320, 1)) @ rng.normal(size=(1, 4)) + 0.7 * rng.normal(size=(320, 4))
    data = er.load_data(x, validation=10, test=10, preprocess="none")
    torch.manual_seed(0)
    likelihood = er.likelihoods.Normal(nn.Linear(1, 4), 4, scale="shared")
    vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(nn.Linear(4, 2), 1), likelihood)
    best = er.exact.ProbabilisticPCA.fit(data.train.x.double(), d=1).log_prob(data.train.x.double()).mean().item()
    start = er.exact.LinearVAE(vae).log_prob(data.train).mean().item()
    how = MonteCarloEM(transitions=2, leapfrog=3, draws=4)
    er.fit(vae, data, how, epochs=40, batch_size=100, lr=0.1, lr_final=1e-2, select="last", progress=False)
    exact = er.exact.LinearVAE(vae)
    assert start < best - 0.5
    assert 0 <= best - exact.log_prob(data.train).mean().item() < 0.005
    # q followed the chains to the posterior, so that they start in it.
    assert exact.gap(data.train).mean().item() < 0.05
    assert math.exp(how["vae"].objective.log_size) > 0.2


def test_the_step_size_follows_the_acceptance() -> None:
    vae, batch = linear_vae(), examples(100)
    objective = MonteCarloEM(transitions=1, leapfrog=3)["vae"].objective.double()
    objective.log_size.fill_(math.log(0.5))
    step, acceptances = TrainingStep(vae, Procedure({"vae": er.procedures.Phase(objective)})), []
    for seed in range(50):
        loss = objective(vae, batch, step.keyed_noise(1, batch.index, seed), END)
        expected = objective.log_size + 0.5 * (loss.logged["acceptance"] - 0.9)
        torch.testing.assert_close(loss.moved["log_size"], expected)
        objective.log_size.copy_(loss.moved["log_size"])
        acceptances.append(loss.logged["acceptance"].item())
    assert np.mean(acceptances[25:]) == pytest.approx(0.9, abs=0.01)


def test_monte_carlo_em_refuses_what_its_chains_cannot_move_in() -> None:
    batch = examples(4)
    torch.manual_seed(0)
    classes = er.VAE(
        er.priors.Categorical(3), er.posteriors.Categorical(nn.Linear(3, 3), 3), linear_vae(3).likelihood
    ).double()
    with pytest.raises(er.CapabilityError, match="classes have none"):
        loss_of(MonteCarloEM(), classes, batch)
    known = Batch(batch.x, batch.index, observed={"z": (torch.zeros(4, 1).double(), torch.ones(4, dtype=torch.bool))})
    with pytest.raises(er.CapabilityError, match="'z' is known for some examples"):
        loss_of(MonteCarloEM(), linear_vae(), known)
    dropping = linear_vae()
    dropping.likelihood.network = nn.Sequential(nn.Dropout(0.1), nn.Linear(1, 3)).double()
    with pytest.raises(er.CapabilityError, match="Chains need one density"):
        loss_of(MonteCarloEM(), dropping, batch)
    optimal = linear_vae()
    optimal.likelihood = er.likelihoods.Normal(nn.Linear(1, 3), 3, scale="optimal").double()
    with pytest.raises(er.InputError, match="take scale='shared'"):
        loss_of(MonteCarloEM(), optimal, batch)
    for numbers in ({"transitions": 0}, {"leapfrog": 0}, {"draws": 0}, {"acceptance": 1.0}):
        with pytest.raises(er.InputError, match="MonteCarloEM needs"):
            MonteCarloEM(**numbers)
