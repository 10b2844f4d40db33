"""Log-means of weights and their errors, Pareto shapes, IWAE's curve and prior sampling, against exact answers."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import binomtest, genpareto
from torch import nn
from torch.distributions import MultivariateNormal

import elbowroom as er
from elbowroom.evidence import iwae, iwae_curve, prior_sampling
from elbowroom.evidence.importance import generalised_pareto, log_mean_exp, pareto_shape
from elbowroom.exact import LinearVAE

from .test_evidence import batch, near_posterior_vae, repeated, within


def gaussian_log_weights(
    dims: int, offset: float, spread: float, draws: int, columns: int, seed: int = 0
) -> torch.Tensor:
    """log p / q [draws, columns] of a standard normal under q = N(offset · first axis, spread² I): log p(x) is 0."""
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((draws, columns))
    log_weight = 0.5 * first**2 - 0.5 * (offset + spread * first) ** 2 + dims * math.log(spread)
    if dims > 1:
        log_weight += 0.5 * (1 - spread**2) * rng.chisquare(dims - 1, (draws, columns))
    return torch.from_numpy(log_weight)


@pytest.mark.parametrize("scale", [0.1, 3.0, 300.0, 1e4])
def test_log_mean_against_a_jackknife_by_hand(scale: float) -> None:
    rng = np.random.default_rng(0)
    log_w = scale * rng.standard_normal((7, 3))
    value, variance, ess = log_mean_exp(torch.from_numpy(log_w))
    without = [logsumexp(np.delete(log_w, k, 0), 0, 1 / 6) for k in range(7)]
    np.testing.assert_allclose(value, logsumexp(log_w, 0, 1 / 7), rtol=1e-12)
    np.testing.assert_allclose(variance, 6 * np.var(without, axis=0), rtol=1e-9)
    share = np.exp(log_w - logsumexp(log_w, 0))
    np.testing.assert_allclose(ess, 1 / (share**2).sum(0), rtol=1e-9)


def test_what_has_no_error_says_so() -> None:
    assert log_mean_exp(torch.zeros(1, 2)).variance.isnan().all()
    nothing = log_mean_exp(torch.tensor([[-torch.inf, -torch.inf], [-torch.inf, 0.0]]))
    assert nothing.value[0] == -torch.inf
    assert nothing.variance.isnan().all()
    assert log_mean_exp(torch.zeros(9, 1).double()).variance < 1e-25


@pytest.mark.parametrize(
    ("dims", "offset", "spread", "draws"),
    [(2, 0.3, 1.2, 64), (20, 1.5, 1.5, 64), (50, 2.0, 1.5, 64), (50, 2.0, 1.5, 640), (5, 1.0, 0.8, 64)],
)
def test_the_stated_variance_is_honest_whatever_the_ess(dims: int, offset: float, spread: float, draws: int) -> None:
    """Median ESS from 1.7 to 55 (the delta method: 1.02 to 7 times too small); a quarter too much at most."""
    log_weights = gaussian_log_weights(dims, offset, spread, draws, 2_000_000 // draws)
    value, variance, _ = (t.numpy() for t in log_mean_exp(log_weights))
    squares = (value - value.mean()) ** 2
    ratio = variance.mean() / squares.mean()
    error = math.hypot(variance.std(), ratio * squares.std()) / squares.mean() / math.sqrt(len(value))
    assert 1 - 4 * error < ratio < 1.25 + 4 * error


def test_intervals_of_a_mean_over_points_cover_where_weights_have_collapsed() -> None:
    """4,000 means over 50 points of ESS 1.7: never less than the 95 % they state (the delta method's cover 52 %)."""
    runs, points = 4000, 50
    value, variance, ess = (t.numpy() for t in log_mean_exp(gaussian_log_weights(50, 2.0, 1.5, 32, runs * points)))
    assert np.median(ess) < 1.8
    miss = value.reshape(runs, points).mean(1) - value.mean()
    hits = int((np.abs(miss) < 1.96 * np.sqrt(variance.reshape(runs, points).sum(1)) / points).sum())
    assert binomtest(hits, runs, 0.95, alternative="less").pvalue > 1e-3, hits / runs


@pytest.mark.parametrize("shape", [0.0, 0.3, 0.7, 1.2])
def test_generalised_pareto_recovers_its_shape_and_scale(shape: float) -> None:
    samples = np.sort(genpareto.rvs(shape, scale=2.5, size=(100, 4000), random_state=1), axis=1)
    for found, exact in zip(generalised_pareto(torch.from_numpy(samples)), (shape, 2.5), strict=True):
        assert abs(found.mean() - exact) < 4 * found.std() / 10 + 1e-3
    k, sigma = (t[:5].numpy() for t in generalised_pareto(torch.from_numpy(samples)))
    fitted = np.array([genpareto.fit(row, floc=0) for row in samples[:5]])
    np.testing.assert_allclose(k, fitted[:, 0], atol=0.02)  # the likelihood's mode; a standard error is 0.02 to 0.035
    np.testing.assert_allclose(sigma, fitted[:, 2], atol=0.05)


def slow_shape(log_weights: np.ndarray) -> float:
    """k̂ of one column, as Vehtari et al. write it, sample by sample."""
    draws = len(log_weights)
    tail = math.ceil(min(0.2 * draws, 3 * math.sqrt(draws)))
    w = np.sort(np.exp(log_weights - log_weights.max()))
    x = w[-tail:] - w[-tail - 1]
    nodes = 30 + int(math.sqrt(tail))
    quartile = x[int(tail / 4 + 0.5) - 1]
    theta = [1 / x[-1] + (1 - math.sqrt(nodes / (j - 0.5))) / (3 * quartile) for j in range(1, nodes + 1)]
    profile = []
    for t in theta:
        k = np.mean([math.log1p(-t * each) for each in x])
        profile.append(tail * (math.log(-t / k) - k - 1))
    weight = [1 / sum(math.exp(other - mine) for other in profile) for mine in profile]
    t = sum(a * b for a, b in zip(weight, theta, strict=True))
    k = np.mean([math.log1p(-t * each) for each in x])
    return (tail * k + 10 * 0.5) / (tail + 10)


def test_pareto_shape_against_a_slow_one() -> None:
    rng = np.random.default_rng(3)
    log_weights = rng.standard_normal((300, 12)) * np.linspace(0.3, 5, 12) - 1000
    found = pareto_shape(torch.from_numpy(log_weights))
    np.testing.assert_allclose(found, [slow_shape(column) for column in log_weights.T], rtol=1e-8)
    np.testing.assert_allclose(found, pareto_shape(torch.from_numpy(log_weights + 2000)), rtol=1e-8)


@pytest.mark.parametrize("shape", [0.1, 0.7, 1.2])
def test_pareto_shape_of_weights_of_known_tail(shape: float) -> None:
    weights = torch.from_numpy(np.random.default_rng(0).exponential(shape, (20_000, 60)))  # log of exact Pareto weights
    found, tail = pareto_shape(weights), 425
    expected = (tail * shape + 5) / (tail + 10)
    assert abs(found.mean() - expected) < 4 * found.std() / math.sqrt(60) + 0.01


def test_tails_that_cannot_be_fitted() -> None:
    assert pareto_shape(torch.randn(20, 3)).isnan().all()  # too few
    assert pareto_shape(torch.zeros(1000, 2)).isnan().all()  # no tail
    huge = pareto_shape(torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)).double() * 1e4)
    assert torch.all((huge > 5) & huge.isfinite())  # beyond what floats hold, and said so


def test_a_posterior_that_misses_is_said() -> None:
    vae = near_posterior_vae()
    good = iwae(vae, batch(), draws=500)
    assert good.khat is not None
    assert good.missed == 0
    assert "k̂" not in str(good)
    with torch.no_grad():
        vae.posterior["z"].network.bias[:2] += 3.0
        vae.posterior["z"].network.bias[2:] -= 4.0
    bad = iwae(vae, batch(), draws=500)
    assert bad.missed == 6
    assert "k̂ above 0.7 on 6 examples: the draws miss where p(z | x) lies" in str(bad)


def test_the_curve_is_unbiased_for_every_bound_and_rises() -> None:
    vae, examples = near_posterior_vae(), batch()
    model, sizes = LinearVAE(vae), (1, 5, 25, 100, 500)
    curve = iwae_curve(vae, repeated(examples, 40), draws=sizes)
    assert curve.draws == sizes
    within(
        curve.estimates[0].values,
        model.elbo(repeated(examples, 40)).numpy(),
        np.sqrt(curve.estimates[0].mc_variance),
        5,
    )
    exact = model.log_prob(examples).numpy().mean()
    for low, high in itertools.pairwise(curve.estimates):
        assert low.mean < high.mean
    assert all(e.mean - exact < 4 * e.se_mc for e in curve.estimates)
    np.testing.assert_array_equal(curve.estimates[-1].values, iwae(vae, repeated(examples, 40), draws=500).values)
    np.testing.assert_array_equal(curve.khat, curve.estimates[-1].khat)


def test_the_curve_is_the_mean_over_disjoint_blocks() -> None:
    vae, examples = near_posterior_vae(), batch()
    curve = iwae_curve(vae, examples, draws=(10, 30, 90))
    with torch.no_grad():
        log_weight = vae(examples, vae.keyed_noise(90, examples.index, 0)).log_weight.numpy()
    for size, estimate in zip(curve.draws, curve.estimates, strict=True):
        blocks = logsumexp(log_weight.reshape(-1, size, len(examples)), 1) - math.log(size)
        np.testing.assert_allclose(estimate.values, blocks.mean(0), rtol=1e-10)
        if len(blocks) > 1:
            np.testing.assert_allclose(estimate.mc_variance, blocks.var(0, ddof=1) / len(blocks), rtol=1e-9)
    assert str(curve).splitlines()[1].endswith("IWAE-30, mean of 3 blocks")


@pytest.mark.parametrize(("draws", "sizes"), [(1, (1,)), (7, (1, 7)), (100, (1, 4, 10, 25, 100))])
def test_steps_of_the_curve(draws: int, sizes: tuple[int, ...]) -> None:
    assert iwae_curve(near_posterior_vae(), batch(2), draws=draws).draws == sizes


@pytest.mark.parametrize("draws", [(2, 5), (), (0, 4), (-1,)])
def test_a_curve_that_does_not_divide_is_refused(draws: tuple[int, ...]) -> None:
    with pytest.raises(er.InputError, match="must be 1 or more and divide the greatest"):
        iwae_curve(near_posterior_vae(), batch(2), draws=draws)


def test_prior_sampling_of_the_linear_vae() -> None:
    vae, examples = near_posterior_vae(), batch()
    exact = LinearVAE(vae).log_prob(examples).numpy()
    found = prior_sampling(vae, examples, draws=40_000)
    within(found.values, exact, np.sqrt(found.mc_variance))
    few = prior_sampling(vae, repeated(examples, 300), draws=30)
    assert few.mean < found.mean  # a bound for few draws
    assert few.mean - exact.mean() < 4 * few.se_mc
    assert (few.direction, few.quantity) == ("lower", "log p(x)")


def hierarchical_vae() -> er.VAE:
    torch.manual_seed(2)
    return er.VAE(
        {"z1": er.posteriors.DiagonalNormal(nn.Linear(1, 4), 2, given=("z2",)), "z2": er.priors.StandardNormal(1)},
        {
            "z1": er.posteriors.DiagonalNormal(nn.Linear(5, 4), 2),
            "z2": er.posteriors.DiagonalNormal(nn.Linear(2, 2), 1, given=("z1",)),
        },
        er.likelihoods.Normal(nn.Linear(2, 5), 5, given=("z1",), scale=0.9),
    ).double()


class Steady(nn.Module):
    """z2 → mean A z2 + a, and a raw spread that z2 does not change."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.raw = nn.Linear(1, 2), nn.Parameter(torch.tensor([0.3, -0.5]))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.mean(z), self.raw.expand(len(z), 2)], 1)


def test_prior_sampling_of_a_hierarchy() -> None:
    """x = W z1 + b + noise, z1 = A z2 + a + noise, z2 ~ N(0, 1): x is normal."""
    vae, examples = hierarchical_vae(), batch()
    network = vae.prior["z1"].network = Steady().double()
    with torch.no_grad():
        spread = nn.functional.softplus(network.raw) + 1e-5
        w, b = vae.likelihood.network.weight, vae.likelihood.network.bias
        covariance = network.mean.weight @ network.mean.weight.T + torch.diag(spread)
        x = MultivariateNormal(w @ network.mean.bias + b, w @ covariance @ w.T + 0.81 * torch.eye(5))
        exact = x.log_prob(examples.x).numpy()
    found = prior_sampling(vae, examples, draws=40_000)
    within(found.values, exact, np.sqrt(found.mc_variance))
    both = iwae(vae, examples, draws=40_000)
    within(both.values, exact, np.sqrt(both.mc_variance))


def test_prior_sampling_with_a_block_observed() -> None:
    """log p(x, z2) where z2 is seen."""
    vae, examples = hierarchical_vae(), batch(4)
    seen, mask = (
        torch.tensor([[0.5], [9.0], [-1.0], [0.2]], dtype=torch.float64),
        torch.tensor([True, False, True, True]),
    )
    known = er.Batch(examples.x, examples.index, observed={"z2": (seen, mask)})
    found, other = prior_sampling(vae, known, draws=30_000), iwae(vae, known, draws=30_000)
    within(found.values, other.values, np.sqrt(found.mc_variance + other.mc_variance))
    free = prior_sampling(vae, examples, draws=30_000)
    assert found.values[1] == free.values[1]
    assert np.all(found.values[[0, 2, 3]] != free.values[[0, 2, 3]])


@pytest.mark.parametrize("kind", ["iwae", "prior"])
def test_stated_intervals_cover_their_own_estimand(kind: str) -> None:
    """4,000 repetitions of one example; the estimand, E of the log-mean of K weights, from as many others."""
    vae, runs = near_posterior_vae(), 4000
    measure = prior_sampling if kind == "prior" else iwae
    draws = 256 if kind == "prior" else 64
    found = measure(vae, repeated(batch(1), runs), draws=draws)
    estimand = measure(vae, repeated(batch(1), runs), draws=draws, seed=1).mean
    hits = int((np.abs(found.values - estimand) < 1.96 * np.sqrt(found.mc_variance)).sum())
    assert binomtest(hits, runs, 0.95).pvalue > 1e-3, hits / runs


@pytest.mark.parametrize("draws", [30, 200])
def test_prior_sampling_knows_no_batches(draws: int) -> None:
    vae, examples = near_posterior_vae(torch.float32), batch(9)
    whole = prior_sampling(vae, examples, draws=draws)
    small = prior_sampling(vae, examples, draws=draws, memory=60_000)
    some = prior_sampling(vae, er.Batch(examples.x[[4, 0]], examples.index[[4, 0]]), draws=draws)
    for other, rows in ((small, slice(None)), (some, [4, 0])):
        np.testing.assert_allclose(other.values, whole.values[rows], rtol=1e-5)
        np.testing.assert_allclose(other.mc_variance, whole.mc_variance[rows], rtol=1e-3)
        np.testing.assert_allclose(other.khat, whole.khat[rows], rtol=1e-2, atol=1e-2)
