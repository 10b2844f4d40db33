"""Draws by role: a posterior from noise, a prior by (seed, example); what a distribution lacks is a sentence."""

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import Chi2, Distribution, Gamma, Independent, MixtureSameFamily, Normal, VonMises

import elbowroom as er
from elbowroom import posteriors, priors
from elbowroom.components import Component
from elbowroom.distributions import detached, draw, on_real_line, simulate
from elbowroom.distributions.flows import zuko
from elbowroom.networks import MLP
from elbowroom.numerics import Given

D = 3


class Exotic(Component):
    """A prior that torch can sample and nobody can draw from noise; with `given`, one that depends on another block."""

    def forward(self, given: Given) -> Distribution:
        loc = given["a"] if self.given else torch.zeros(1, 1, 2)
        return Independent(VonMises(loc, torch.ones(1, 1, 2)), 1)


def vae(prior: object = None, posterior: object = None) -> er.VAE:
    torch.manual_seed(0)
    return er.VAE(
        prior or priors.StandardNormal(2),
        posterior or posteriors.DiagonalNormal(MLP([D, 8, 4]), 2),
        er.likelihoods.Normal(MLP([2, D]), D, scale=1.0),
    ).eval()


class Rejected(Component):
    """A prior drawn by rejection, so that how much chance a draw uses up depends on what it is conditioned on."""

    def forward(self, given: Given) -> Distribution:
        return Independent(Gamma(given["a"].exp(), 1.0), 1)


def two_blocks(second: Component | None = None) -> er.VAE:
    return er.VAE(
        {"a": priors.Mixture(2, components=3), "b": second or Exotic(2, given=("a",))},
        {name: posteriors.DiagonalNormal(MLP([D, 4]), 2) for name in "ab"},
        er.likelihoods.Normal(MLP([4, D]), D, scale=1.0, given=("a", "b")),
    ).eval()


MODELS = {
    "mixture": lambda: vae(priors.Mixture(2, components=3)),
    "vamp": lambda: (lambda q: vae(priors.Vamp(q, D, pseudo_inputs=4), q))(
        posteriors.DiagonalNormal(MLP([D, 8, 4]), 2)
    ),
    "von Mises": lambda: vae(Exotic(2)),
    "two blocks": two_blocks,
    "rejection": lambda: two_blocks(Rejected(2, given=("a",))),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_priors_keyed_draws_depend_on_seed_and_example_alone(name: str) -> None:
    model, index = MODELS[name](), torch.tensor([5, 0, 9])
    whole = model.keyed_prior({}, 150, index, 1)
    part = model.keyed_prior({}, 70, index[2:], 1, first_draw=60)
    for block in model.prior:
        assert whole[block].shape == (150, 3, 2)
        torch.testing.assert_close(whole[block][60:130, 2:], part[block], rtol=1e-5, atol=1e-6)
        flat = whole[block].detach().flatten(0, 1).numpy()
        assert len(np.unique(flat, axis=0)) == len(flat)
    other = model.keyed_prior({}, 150, index, 2)
    assert not torch.equal(whole[block], other[block])


def test_keyed_draws_of_a_mixture_have_its_distribution() -> None:
    """χ² over 20 equally likely cells of the first coordinate, whose distribution function is known."""
    model = vae(priors.Mixture(2, components=3))
    drawn = model.keyed_prior({}, 1000, torch.arange(20), 3)["z"][..., 0].detach().flatten().double().numpy()
    p = model.prior["z"]({})
    means, scales = (
        t[0, 0, :, 0].detach().numpy() for t in (p.component_distribution.mean, p.component_distribution.stddev)
    )
    grid = np.linspace(-8, 8, 20_001)
    below = np.mean([stats.norm(m, s).cdf(grid) for m, s in zip(means, scales, strict=True)], 0)
    edges = np.interp(np.arange(1, 20) / 20, below, grid)
    counts = np.bincount(np.searchsorted(edges, drawn), minlength=20)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_sampling_a_model_with_a_prior_that_only_samples() -> None:
    model = vae(Exotic(2))
    assert torch.equal(model.sample(30, seed=4), model.sample(30, seed=4))
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    model.sample(3)
    assert torch.equal(torch.rand(1), expected)
    x = torch.randn(4, D, generator=torch.Generator().manual_seed(0))
    whole, chunks = (er.evidence.prior_sampling(model, x, draws=300, memory=m) for m in ("1 GiB", "200 kB"))
    np.testing.assert_allclose(whole.values, chunks.values, rtol=1e-6)


def test_simulate_takes_any_distribution_that_samples_and_says_what_it_lacks() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = simulate(Gamma(torch.full((20_000,), 2.0), 1.0), generator).double().numpy()
    assert stats.kstest(drawn, stats.gamma(2.0).cdf).pvalue > 1e-3

    class Mute(Distribution):
        arg_constraints = {}  # noqa: RUF012

    with pytest.raises(er.CapabilityError, match="neither icdf nor sample"):
        simulate(Mute(validate_args=False), generator)
    with pytest.raises(er.CapabilityError, match="does not say what its support is"):
        on_real_line(Mute(validate_args=False))
    assert not on_real_line(Chi2(torch.ones(1)))


def test_detached_parameters_leave_the_gradient_in_the_value_alone() -> None:
    loc, z = torch.zeros(2, requires_grad=True), torch.ones(2, requires_grad=True)
    q = Independent(Normal(loc, torch.full((2,), 2.0)), 1)
    value = detached(q).log_prob(z)
    torch.testing.assert_close(value, q.log_prob(z))
    value.backward()
    assert loc.grad is None
    torch.testing.assert_close(z.grad, torch.full((2,), -0.25))
    mixture = priors.Mixture(2, components=3)({})
    assert isinstance(mixture, MixtureSameFamily)
    with pytest.raises(er.CapabilityError, match="kl='sampled'"):
        detached(mixture)


def test_importing_zuko_here_changes_nothing_for_the_process() -> None:
    code = (
        "import torch; from torch.distributions import Distribution, Normal\n"
        "before = {k: v for k, v in vars(Distribution).items()}\n"
        "from elbowroom.distributions.flows import zuko; zuko()\n"
        "after = {k: v for k, v in vars(Distribution).items()}\n"
        "assert before == after, set(before) ^ set(after)\n"
        "try: Normal(0.0, -1.0)\n"
        "except ValueError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "refused", done.stderr


@pytest.mark.parametrize("kind", ["maf", "nsf", "autoregressive", "iaf", "planar", "radial"])
def test_a_flow_is_drawn_with_the_density_it_has(kind: str) -> None:
    torch.manual_seed(1)
    q = posteriors.Flow(MLP([D, 8]), 2, context=4, flow=kind, hidden=(8,)).double()
    for parameter in q.parameters():
        nn.init.normal_(parameter, std=0.4)
    given = {"x": torch.randn(1, 1, D, dtype=torch.float64).expand(1, 50_000, D)}
    with torch.no_grad():
        p = q(given)
        value, log_density = draw(p, torch.randn(1, 50_000, 2, dtype=torch.float64))
        torch.testing.assert_close(log_density(), p.log_prob(value), rtol=1e-6, atol=1e-6)
        flat = value[0].numpy()
        narrow = stats.multivariate_normal(flat.mean(0), 0.5 * np.cov(flat.T)).logpdf(flat)
        ratio = np.exp(narrow - log_density()[0].numpy())
    assert abs(ratio.mean() - 1) < 4.5 * ratio.std() / math.sqrt(len(ratio))
    assert on_real_line(p)


def with_flow(seed: int = 0) -> er.VAE:
    torch.manual_seed(seed)
    return vae(posterior=posteriors.Flow(MLP([D, 8, 12]), 2, context=8, transforms=2, hidden=(16,)))


def test_a_flow_reaches_the_evidence_of_a_linear_model_better_than_the_diagonal_normal() -> None:
    """log p(x) of the linear decoder is known; the flow's ELBO lies below it, and nearer after training."""
    x = torch.randn(600, D, generator=torch.Generator().manual_seed(0)) @ torch.randn(
        D, D, generator=torch.Generator().manual_seed(1)
    )
    data = er.load_data(x.numpy(), preprocess="none")
    bounds = {}
    for name, model in (("flow", with_flow()), ("diagonal", vae())):
        model.likelihood = er.likelihoods.Normal(nn.Linear(2, D), D, scale=0.5)
        with torch.no_grad():
            model.likelihood.network.weight.copy_(torch.tensor([[1.0, 0.9], [0.8, -0.2], [0.9, 0.7]]))
            model.likelihood.network.bias.zero_()
        model.likelihood.requires_grad_(False)
        er.fit(model, data, epochs=16, lr=1e-2, progress=False)
        weight = model.likelihood.network.weight.double().numpy()
        covariance = weight @ weight.T + 0.25 * np.eye(D)
        exact = stats.multivariate_normal(np.zeros(D), covariance).logpdf(data.test.x.double().numpy())
        gap = exact - er.evidence.elbo(model, data.test, draws=256).values
        assert gap.mean() > -0.02
        bounds[name] = gap.mean()
        iwae = er.evidence.iwae(model, data.test, draws=2000)
        assert abs((exact - iwae.values).mean()) < 5 * iwae.se_mc + 0.02
    assert bounds["flow"] < bounds["diagonal"]


@pytest.mark.usefixtures("pilots_are_short")
def test_a_flows_mean_is_one_over_draws_and_everything_that_needs_one_works() -> None:
    model, x = with_flow(), torch.randn(40, D, generator=torch.Generator().manual_seed(0))
    codes = model.encode(x)["z"]
    with torch.no_grad():
        q = model.posterior["z"]({"x": x[None]})
        many = draw(q, torch.randn(5_000, 40, 2, generator=torch.Generator().manual_seed(5)))[0]
    error = many.std(0) / math.sqrt(256)
    assert ((codes - many.mean(0)) / error).abs().max() < 5
    batch = er.Batch(x, torch.arange(40))
    torch.testing.assert_close(model.encode(batch.rows(slice(3, 5)))["z"], codes[3:5])
    assert model.reconstruct(x).shape == (40, D)
    assert er.metrics.latent_use(model, x).kl is None
    budget = er.variance_budget(model, x, draws=400)
    assert budget.z_within.mean() == pytest.approx(many.var(0).mean().item(), rel=0.1)
    lower = er.evidence.ais(model, x[:3], temperatures=6, chains=2, leapfrog=2)
    assert lower.direction == "lower"


def test_a_zuko_flow_of_ones_own_serves() -> None:
    flow = zuko().flows.NICE(2, context=5, transforms=2, hidden_features=(8,))
    model = vae(posterior=posteriors.Flow(nn.Linear(D, 9), 2, context=5, flow=flow))
    assert np.isfinite(er.evidence.iwae(model, torch.randn(5, D), draws=20).values).all()
    with pytest.raises(er.InputError, match=r"flow must be 'nsf', 'maf', .* or a zuko flow; got 'glow'"):
        posteriors.Flow(nn.Linear(D, 9), 2, context=5, flow="glow")
