"""The naive estimate as an objective: exact log p(x), its gradient and the exact posterior for linear models."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

import elbowroom as er
from elbowroom.numerics import Batch, CapabilityError
from elbowroom.objectives import PriorSampling
from elbowroom.training import TrainingStep

END = torch.tensor(math.inf)
X = torch.tensor([[0.3, -1.2, 0.8], [1.0, 0.2, -0.4]], dtype=torch.float64)


def linear_vae(prior: str) -> er.VAE:
    torch.manual_seed(1)
    p = er.priors.StandardNormal(1) if prior == "standard" else er.priors.Mixture(1, components=2)
    posterior = er.posteriors.DiagonalNormal(nn.Linear(3, 2), 1)
    return er.VAE(p, posterior, er.likelihoods.Normal(nn.Linear(1, 3), 3, scale=0.7)).double()


def exact_log_p(vae: er.VAE) -> Tensor:
    """The mean of log p(x) over X: a mixture of normals, N(b + W m, W s² Wᵀ + σ² I)."""
    net, prior = vae.likelihood.network, vae.prior["z"]({})
    mixture = isinstance(prior, MixtureSameFamily)
    each = prior.component_distribution.base_dist if mixture else prior.base_dist
    mean, scale = (value.reshape(-1, 1) for value in (each.loc, each.scale))
    w, noise = net.weight[:, 0], 0.49 * torch.eye(3, dtype=torch.float64)
    covariance = scale.square().unsqueeze(-1) * torch.outer(w, w) + noise
    parts = MultivariateNormal(net.bias + mean * w, covariance)
    logits = prior.mixture_distribution.logits.flatten() if mixture else torch.zeros(1, dtype=torch.float64)
    return MixtureSameFamily(Categorical(logits=logits), parts).log_prob(X).mean()


def parameters(vae: er.VAE) -> list[Tensor]:
    return [*vae.likelihood.parameters(), *vae.prior.parameters()]


def flat(total: Tensor, of: list[Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(total, of)])


@pytest.mark.parametrize("prior", ["standard", "mixture"])
def test_many_draws_give_log_p_and_its_gradient_a_learnt_prior_included(prior: str) -> None:
    vae, draws, parts = linear_vae(prior), 4_000, 40
    step = TrainingStep(vae, PriorSampling(draws=draws))
    totals, gradients = [], []
    for part in range(parts):
        batch = Batch(X, torch.arange(2))
        total = step(batch, step.keyed_noise(draws, batch.index, part), END).total
        totals.append(total.detach())
        gradients.append(flat(total, parameters(vae)))
    exact = exact_log_p(vae)
    value, found = torch.stack(totals), torch.stack(gradients)
    assert abs(value.mean() + exact) < 4.5 * value.std() / math.sqrt(parts)
    bias = 5 / draws  # of the logarithm of a mean, relative
    expected = -flat(exact, parameters(vae))
    assert ((found.mean(0) - expected).abs() < 4.5 * found.std(0) / math.sqrt(parts) + bias).all()


def test_it_bounds_log_p_from_below_on_average_and_rises_with_draws() -> None:
    vae = linear_vae("standard")
    batch = Batch(X.repeat(2_000, 1), torch.arange(4_000))
    found = []
    for draws in (1, 4, 16):
        step = TrainingStep(vae, PriorSampling(draws=draws))
        total = step(batch, step.keyed_noise(draws, batch.index, 0), END).total
        found.append(-total.item())
    assert found == sorted(found)
    assert found[-1] < exact_log_p(vae).item()


def test_q_follows_the_exact_posterior_beside_and_no_value_is_added() -> None:
    """E_{p(z|x)} ∇ log q(z | x) in closed form."""
    vae, draws = linear_vae("standard"), 20_000
    batch = Batch(X, torch.arange(2))
    step = TrainingStep(vae, PriorSampling(draws=draws))
    total = step(batch, step.keyed_noise(draws, batch.index, 0), END).total
    exact, q = er.exact.LinearVAE(vae).posterior(batch), vae.posterior["z"]({"x": X[None]})
    mean, variance = exact.mean.double(), exact.variance.double()
    cross = 0.5 * (q.variance[0].log() + (variance + (mean - q.mean[0]).square()) / q.variance[0]).sum(-1).mean()
    found, expected = (flat(t, list(vae.posterior.parameters())) for t in (total, cross))
    assert (found - expected).norm() < 0.05 * expected.norm()


def test_it_learns_probabilistic_pca() -> None:
    """At one latent and 100 draws the maximum of the exact likelihood is nearly reached."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 1, generator=generator) @ torch.tensor([[1.0, -0.5, 0.3]])
    x = x + 0.5 * torch.randn(300, 3, generator=generator)
    torch.manual_seed(0)
    likelihood = er.likelihoods.Normal(nn.Linear(1, 3), 3, scale="shared")
    vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(nn.Linear(3, 2), 1), likelihood)
    step, batch = TrainingStep(vae, PriorSampling(draws=100)), Batch(x, torch.arange(len(x)))
    adam = torch.optim.Adam(vae.parameters(), lr=5e-2)
    for _ in range(80):
        adam.zero_grad()
        step(batch, step.draw_noise(100, len(x), generator), END).total.backward()
        adam.step()
    best = er.exact.ProbabilisticPCA.fit(x.numpy(), 1)
    assert er.exact.LinearVAE(vae).log_prob(x).mean() > best.log_prob(x).mean() - 0.05


def test_what_it_cannot_have_is_said() -> None:
    vae = linear_vae("standard")
    batch = Batch(X, torch.arange(2), observed={"z": (torch.zeros(2, 1), torch.tensor([True, False]))})
    step = TrainingStep(vae, PriorSampling(draws=3))
    with pytest.raises(er.InputError, match="known for some examples"):
        step(batch, step.keyed_noise(3, batch.index, 0), END)
    with pytest.raises(er.InputError, match="draws of 1 or more"):
        PriorSampling(draws=0)
    likelihood = er.likelihoods.Normal(nn.Linear(1, 3), 3, scale="optimal")
    other = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(nn.Linear(3, 2), 1), likelihood)
    step, batch = TrainingStep(other, PriorSampling(draws=3)), Batch(X.float(), torch.arange(2))
    with pytest.raises(CapabilityError, match="take scale='shared'"):
        step(batch, step.keyed_noise(3, batch.index, 0), END)
