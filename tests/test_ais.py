"""Annealed importance sampling against exact log p(x): linear models, hierarchies, quadrature."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from sklearn.datasets import load_digits
from torch import Tensor, nn

import elbowroom as er
from elbowroom.evidence import ais, annealed, bdmc, iwae, rate_distortion_curve
from elbowroom.evidence.importance import log_mean_exp
from elbowroom.exact import LinearVAE, ProbabilisticPCA, log_evidence_by_quadrature
from elbowroom.sampling import hmc, schedules
from elbowroom.sampling.annealing import anneal

F64 = torch.float64
WORDS = [("prior", "sigmoid"), ("prior", "adaptive"), ("posterior", "linear"), ("posterior", "adaptive")]


def digits(n: int) -> Tensor:
    return torch.as_tensor(load_digits().data[:n] / 16.0)


def pca_vae(d: int, spread: float = 1.0, shift: float = 0.0) -> er.VAE:
    """Probabilistic PCA of digits, turned so that its posterior is diagonal; the encoder is that, widened and moved."""
    pca = ProbabilisticPCA.fit(digits(1000), d)
    decoder, encoder = nn.Linear(d, 64).double(), nn.Linear(64, 2 * d).double()
    precision = 1 + pca.weights.square().sum(0) / pca.noise_variance  # the columns are orthogonal
    with torch.no_grad():
        decoder.weight.copy_(pca.weights)
        decoder.bias.copy_(pca.mean)
        encoder.weight.zero_()
        encoder.weight[:d] = pca.weights.T / pca.noise_variance / precision[:, None]
        encoder.bias[:d] = -encoder.weight[:d] @ pca.mean + shift / precision.sqrt()
        encoder.bias[d:] = torch.log(torch.expm1(spread / precision))
    return er.VAE(
        er.priors.StandardNormal(d),
        er.posteriors.DiagonalNormal(encoder, d, floor=0.0),
        er.likelihoods.Normal(decoder, 64, scale=math.sqrt(pca.noise_variance)),
    ).double()


def small_vae(d: int = 2, event: int = 3) -> er.VAE:
    """A linear model whose encoder is wrong by about a standard deviation."""
    torch.manual_seed(3)
    encoder = nn.Linear(event, 2 * d)
    with torch.no_grad():
        encoder.weight.mul_(0.5)
    return er.VAE(
        er.priors.StandardNormal(d),
        er.posteriors.DiagonalNormal(encoder, d),
        er.likelihoods.Normal(nn.Linear(d, event), event, scale=0.5),
    ).double()


def points(n: int, event: int = 3, first: int = 0) -> er.Batch:
    x = torch.randn(n, event, generator=torch.Generator().manual_seed(1), dtype=F64)
    return er.Batch(x, torch.arange(n) + first)


def repeated(x: Tensor, runs: int) -> er.Batch:
    return er.Batch(x.expand(runs, -1), torch.arange(runs))


@pytest.mark.parametrize(
    ("d", "start", "schedule", "temperatures"),
    [
        (6, "prior", "adaptive", 100),
        (6, "posterior", "linear", 20),
    ],
)
def test_linear_models_of_digits(d: int, start: str, schedule: str, temperatures: int) -> None:
    vae = pca_vae(d, spread=1.5, shift=0.7)
    batch = er.Batch(digits(1005)[1000:], torch.arange(5))
    exact = LinearVAE(vae).log_prob(batch).numpy()
    found = ais(vae, batch, start=start, schedule=schedule, temperatures=temperatures, chains=64, leapfrog=3)
    errors = found.values - exact
    assert found.ess.min() > 4
    assert np.all(np.abs(errors) < 4 * np.sqrt(found.mc_variance)), errors / np.sqrt(found.mc_variance)
    assert abs(errors.mean()) < 4 * found.se_mc
    assert found.se_mc < 0.2


def test_from_the_true_posterior_every_weight_is_the_evidence() -> None:
    vae, batch = pca_vae(8), er.Batch(digits(5), torch.arange(5))
    found = ais(vae, batch, start="posterior", temperatures=10, chains=3, leapfrog=2)
    np.testing.assert_allclose(found.values, LinearVAE(vae).log_prob(batch).numpy(), rtol=1e-10)
    np.testing.assert_allclose(found.mc_variance, 0.0, atol=1e-10)


@pytest.mark.parametrize(("start", "schedule"), WORDS)
def test_weights_are_unbiased_for_the_evidence(start: str, schedule: str) -> None:
    """exp of 4,096 chains over p(x) has mean 1: 64 keyed repetitions of 64 chains, with a pilot for each."""
    vae, runs = small_vae(), 64
    batch = repeated(points(1).x, runs)
    exact, target = LinearVAE(vae).log_prob(batch), vae.target(batch)
    plan = annealed.frozen_plan(target, start, schedule, 6, 2, 0)
    z = annealed.draw_start(target, start, 64, 0)
    noise = annealed.transition_noise(target, z, 0, 5)
    log_weights = anneal(annealed.path_from(target, start), z, plan, noise).log_weights - exact
    means = log_weights.exp().mean(0).numpy()
    assert abs(means.mean() - 1) < 4 * means.std() / math.sqrt(runs)
    assert log_weights.exp().std() > 0.05
    assert log_weights.mean() < 0


def test_one_chain_of_two_temperatures_is_unbiased_too() -> None:
    vae, runs = small_vae(), 400
    batch = repeated(points(1).x, runs)
    found = ais(vae, batch, start="prior", temperatures=2, chains=1, leapfrog=2)
    weights = np.exp(found.values - LinearVAE(vae).log_prob(batch).numpy())
    assert abs(weights.mean() - 1) < 4 * weights.std() / math.sqrt(runs)
    assert np.isnan(found.mc_variance).all()


def test_downwards_weights_are_unbiased_for_one_over_the_evidence() -> None:
    """The same plan from exact posterior draws down to the prior."""
    vae, runs = small_vae(), 64
    batch = repeated(points(1).x, runs)
    target, model = vae.target(batch), LinearVAE(vae)
    plan = annealed.frozen_plan(target, "prior", "sigmoid", 10, 2, seed=0)
    torch.manual_seed(0)
    z = model.posterior(batch).sample((64,))
    noise = annealed.transition_noise(target, z, 5, 9)
    found = anneal(annealed.path_from(target, "prior"), z, plan.reversed(), noise)
    weights = (found.log_weights + model.log_prob(batch)).exp()
    means = weights.mean(0).numpy()
    assert abs(means.mean() - 1) < 4 * means.std() / math.sqrt(runs)
    assert weights.std() > 0.05


class Top(nn.Linear):
    """A linear map of its inputs laid side by side."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return super().forward(torch.cat(inputs, -1))


@pytest.mark.parametrize("start", ["prior", "posterior"])
def test_a_hierarchy_is_annealed_over_all_its_blocks(start: str) -> None:
    torch.manual_seed(4)
    block = er.posteriors.DiagonalNormal
    likelihood = er.likelihoods.Normal(nn.Linear(2, 4), 4, scale=0.9)
    prior = block(nn.Linear(1, 4), 2, given=("top",))
    with torch.no_grad():
        prior.network.weight[2:] = 0.0
    vae = er.VAE(
        {"top": er.priors.StandardNormal(1), "z": prior},
        {"z": block(nn.Linear(4, 4), 2), "top": block(nn.Linear(2, 2), 1, given=("z",))},
        likelihood,
    ).double()
    batch = points(5, event=4)
    with torch.no_grad():
        spread = prior({"top": torch.zeros(1, 1, 1, dtype=F64)}).variance[0, 0]
        up, weights = prior.network.weight[:2], likelihood.network.weight
        covariance = weights @ (up @ up.T + spread.diag()) @ weights.T + 0.81 * torch.eye(4)
        mean = weights @ prior.network.bias[:2] + likelihood.network.bias
        exact = torch.distributions.MultivariateNormal(mean, covariance).log_prob(batch.x).numpy()
    found = ais(vae, batch, start=start, temperatures=20, chains=200, leapfrog=2)
    assert np.all(np.abs(found.values - exact) < 4 * np.sqrt(found.mc_variance))
    assert found.se_mc < 0.03


@pytest.mark.parametrize(("d", "start", "schedule"), [(1, "prior", "adaptive"), (2, "posterior", "sigmoid")])
def test_nonlinear_decoders_by_quadrature(d: int, start: str, schedule: str) -> None:
    torch.manual_seed(5)
    decoder, encoder = er.networks.MLP([d, 16, 6], activation="tanh"), nn.Linear(6, 2 * d)
    with torch.no_grad():
        decoder.layers[0].weight.mul_(3.0)
        decoder.layers[2].weight.mul_(5.0)
    vae = er.VAE(
        er.priors.StandardNormal(d), er.posteriors.DiagonalNormal(encoder, d), er.likelihoods.Bernoulli(decoder, 6)
    ).double()
    x = torch.randint(2, (4, 6), generator=torch.Generator().manual_seed(0)).double()
    batch = er.Batch(x, torch.arange(4))
    exact = log_evidence_by_quadrature(vae, batch, nodes=2000 if d == 1 else 300)
    found = ais(vae, batch, start=start, schedule=schedule, temperatures=20, chains=256, leapfrog=2)
    assert np.all(np.abs(found.values - exact.values) < 4 * np.sqrt(found.mc_variance))
    assert found.se_mc < 0.03


def test_memory_batching_and_order_change_nothing() -> None:
    """The pilot's noise, more than 64, come from two blocks of keyed noise."""
    vae, batch = small_vae(), points(5, first=4)
    settings = {"start": "posterior", "temperatures": 10, "chains": 4, "leapfrog": 1, "schedule": "adaptive", "seed": 3}
    whole = ais(vae, batch, **settings)
    order = torch.tensor([4, 0, 2])
    few = ais(vae, er.Batch(batch.x[order], batch.index[order]), **settings)
    one = annealed._bytes_per_example(vae.target(batch), lambda part: annealed.path_from(part, "posterior"), 4, 0)
    tight = ais(vae, batch, **settings, memory=3 * one)
    for other, rows in ((few, order.numpy()), (tight, slice(None))):
        np.testing.assert_allclose(other.values, whole.values[rows], rtol=1e-9)
        np.testing.assert_array_equal(other.index, whole.index[rows])
    assert np.abs(ais(vae, batch, **{**settings, "seed": 4}).values - whole.values).min() > 1e-6


def test_groups_hold_what_the_memory_holds() -> None:
    target = small_vae().target(points(40))
    path_of = lambda part: annealed.path_from(part, "posterior")  # noqa: E731
    one = annealed._bytes_per_example(target, path_of, 4, 0)
    sizes = [len(part.index) for part in annealed.in_groups(target, path_of, 4, 7 * one + 5)]
    assert sizes == [7, 7, 7, 7, 7, 5]
    with pytest.raises(er.InputError, match="chains of one example"):
        next(annealed.in_groups(target, path_of, 4, one - 1))


def test_measured_chains_know_nothing_of_each_other() -> None:
    """Settings are frozen: a chain run alone is the chain run among others, and takes the plan's step sizes."""
    target = small_vae().target(points(3))
    path, plan = (
        annealed.path_from(target, "posterior"),
        annealed.frozen_plan(target, "posterior", "sigmoid", 30, 3, 0),
    )
    z = annealed.draw_start(target, "posterior", 6, 0)
    noise = list(annealed.transition_noise(target, z, 0, 29))
    whole = anneal(path, z, plan, noise)
    alone = anneal(path, z[2:3], plan, [hmc.TransitionNoise(*(part[2:3] for part in one)) for one in noise])
    torch.testing.assert_close(alone.log_weights, whole.log_weights[2:3])
    assert 0.5 < whole.acceptance.mean() < 0.9
    assert whole.divergent.max() == 0


def test_the_moments_add_up_to_the_run() -> None:
    target = small_vae().target(points(3))
    path, plan = annealed.path_from(target, "prior"), annealed.frozen_plan(target, "prior", "linear", 12, 2, 0)
    z, seen = annealed.draw_start(target, "prior", 5, 0), []
    found = anneal(path, z, plan, annealed.transition_noise(target, z, 0, 11), seen.append)
    assert len(seen) == 12
    torch.testing.assert_close(sum(m.increments for m in seen), found.log_weights)
    torch.testing.assert_close(torch.stack([m.increments.var(0) for m in seen]), found.increment_variance)
    torch.testing.assert_close(found.acceptance, torch.stack([m.diagnostics.acceptance.mean(0) for m in seen[:-1]]))
    assert seen[-1].diagnostics is None
    before = z
    for moment, low in zip(seen, plan.betas[:-1], strict=True):  # log w += (β' − β) log p(x | z) before the transition
        torch.testing.assert_close(moment.increments, (moment.beta - low) * target.log_likelihood(before))
        before = moment.state.z


class Cliff(nn.Module):
    """Flat below z = 0 and steep above: a trajectory that crosses the edge diverges."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(300.0))

    def forward(self, z: Tensor) -> Tensor:
        return self.slope * z.relu()


@pytest.mark.usefixtures("pilots_are_short")
def test_transitions_that_diverge_are_said() -> None:
    posterior = er.posteriors.DiagonalNormal(nn.Linear(1, 2), 1)
    vae = er.VAE(er.priors.StandardNormal(1), posterior, er.likelihoods.Normal(Cliff(), 1, scale=1.0)).double()
    batch, settings = points(4, 1), {"temperatures": 20, "chains": 8, "leapfrog": 3}
    target, seen = vae.target(batch), []
    plan = annealed.frozen_plan(target, "prior", "sigmoid", 20, 3, 0)
    z = annealed.draw_start(target, "prior", 8, 0)
    noise = annealed.transition_noise(target, z, 0, 19)
    anneal(annealed.path_from(target, "prior"), z, plan, noise, seen.append)
    share = torch.stack([m.diagnostics.divergent.double() for m in seen[:-1]]).mean((0, 1))
    assert share.min() > 0.05
    found = ais(vae, batch, start="prior", **settings)
    np.testing.assert_allclose(found.divergent, share)
    both, curve = (
        bdmc(vae, batch, start="prior", **settings),
        rate_distortion_curve(vae, batch, betas=(0.1, 1.0), **settings),
    )
    for said in (found, both, both.lower, curve, *curve.rates):
        assert str(said).endswith("more than 5 % of transitions diverged on 4 examples: chains may lag behind there")


def test_equal_steps_in_conditional_ess_of_a_gaussian() -> None:
    """p_β = N(0, 1 / (1 + λβ)): the sd of d log f / dβ is λ / (√2 (1 + λβ)), so β_t = ((1 + λ)^(t/T) − 1) / λ."""
    grid, strength = schedules.fixed_schedule("linear", 4000), torch.tensor([0.5, 40.0], dtype=F64)
    spread = strength / (math.sqrt(2) * (1 + strength * grid[:, None]))
    found = schedules.Pilot(grid, torch.ones_like(spread)[..., None], spread).equal_steps(10)
    expected = ((1 + strength) ** (torch.arange(11, dtype=F64)[:, None] / 10) - 1) / strength
    torch.testing.assert_close(found, expected, atol=5e-4, rtol=0)


def test_adaptive_steps_lose_the_same_at_every_temperature() -> None:
    """From the prior at d = 6 of digits: the increments' variances are even, and less in all than a line's."""
    vae = pca_vae(6)
    target = vae.target(er.Batch(digits(3), torch.arange(3)))
    variances = {}
    for schedule in ("linear", "sigmoid", "adaptive"):
        plan = annealed.frozen_plan(target, "prior", schedule, 60, 2, 0)
        path, z = annealed.path_from(target, "prior"), annealed.draw_start(target, "prior", 64, 0)
        noise = annealed.transition_noise(target, z, 0, 59)
        variances[schedule] = anneal(path, z, plan, noise).increment_variance
    parts = variances["adaptive"].unfold(0, 15, 15).mean(-1)
    assert (parts.amax(0) / parts.amin(0)).max() < 4
    totals = {schedule: v.sum(0).mean().item() for schedule, v in variances.items()}
    assert totals["adaptive"] < totals["sigmoid"] < totals["linear"]


def test_the_pilots_step_sizes_serve_the_measured_run() -> None:
    """At every temperature the measured acceptance is near what the pilot aimed at."""
    target = pca_vae(20).target(er.Batch(digits(4), torch.arange(4)))
    plan = annealed.frozen_plan(target, "prior", "sigmoid", 50, 3, 0)
    path, z = annealed.path_from(target, "prior"), annealed.draw_start(target, "prior", 64, 0)
    noise = annealed.transition_noise(target, z, 0, 49)
    acceptance = anneal(path, z, plan, noise).acceptance.unfold(0, 10, 10).mean(-1)
    assert acceptance.min() > 0.55
    assert acceptance.max() < 0.85


def test_fixed_schedules_go_from_zero_to_one() -> None:
    for schedule in ("linear", "sigmoid"):
        betas = schedules.fixed_schedule(schedule, 7)
        assert (betas[0], betas[-1], len(betas)) == (0.0, 1.0, 8)
        assert (betas.diff() > 0).all()
        torch.testing.assert_close(betas + betas.flip(0), torch.ones(8, dtype=F64))
    x = 4 * (2 * torch.arange(8, dtype=F64) / 7 - 1)
    s = 1 / (1 + (-x).exp())
    torch.testing.assert_close(schedules.fixed_schedule("sigmoid", 7), (s - s[0]) / (s[-1] - s[0]))


@pytest.mark.usefixtures("pilots_are_short")
def test_a_target_is_measured_as_its_model() -> None:
    vae, batch, settings = small_vae(), points(4), {"temperatures": 3, "chains": 2, "leapfrog": 1}
    expected = ais(vae, batch, **settings).values
    np.testing.assert_array_equal(ais(vae.target(batch), **settings).values, expected)
    with pytest.raises(er.InputError, match="has its examples already"):
        ais(vae.target(batch), batch)


def test_annealing_beats_as_many_simple_draws() -> None:
    vae = pca_vae(20, spread=2.0, shift=1.5)
    batch = er.Batch(digits(4), torch.arange(4))
    exact = LinearVAE(vae).log_prob(batch).numpy()
    annealed, simple = ais(vae, batch, temperatures=50, chains=8, leapfrog=4), iwae(vae, batch, draws=8 * 50 * 5)
    assert np.abs(annealed.values - exact).mean() < 0.5 * np.abs(simple.values - exact).mean()


@pytest.mark.usefixtures("pilots_are_short")
def test_what_means_nothing_is_refused_in_words() -> None:
    vae, batch = small_vae(), points(2)
    for settings, words in (
        ({"temperatures": 1}, "evidence.ais needs temperatures=2 or more"),
        ({"chains": 0}, "chains=1 or more"),
        ({"leapfrog": 0}, "leapfrog=1 step"),
        ({"start": "nowhere"}, "'posterior' or 'prior'; got 'nowhere'"),
        ({"schedule": "cosine"}, "'sigmoid', 'linear' or 'adaptive'; got 'cosine'"),
        ({"memory": 100}, "does not hold the 40 chains"),
    ):
        with pytest.raises(er.InputError, match=words):
            ais(vae, batch, **settings)
    with pytest.raises(er.InputError, match="no examples"):
        ais(vae)
    with pytest.raises(er.InputError, match="no examples"):
        ais(vae, er.Batch(batch.x[:0], batch.index[:0]))
    known = er.Batch(batch.x, batch.index, observed={"z": (torch.zeros(2, 2), torch.tensor([True, False]))})
    with pytest.raises(er.CapabilityError, match="known for some"):
        ais(vae, known)


class Rounded(er.likelihoods.Normal):
    """A likelihood that no gradient passes."""

    def forward(self, given: dict[str, Tensor]) -> torch.distributions.Distribution:
        with torch.no_grad():
            return super().forward(given)


def test_a_likelihood_without_gradients_is_refused_in_words() -> None:
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(nn.Linear(3, 4), 2),
        Rounded(nn.Linear(2, 3), 3, scale=0.5),
    ).double()
    with pytest.raises(er.CapabilityError, match="no gradient in z"):
        ais(vae, points(2), start="prior")


def cut_off(beyond: float) -> tuple[er.VAE, er.Batch, np.ndarray]:
    """A linear model of one latent whose p(x | z) is no number, or 0, where z < 0; and its exact log p(x)."""

    class Half(er.likelihoods.Normal):
        def forward(self, given: dict[str, Tensor]) -> torch.distributions.Distribution:
            p_x, z = super().forward(given), given["z"]

            class Cut(torch.distributions.Distribution):
                def log_prob(self, x: Tensor) -> Tensor:
                    return torch.where(z.sum(-1) > 0, p_x.log_prob(x), beyond)

            return Cut(validate_args=False)

    torch.manual_seed(3)
    decoder, encoder = nn.Linear(1, 2), nn.Linear(2, 2)
    vae = er.VAE(
        er.priors.StandardNormal(1),
        er.posteriors.DiagonalNormal(encoder, 1),
        Half(decoder, 2, scale=0.5),
    ).double()
    batch, normal = points(4, event=2), torch.distributions.Normal
    z = torch.linspace(0, 9, 20_001, dtype=F64)[1:, None, None]
    with torch.no_grad():
        joint = normal(0.0, 1.0).log_prob(z[..., 0]) + normal(decoder(z), 0.5).log_prob(batch.x).sum(-1)
    return vae, batch, (joint.logsumexp(0) + math.log(9 / 20_000)).numpy()


@pytest.mark.parametrize(("start", "beyond"), [("prior", math.nan), ("posterior", -math.inf)])
def test_a_density_of_half_the_space_is_annealed_within_it(start: str, beyond: float) -> None:
    """Chains that begin beyond count as weights of 0, and the pilot learns nothing from them."""
    vae, batch, exact = cut_off(beyond)
    found = ais(vae, batch, start=start, schedule="adaptive", temperatures=20, chains=200, leapfrog=2)
    assert np.all(np.abs(found.values - exact) < 4 * np.sqrt(found.mc_variance))
    assert found.se_mc < 0.1


def test_single_precision_serves_at_minus_a_hundred_thousand_nats() -> None:
    """Against the same chains in double precision, and the exact value."""
    vae = pca_vae(4, spread=1.5, shift=0.7)
    x = digits(3) + 11 * (-1.0) ** torch.arange(64, dtype=F64)
    settings = {"temperatures": 30, "chains": 32, "leapfrog": 2}
    double = ais(vae, er.Batch(x, torch.arange(3)), **settings)
    exact = LinearVAE(vae).log_prob(er.Batch(x, torch.arange(3))).numpy()
    assert exact.max() < -9e4
    single = ais(vae.float(), er.Batch(x.float(), torch.arange(3)), **settings)
    rounding = 4 * np.abs(exact) * torch.finfo(torch.float32).eps
    assert np.all(np.abs(double.values - exact) < 4 * np.sqrt(double.mc_variance))
    assert np.all(np.abs(single.values - exact) < 4 * np.sqrt(single.mc_variance) + rounding)


def test_stated_intervals_cover_their_own_estimand() -> None:
    """4,000 runs of 64 chains; the estimand, E of the log-mean of their weights, is known by their mean."""
    target = small_vae().target(points(1))
    runs, chains = 4000, 64
    plan = annealed.frozen_plan(target, "posterior", "sigmoid", 12, 2, seed=0)
    z = annealed.draw_start(target, "posterior", runs * chains, seed=0)
    path = annealed.path_from(target, "posterior")
    noise = annealed.transition_noise(target, z, 0, 11)
    log_weights = anneal(path, z, plan, noise).log_weights.view(chains, runs)
    value, variance, _ = (t.numpy() for t in log_mean_exp(log_weights))
    hits = int((np.abs(value - value.mean()) < 1.96 * np.sqrt(variance)).sum())
    assert binomtest(hits, runs, 0.95).pvalue > 1e-3, hits / runs
