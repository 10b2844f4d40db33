"""A mixture as q: what a pass lays out is the ELBO of the mixture, its gradient exact, and two modes want two of it."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import elbowroom as er
from elbowroom.distributions import draw
from elbowroom.objectives import Elbo, Iwae

GRID = torch.linspace(-9, 9, 6_001, dtype=torch.float64)
STEP = (GRID[1] - GRID[0]).log()
EXAMPLE = er.Batch(torch.tensor([[2.0]], dtype=torch.float64), torch.arange(1))


class Squares(nn.Module):
    """z → z²: x says how far z lies from 0, and not on which side."""

    def forward(self, z: Tensor) -> Tensor:
        return z.square()


def squared(components: int, seed: int = 0) -> er.VAE:
    torch.manual_seed(seed)
    numbers = 2 if components == 1 else 3 * components
    network = nn.Linear(1, numbers)
    q = (
        er.posteriors.DiagonalNormal(network, 1)
        if components == 1
        else er.posteriors.Mixture(network, 1, components=components)
    )
    return er.VAE(er.priors.StandardNormal(1), q, er.likelihoods.Normal(Squares(), 1, scale=0.5)).double()


def by_quadrature(vae: er.VAE) -> tuple[Tensor, Tensor]:
    """log p(x) and the ELBO."""
    given = {"x": EXAMPLE.x.unsqueeze(0), "z": GRID.view(-1, 1, 1)}
    log_q = vae.posterior["z"](given).log_prob(given["z"])[:, 0]
    log_joint = vae.prior["z"](given).log_prob(given["z"])[:, 0] + vae.likelihood(given).log_prob(given["x"])[:, 0]
    mass = (log_q + STEP).exp()
    assert mass.sum().item() == pytest.approx(1, abs=1e-6)
    return (log_joint + STEP).logsumexp(0), (mass * (log_joint - log_q)).sum()


def noisy(vae: er.VAE, objective: er.objectives.Objective) -> tuple[np.ndarray, list[Tensor]]:
    """Totals of 60 passes with 100 draws, and their gradients."""
    generator, totals, gradients = torch.Generator().manual_seed(0), [], []
    parameters = [p for p in vae.parameters() if p.requires_grad]
    for _ in range(60):
        total = objective(vae, EXAMPLE, vae.draw_noise(100, 1, generator), torch.tensor(0.0)).total
        totals.append(-total.item())
        gradients.append([-g for g in torch.autograd.grad(total, parameters)])
    return np.array(totals), [torch.stack(each) for each in zip(*gradients, strict=True)]


@pytest.mark.parametrize("kl", ["auto", "sticking-the-landing"])
def test_the_stratified_elbo_and_its_gradient_are_unbiased(kl: str) -> None:
    vae = squared(3)
    _, bound = by_quadrature(vae)
    wanted = torch.autograd.grad(bound, [p for p in vae.parameters() if p.requires_grad])
    totals, gradients = noisy(vae, Elbo(draws=100, kl=kl))
    assert abs(totals.mean() - bound.item()) < 4.5 * totals.std() / math.sqrt(60)
    for expected, found in zip(wanted, gradients, strict=True):
        assert ((found.mean(0) - expected).abs() < 5 * found.std(0) / math.sqrt(60) + 1e-9).all()


def test_weights_of_a_pass_have_the_mean_p_of_x() -> None:
    vae = squared(2)
    exact, _ = by_quadrature(vae)
    with torch.no_grad():
        terms = vae(EXAMPLE, vae.keyed_noise(40_000, EXAMPLE.index, 0))
    weights = (terms.log_weight - exact).exp()
    assert abs(weights.mean() - 1) < 4.5 * weights.std() / 200
    one = vae(EXAMPLE, vae.keyed_noise(5, EXAMPLE.index, 0))
    assert one.log_weight.shape == (5, 1)
    assert er.evidence.iwae(vae, EXAMPLE, draws=5_000).values[0] == pytest.approx(exact.item(), abs=0.03)


def test_the_gap_closes_as_q_gets_the_second_mode() -> None:
    """The posterior of z given z² = 2 ± 0.5 has modes at ±1.4: one normal loses nearly log 2, two lose little."""
    gaps = []
    for components in (1, 2):
        vae = squared(components)
        parameters = [p for p in vae.parameters() if p.requires_grad]
        optimizer = torch.optim.LBFGS(parameters, max_iter=150, line_search_fn="strong_wolfe")

        def loss(vae: er.VAE = vae, optimizer: torch.optim.Optimizer = optimizer) -> Tensor:
            optimizer.zero_grad()
            value = -by_quadrature(vae)[1]
            value.backward()
            return value

        optimizer.step(loss)
        exact, bound = by_quadrature(vae)
        found = er.evidence.elbo(vae, EXAMPLE, draws=4_000)
        assert abs(found.values[0] - bound.item()) < 4.5 * math.sqrt(found.mc_variance[0])
        gaps.append((exact - bound).item())
    assert gaps[0] > 0.6
    assert 0 <= gaps[1] < 0.06


def test_single_draws_are_the_mixture_s() -> None:
    vae = squared(3)
    with torch.no_grad():
        q = vae.posterior["z"]({"x": EXAMPLE.x.unsqueeze(0)})
        noise = torch.randn(40_000, 1, 2, generator=torch.Generator().manual_seed(1)).double()
        z, log_density = draw(q, noise)
        torch.testing.assert_close(log_density(), q.log_prob(z))
    for power in (1, 2):
        expected = (GRID**power * (q.log_prob(GRID.view(-1, 1, 1))[:, 0] + STEP).exp()).sum()
        assert abs((z**power).mean() - expected) < 4.5 * (z**power).std() / 200
    with pytest.raises(er.CapabilityError, match="carries no gradient to its weights"):
        draw(vae.posterior["z"]({"x": EXAMPLE.x.unsqueeze(0)}), noise)
    with pytest.raises(er.CapabilityError, match="take gradient='plain'"):
        Iwae(gradient="doubly-reparameterised")(vae, EXAMPLE, vae.keyed_noise(5, EXAMPLE.index, 0), torch.tensor(0.0))


def test_beside_classes_every_component_stands_once_beside_every_class() -> None:
    """A pass over a mixture and a block of classes is the sum over both, by hand."""
    torch.manual_seed(0)
    vae = er.VAE(
        {"y": er.priors.Categorical(3), "z": er.priors.StandardNormal(2)},
        {
            "y": er.posteriors.Categorical(nn.Linear(1, 3), 3),
            "z": er.posteriors.Mixture(er.networks.MLP([4, 10]), 2, given=("x", "y")),
        },
        er.likelihoods.Normal(er.networks.MLP([5, 4, 1]), 1, given=("y", "z")),
    ).double()
    noise = vae.keyed_noise(4, EXAMPLE.index, 0)
    terms = vae(EXAMPLE, noise)
    given, total, rate = {"x": EXAMPLE.x.unsqueeze(0)}, [], []
    q_y = vae.posterior["y"](given)
    for y in range(3):
        given["y"] = torch.eye(3).double()[y].view(1, 1, 3)
        q_z = vae.posterior["z"](given)
        for k in range(2):
            given["z"] = q_z.loc[:, :, k] + q_z.scale[:, :, k] * noise["z"][..., :2]
            log_p = vae.prior["y"](given).log_prob(given["y"]) + vae.prior["z"](given).log_prob(given["z"])
            log_p = log_p + vae.likelihood(given).log_prob(EXAMPLE.x.unsqueeze(0))
            log_q = q_y.log_prob(given["y"]) + q_z.log_prob(given["z"])
            weight = q_y.probs[..., y] * q_z.logits[..., k].exp()
            total.append((weight * (log_p - log_q).exp()).expand(4, 1))
            rate.append((weight * (log_q - log_p)).expand(4, 1))
    torch.testing.assert_close(terms.log_weight, sum(total).log())
    torch.testing.assert_close(terms.rate("sampled") - terms.log_likelihood, sum(rate))
