"""BdmcBounds Monte Carlo against exact log p(x) of what it simulates: linear models, hierarchies, counts."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import elbowroom as er
from elbowroom.evidence import ais, annealed, bdmc, simulated_against_real, simulated_examples
from elbowroom.evidence.importance import log_mean_exp
from elbowroom.exact import LinearVAE, log_evidence_by_quadrature
from elbowroom.sampling.annealing import anneal

short = pytest.mark.usefixtures("pilots_are_short")

F64 = torch.float64


class Beside(nn.Linear):
    """A linear map of its inputs laid side by side."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return super().forward(torch.cat(inputs, -1))


def linear(
    d: int = 3, event: int = 6, scale: float = 0.3, preprocess: er.preprocess.Preprocess | None = None
) -> er.VAE:
    """A linear model whose encoder knows nothing of x."""
    torch.manual_seed(3)
    decoder, encoder = nn.Linear(d, event), nn.Linear(event, 2 * d)
    with torch.no_grad():
        decoder.weight.normal_()
        encoder.weight.zero_()
        encoder.bias.zero_()
    return er.VAE(
        er.priors.StandardNormal(d),
        er.posteriors.DiagonalNormal(encoder, d),
        er.likelihoods.Normal(decoder, event, scale=scale),
        preprocess=preprocess,
    ).double()


def simulated(vae: er.VAE, examples: er.Batch | int, seed: int = 0) -> er.Batch:
    """The examples that bdmc simulates."""
    target, _ = next(
        simulated_examples.simulated(simulated_examples.subject_with(vae, examples, seed).target(seed), seed, "bdmc")
    )
    context = {name: value[0] for name, value in target._given.items() if name != "x"}
    return er.Batch(target._given["x"][0], target.index, context)


def assert_between(found: er.evidence.BdmcBounds, exact: np.ndarray) -> None:
    """lower ≤ exact ≤ upper in the mean, within 4 standard errors over examples."""
    for above in (exact - found.lower.values, found.upper.values - exact):
        assert above.mean() > -4 * above.std(ddof=1) / math.sqrt(len(above))


@pytest.mark.parametrize(("start", "schedule"), [("prior", "sigmoid"), ("posterior", "adaptive")])
def test_the_truth_of_linear_models_lies_between_and_the_gap_closes(start: str, schedule: str) -> None:
    vae, gaps = linear(scale=0.6), []
    exact = LinearVAE(vae).log_prob(simulated(vae, 100)).numpy()
    for temperatures in (6, 60):
        found = bdmc(vae, 100, temperatures=temperatures, chains=4, leapfrog=4, start=start, schedule=schedule)
        assert_between(found, exact)
        gaps.append(found.gap)
    assert gaps[0].mean > 4 * gaps[0].se_total
    assert gaps[1].mean < gaps[0].mean / 5
    assert gaps[1].mean < found.gap_limit < 0.5


@short
def test_backwards_weights_are_unbiased_for_one_over_the_evidence() -> None:
    """exp(−upper) of one x over and over, each with an exact posterior draw, chains sharing it: mean 1 / p(x)."""
    vae, runs = linear(2, 3, scale=1.5), 2000
    x = torch.randn(1, 3, generator=torch.Generator().manual_seed(1), dtype=F64)
    batch = er.Batch(x.expand(runs, -1), torch.arange(runs))
    target, model = vae.target(batch), LinearVAE(vae)
    torch.manual_seed(0)
    z = model.posterior(batch).sample((1,)).repeat(3, 1, 1)
    for start in ("prior", "posterior"):
        plan = annealed.frozen_plan(target, start, "sigmoid", 8, 3, seed=0)
        noise = annealed.transition_noise(target, z, 5, 7)
        run = anneal(annealed.path_from(target, start), z, plan.reversed(), noise)
        weights = (log_mean_exp(run.log_weights).value + model.log_prob(batch)).exp().numpy()
        assert abs(weights.mean() - 1) < 4 * weights.std() / math.sqrt(runs)
        assert weights.std() > 0.05


@short
@pytest.mark.parametrize("start", ["prior", "posterior"])
def test_a_hierarchy_with_a_context(start: str) -> None:
    """top → z → x with an age that shifts z; exact by the joint Gaussian of x given age."""
    torch.manual_seed(4)
    block = er.posteriors.DiagonalNormal
    prior = block(Beside(2, 4), 2, given=("top", "age"))
    with torch.no_grad():
        prior.network.weight[2:] = 0.0
    vae = er.VAE(
        {"top": er.priors.StandardNormal(1), "z": prior},
        {"z": block(nn.Linear(4, 4), 2), "top": block(nn.Linear(2, 2), 1, given=("z",))},
        er.likelihoods.Normal(nn.Linear(2, 4), 4, scale=0.4),
    ).double()
    ages = torch.linspace(-4, 4, 150, dtype=F64)[:, None]
    examples = er.Batch(torch.zeros(150, 4, dtype=F64), torch.arange(150), {"age": ages})
    with torch.no_grad():
        zero = torch.zeros(1, 1, 1, dtype=F64)
        spread = prior({"top": zero, "age": zero}).variance[0, 0]
        up, weights = prior.network.weight[:2], vae.likelihood.network.weight
        covariance = weights @ (up[:, :1] @ up[:, :1].T + spread.diag()) @ weights.T + 0.16 * torch.eye(4)
        mean = (ages @ up[:, 1:].T + prior.network.bias[:2]) @ weights.T + vae.likelihood.network.bias
        batch = simulated(vae, examples)
        exact = torch.distributions.MultivariateNormal(mean, covariance).log_prob(batch.x).numpy()
    torch.testing.assert_close(batch.context["age"], ages)
    assert_between(bdmc(vae, examples, start=start, temperatures=8, chains=3, leapfrog=4), exact)
    with pytest.raises(er.InputError, match="reads the context 'age'"):
        bdmc(vae, 10)


@short
@pytest.mark.parametrize("d", [1, 2])
def test_counts_by_quadrature(d: int) -> None:
    torch.manual_seed(5)
    decoder = er.networks.MLP([d, 8, 5], activation="tanh")
    with torch.no_grad():
        decoder.layers[2].weight.mul_(4.0)
    vae = er.VAE(
        er.priors.StandardNormal(d),
        er.posteriors.DiagonalNormal(nn.Linear(5, 2 * d), d),
        er.likelihoods.Poisson(decoder, 5),
    ).double()
    exact = log_evidence_by_quadrature(vae, simulated(vae, 120), nodes=1500 if d == 1 else 250).values
    assert_between(bdmc(vae, 120, start="prior", temperatures=8, chains=2, leapfrog=3), exact)


@short
def test_the_lower_end_is_ais_of_what_was_simulated() -> None:
    vae, settings = linear(), {"temperatures": 12, "chains": 3, "leapfrog": 3, "seed": 5}
    found = bdmc(vae, 6, **settings)
    np.testing.assert_allclose(found.lower.values, ais(vae, simulated(vae, 6, seed=5), **settings).values, rtol=1e-12)
    assert np.isnan(found.upper.mc_variance).all()
    assert not np.allclose(bdmc(vae, 6, **{**settings, "seed": 6}).upper.values, found.upper.values)


@short
def test_memory_changes_nothing() -> None:
    vae, settings = linear(), {"start": "posterior", "temperatures": 12, "chains": 3, "leapfrog": 3}
    whole, tight = bdmc(vae, 5, **settings), bdmc(vae, 5, **settings, memory=40_000)
    for end in ("lower", "upper"):
        np.testing.assert_allclose(getattr(tight, end).values, getattr(whole, end).values, rtol=1e-9)


@short
def test_simulated_examples_are_measured_on_the_scale_of_the_likelihood() -> None:
    """y = 10 x: the densities of simulated y, without the log-Jacobian of the examples that named their number."""
    plain, scaled = linear(), linear(preprocess=er.preprocess.Affine(10.0))
    settings = {"temperatures": 20, "chains": 4, "leapfrog": 3}
    batch = er.Batch(torch.zeros(5, 6, dtype=F64), torch.arange(5))
    found = [bdmc(vae, batch, **settings) for vae in (plain, scaled)]
    for end in ("lower", "upper"):
        np.testing.assert_allclose(*(getattr(one, end).values for one in found), rtol=1e-9)


@short
def test_the_gap_in_words_and_with_its_limit() -> None:
    found = bdmc(linear(), 40, temperatures=10, chains=2, leapfrog=3)
    gap = found.upper.values - found.lower.values
    np.testing.assert_allclose(found.gap.values, gap)
    np.testing.assert_allclose(found.gap_limit, gap.mean() + 1.684875 * gap.std(ddof=1) / math.sqrt(40), rtol=1e-5)
    words = str(found)
    assert words.startswith(f"gap {gap.mean():.3f} nats ±")
    assert "(40 simulated points), 95 % sure below" in words
    assert words.endswith("AIS-10 from the posterior and prior, 2 chains")
    assert "\n" not in words


@short
def test_real_examples_like_the_models_own_vary_alike_and_others_do_not() -> None:
    vae, settings = linear(scale=0.8), {"temperatures": 20, "chains": 8, "leapfrog": 3, "start": "prior"}
    own, other = (
        er.Batch(vae.sample(60, seed=77), torch.arange(60)),
        er.Batch(torch.full((60, 6), 10.0), torch.arange(60)),
    )
    alike, apart = simulated_against_real(vae, own, **settings), simulated_against_real(vae, other, **settings)
    np.testing.assert_array_equal(alike.simulated.log_weight_variance, apart.simulated.log_weight_variance)

    def difference(found: er.evidence.SimulatedAgainstReal) -> float:
        real, simulated = found.real.shortfall, found.simulated.shortfall
        return (real.mean - simulated.mean) / math.hypot(real.se_total, simulated.se_total)

    assert abs(difference(alike)) < 4
    assert difference(apart) > 4
    assert "on 60 real points" in str(apart)
    assert "bound" not in str(apart)


@short
def test_the_trace_is_that_of_the_measured_run() -> None:
    vae, settings = linear(), {"temperatures": 12, "chains": 3, "leapfrog": 3}
    batch = er.Batch(vae.sample(5, seed=1), torch.arange(5))
    found, target = simulated_against_real(vae, batch, **settings, memory=40_000), vae.target(batch)
    plan = annealed.frozen_plan(target, "posterior", "sigmoid", 12, 3, 0)
    path, z = annealed.path_from(target, "posterior"), annealed.draw_start(target, "posterior", 3, 0)
    run = anneal(path, z, plan, annealed.transition_noise(target, z, 0, 11))
    np.testing.assert_allclose(found.real.betas, plan.betas)
    np.testing.assert_allclose(found.real.acceptance, run.acceptance, rtol=1e-9)
    np.testing.assert_allclose(found.real.increment_variance, run.increment_variance, rtol=1e-7)
    np.testing.assert_allclose(found.real.log_weight_variance, run.log_weights.var(0), rtol=1e-7)
    np.testing.assert_allclose(found.real.shortfall.values, run.log_weights.var(0) / 2, rtol=1e-7)


@short
def test_half_the_variance_is_the_shortfall_of_a_single_chain() -> None:
    vae = linear(scale=1.2)
    batch, settings = simulated(vae, 100), {"temperatures": 30, "leapfrog": 3, "start": "prior"}
    short = LinearVAE(vae).log_prob(batch).numpy() - ais(vae, batch, chains=1, **settings).values
    expected = simulated_against_real(vae, batch, chains=6, **settings).real.shortfall
    error = math.hypot(short.std(ddof=1) / math.sqrt(100), expected.se_total)
    assert abs(short.mean() - expected.mean) < 4 * error
    assert error < expected.mean


@short
def test_what_means_nothing_is_refused_in_words() -> None:
    vae = linear()
    batch = er.Batch(torch.zeros(2, 6, dtype=F64), torch.arange(2))
    for settings, words in (
        ({"temperatures": 1}, "evidence.bdmc needs temperatures=2 or more"),
        ({"chains": 0}, "chains=1 or more"),
        ({"start": "nowhere"}, "'posterior' or 'prior'"),
    ):
        with pytest.raises(er.InputError, match=words):
            bdmc(vae, 2, **settings)
    with pytest.raises(er.InputError, match="nothing to simulate"):
        bdmc(vae, 0)
    with pytest.raises(er.InputError, match="from one simulated example"):
        bdmc(vae, 1, temperatures=4, chains=2, leapfrog=2)
    with pytest.raises(er.InputError, match="no examples to measure"):
        bdmc(vae)
    with pytest.raises(er.InputError, match="has its examples already"):
        bdmc(vae.target(batch), 5)
    with pytest.raises(er.InputError, match="chains=2 or more"):
        simulated_against_real(vae, batch, chains=1)
    np.testing.assert_array_equal(
        bdmc(vae.target(batch), temperatures=4, chains=2, leapfrog=2).upper.values,
        bdmc(vae, batch, temperatures=4, chains=2, leapfrog=2).upper.values,
    )


@short
def test_bounds_on_another_scale_than_the_data_say_so() -> None:
    def bounds(preprocess: er.preprocess.Preprocess) -> er.evidence.BdmcBounds:
        torch.manual_seed(0)
        posterior, decoder = er.posteriors.DiagonalNormal(nn.Linear(2, 2), 1), er.likelihoods.Normal(nn.Linear(1, 2), 2)
        vae = er.VAE(er.priors.StandardNormal(1), posterior, decoder, preprocess)
        return bdmc(vae, 3, temperatures=4, chains=2, leapfrog=2)

    plain, scaled = bounds(er.preprocess.Identity()), bounds(er.preprocess.Affine(0.01))
    assert plain.lower.quantity == plain.upper.quantity == "log p(x)"
    assert scaled.lower.quantity == scaled.upper.quantity == "log p(x) on the network's scale"
    assert "mean log p(x) on the network's scale at least" in str(scaled)
    np.testing.assert_array_equal(plain.lower.values, scaled.lower.values)  # x is drawn, and measured, after the step
