"""Posteriors and priors beside the usual ones: maps that are invertible, closed KLs, what each of them can reach."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

import elbowroom as er
from elbowroom.distributions import kl
from elbowroom.distributions.flows import flow_of
from elbowroom.distributions.invertible import PlanarTransform, RadialTransform
from elbowroom.numerics import Batch
from elbowroom.recipes import build, recipe_of


@pytest.mark.parametrize("transform", [PlanarTransform, RadialTransform])
@pytest.mark.parametrize("size", [0.3, 5.0])
def test_planar_and_radial_maps_are_invertible_with_the_determinant_of_their_jacobian(
    transform: type, size: float
) -> None:
    """Whatever their numbers: the raw ones of half of these maps would fold space over itself."""
    generator = torch.Generator().manual_seed(0)
    d = 3
    numbers = size * torch.randn(200, transform.numbers(d), generator=generator, dtype=torch.float64)
    z = 2 * torch.randn(200, d, generator=generator, dtype=torch.float64)
    made = transform(numbers, d)
    y = made(z)
    back = made.inv(y)
    assert (made(back) - y).abs().max() < 1e-9
    jacobians = torch.vmap(torch.func.jacrev(lambda n, z: transform(n, d)(z), argnums=1))(numbers, z)
    sign, log_abs = torch.linalg.slogdet(jacobians)
    assert (sign > 0).all()
    torch.testing.assert_close(made.log_abs_det_jacobian(z, y), log_abs, rtol=1e-8, atol=1e-8)
    slopes = torch.vmap(torch.func.jacrev(lambda n, y: transform(n, d)._inverse(y), argnums=1))(numbers, y)
    gentle = log_abs > -3
    product = (slopes @ jacobians)[gentle]
    torch.testing.assert_close(product, torch.eye(d).double().expand_as(product), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["nsf", "maf", "autoregressive", "iaf", "planar", "radial"])
def test_a_flow_prior_s_density_adds_to_one(kind: str) -> None:
    torch.manual_seed(2)
    prior = er.priors.Flow(1, flow=kind, hidden=(8,)).double()
    for parameter in prior.parameters():
        nn.init.normal_(parameter, std=0.3)
    z = torch.linspace(-30, 30, 60_001, dtype=torch.float64).view(1, -1, 1)
    with torch.no_grad():
        assert torch.trapezoid(prior({}).log_prob(z).exp(), z[..., 0]).item() == pytest.approx(1, abs=1e-3)


def linear(prior: er.priors.StandardNormal | None = None, posterior: object = None) -> er.VAE:
    """A decoder whose posterior is correlated, and whose log p(x) is known."""
    likelihood = er.likelihoods.Normal(nn.Linear(2, 3), 3, scale=0.5)
    with torch.no_grad():
        likelihood.network.weight.copy_(torch.tensor([[1.0, 0.9], [0.8, -0.2], [0.9, 0.7]]))
        likelihood.network.bias.zero_()
    likelihood.requires_grad_(False)
    return er.VAE(prior or er.priors.StandardNormal(2), posterior, likelihood)


def test_the_full_normal_s_closed_kl_is_torchs() -> None:
    torch.manual_seed(0)
    q = er.posteriors.FullNormal(nn.Linear(3, 5), 2).double()({"x": torch.randn(1, 6, 3).double()})
    p = er.priors.Normal(2).double()
    with torch.no_grad():
        p.means.normal_()
        p.raw.normal_()
    against = p({})
    dense = MultivariateNormal(against.mean, torch.diag_embed(against.variance))
    expected = kl_divergence(MultivariateNormal(q.loc, scale_tril=q.scale_tril), dense)
    torch.testing.assert_close(kl(q, against), expected)
    z = torch.randn(4, 6, 2).double()
    torch.testing.assert_close(q.log_prob(z), MultivariateNormal(q.loc, scale_tril=q.scale_tril).log_prob(z))


def test_a_full_normal_holds_the_posterior_of_a_linear_model() -> None:
    """With the posterior's own numbers every draw's weight is p(x), which no diagonal q can give."""
    vae = linear(posterior=er.posteriors.FullNormal(nn.Linear(3, 5), 2, floor=0.0)).double()
    weight = vae.likelihood.network.weight
    covariance = torch.linalg.inv(torch.eye(2) + weight.T @ weight / 0.5**2)
    root = torch.linalg.cholesky(covariance)
    with torch.no_grad():
        network = vae.posterior["z"].network
        network.weight.zero_()
        network.weight[:2] = covariance @ weight.T / 0.5**2
        network.bias[:2] = 0.0
        network.bias[2:4] = root.diagonal().square().expm1().log()
        network.bias[4] = math.sqrt(2) * root[1, 0] / root[1, 1]
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    batch = Batch(x, torch.arange(50))
    exact = er.exact.LinearVAE(vae).log_prob(batch)
    log_weight = vae(batch, vae.keyed_noise(3, batch.index, 0)).log_weight
    torch.testing.assert_close(log_weight, exact.expand(3, -1).to(log_weight), rtol=1e-9, atol=1e-9)
    bound = er.evidence.elbo(vae, batch, draws=4_000)
    assert np.abs(bound.values - exact.numpy()).max() < 6 * np.sqrt(bound.mc_variance.max()) + 1e-9


def test_a_learned_normal_prior_is_the_aggregate_posterior_s_moments() -> None:
    """What minimises KL(q(z) ‖ p(z)) over normals is the one with the mean and the variance of q(z)."""
    torch.manual_seed(0)
    vae = linear(er.priors.Normal(2), er.posteriors.DiagonalNormal(nn.Linear(3, 4), 2))
    vae.posterior.requires_grad_(False)
    with torch.no_grad():
        vae.posterior["z"].network.bias[:2] += 1.5
    x = torch.randn(300, 3)
    data = er.load_data(x.numpy(), preprocess="none", validation=20, test=20)
    er.fit(vae, data, epochs=60, batch_size=65, lr=5e-2, lr_final=1e-3, select="last", progress=False)
    q = vae.posterior["z"]({"x": data.train.x.unsqueeze(0)})
    total = q.variance[0].mean(0) + q.mean[0].var(0, unbiased=False)
    p = vae.prior["z"]({})
    np.testing.assert_allclose(p.mean[0, 0].detach(), q.mean[0].mean(0).detach(), atol=0.02)
    np.testing.assert_allclose(p.variance[0, 0].detach(), total.detach(), rtol=0.03)


def test_two_layers_with_a_normal_prior_between_them_have_the_evidence_of_quadrature() -> None:
    torch.manual_seed(1)
    prior = {"z2": er.priors.StandardNormal(1), "z1": er.priors.Normal(1, network=nn.Linear(1, 2), given=("z2",))}
    posterior = {
        "z1": er.posteriors.DiagonalNormal(nn.Linear(2, 2), 1),
        "z2": er.posteriors.DiagonalNormal(nn.Linear(1, 2), 1, given=("z1",)),
    }
    vae = er.VAE(prior, posterior, er.likelihoods.Normal(nn.Linear(1, 2), 2, scale=0.6, given=("z1",))).double()
    batch = Batch(torch.tensor([[0.4, -0.9]], dtype=torch.float64), torch.tensor([0]))
    found = er.evidence.iwae(vae, batch, draws=20_000)
    grid = np.linspace(-8, 8, 801)
    with torch.no_grad():
        p1 = vae.prior["z1"]({"z2": torch.tensor(grid).view(1, -1, 1)})
        mean, sd = p1.mean[0, :, 0].numpy(), p1.stddev[0, :, 0].numpy()
        decoded = vae.likelihood.network(torch.tensor(grid).view(-1, 1)).numpy()
    p_x = stats.norm.pdf(batch.x[0].numpy(), decoded, 0.6).prod(1)
    p_z1 = (stats.norm.pdf(grid[:, None], mean, sd) * stats.norm.pdf(grid)).sum(1) * (grid[1] - grid[0])
    exact = math.log((p_x * p_z1).sum() * (grid[1] - grid[0]))
    assert found.mean == pytest.approx(exact, abs=4.5 * found.se_mc + 1e-3)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(er.InputError, match="one row"):
        er.posteriors.FullNormal(nn.Linear(3, 5), (1, 2))
    with pytest.raises(er.InputError, match="one row"):
        er.priors.Flow((1, 2))
    with pytest.raises(er.InputError, match="neither of the two"):
        er.priors.Normal(2, network=nn.Linear(1, 4))
    with pytest.raises(er.InputError, match="flow must be"):
        flow_of("glow", 2, 0, 1, ())


@pytest.mark.parametrize("kind", ["nsf", "maf", "autoregressive", "iaf", "planar", "radial"])
def test_an_untrained_flow_is_the_diagonal_normal_that_its_network_gives(kind: str) -> None:
    torch.manual_seed(0)
    network, given = nn.Linear(3, 80 + 8).double(), {"x": torch.randn(1, 6, 3).double()}
    q = er.posteriors.Flow(network, 40, context=8, flow=kind, hidden=(8,)).double()(given)
    first = nn.Linear(3, 80).double()
    with torch.no_grad():
        first.weight.copy_(network.weight[:80])
        first.bias.copy_(network.bias[:80])
    z = 2 * torch.randn(4, 6, 40).double()
    torch.testing.assert_close(q.log_prob(z), er.posteriors.DiagonalNormal(first, 40)(given).log_prob(z))


def test_an_untrained_full_normal_is_near_the_diagonal_one_however_small_its_spread() -> None:
    """KL from it at 40 dimensions and σ = 0.1: what stands below the diagonal is measured in σ, or is not."""
    torch.manual_seed(0)
    network, x, far = er.networks.MLP([20, 50, 80 + 780]), torch.randn(1, 9, 20), {}
    with torch.no_grad():
        network.layers[-1].bias[40:80] = -4.6
    for below in ("relative", "absolute"):
        q = er.posteriors.FullNormal(network, 40, below=below)({"x": x})
        diagonal = Normal(q.loc, q.scale_tril.diagonal(dim1=-2, dim2=-1))
        far[below] = kl(q, Independent(diagonal, 1)).mean().item()
    assert far["relative"] < 1
    assert far["absolute"] > 100


def test_models_saved_before_mean_what_they_meant() -> None:
    """Their recipes lack the option that came later."""
    network = er.networks.MLP([3, 4])
    flow = recipe_of(er.posteriors.Flow(network, 2, context=4, base="standard"))
    full = recipe_of(er.posteriors.FullNormal(er.networks.MLP([3, 5]), 2, below="absolute"))
    assert build({key: value for key, value in flow.items() if key != "base"}).base == "standard"
    assert build({key: value for key, value in full.items() if key != "below"}).below == "absolute"
    assert build(recipe_of(er.posteriors.FullNormal(er.networks.MLP([3, 5]), 2))).below == "relative"


def test_a_mixture_of_full_covariances_takes_what_was_fitted_elsewhere() -> None:
    """Its density is that of torch's own normals, weighed; what lies below the floor is set to it."""
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64).tril() * 0.3
    roots = roots.tril(-1) + torch.diag_embed(roots.diagonal(dim1=-2, dim2=-1).abs() + 0.2)
    means, weights = torch.randn(2, 3, generator=generator).double(), torch.tensor([0.3, 0.7]).double()
    prior = er.priors.Mixture(3, components=2, covariance="full", floor=0.05).double()
    prior.begin_at(weights, means, roots)
    z = torch.randn(1, 6, 3, generator=generator).double()
    each = torch.distributions.MultivariateNormal(means, scale_tril=roots).log_prob(z.unsqueeze(-2))
    torch.testing.assert_close(prior({}).log_prob(z), (each + weights.log()).logsumexp(-1), atol=1e-4, rtol=0)
    prior.begin_at(weights, means, 0.01 * torch.eye(3).double().expand(2, 3, 3))
    scale = prior({}).component_distribution.scale_tril.diagonal(dim1=-2, dim2=-1)
    assert float(scale.min()) == pytest.approx(0.05, rel=1e-3)
    with pytest.raises(er.InputError, match="one row"):
        er.priors.Mixture((2, 2), covariance="full")


@pytest.mark.parametrize("latents", [1, 3])
@pytest.mark.parametrize("flow", ["nsf", "maf"])
def test_a_flow_behind_a_normal_begins_as_that_normal(flow: str, latents: int) -> None:
    prior = er.priors.Flow(latents, flow=flow, base="diagonal")
    with torch.no_grad():
        prior.means.fill_(2.0)
        prior.logs.fill_(math.log(0.5))
    z = 2 + torch.randn(1, 5, latents)
    normal = torch.distributions.Independent(torch.distributions.Normal(torch.full((latents,), 2.0), 0.5), 1)
    torch.testing.assert_close(prior({}).log_prob(z), normal.log_prob(z), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("spread", ["softplus", "exp"])
def test_a_flow_of_q_begins_as_the_diagonal_normal_of_the_same_spread(spread: str) -> None:
    torch.manual_seed(0)
    network, x = nn.Linear(3, 2), torch.randn(1, 4, 3)
    wide = er.networks.Beside(network, nn.Linear(3, 5))
    q = er.posteriors.Flow(wide, 1, context=5, flow="iaf", spread=spread, floor=0.1)({"x": x})
    p = er.posteriors.DiagonalNormal(network, 1, spread=spread, floor=0.1)({"x": x})
    z = torch.randn(1, 4, 1)
    torch.testing.assert_close(q.log_prob(z), p.log_prob(z), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("event", [(3,), (2, 2)])
def test_a_mixture_in_single_precision_is_that_in_double(event: tuple[int, ...]) -> None:
    """Multiplied out, with gradients to all parameters, far means and narrow components too."""
    torch.manual_seed(0)
    prior = er.priors.Mixture(event, components=4, floor=1e-3)
    with torch.no_grad():
        prior.means.mul_(30).add_(1000)
        prior.raw[..., 0, :] = -9
    wide = copy.deepcopy(prior).double()
    z = (1000 + 30 * torch.randn(5, 6, *event)).requires_grad_()
    found, truth = prior({}).log_prob(z), wide({}).log_prob(z.double())
    assert found.shape == (5, 6)
    torch.testing.assert_close(found.double(), truth, rtol=1e-6, atol=0)
    single = torch.autograd.grad(found.sum(), [z, *prior.parameters()])
    for one, other in zip(single, torch.autograd.grad(truth.sum(), [z, *wide.parameters()]), strict=True):
        torch.testing.assert_close(one.double(), other.double(), rtol=1e-4, atol=1e-5)
    assert prior({}).log_prob(z[0, 0]).shape == (1, 1)
