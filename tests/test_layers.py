"""Several stochastic layers by a word, on linear models whose evidence, posterior and gradients are known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

import elbowroom as er
from elbowroom.models import Recipe, build
from elbowroom.objectives import Elbo
from elbowroom.recipes import recipe_of

DATA = er.load_data(np.random.default_rng(0).normal(size=(30, 3)), validation=4, test=6)
WORDS = {"latents": [2, 1], "widths": [], "likelihood": {"kind": "normal", "scale": 0.6}}
WAYS = ["diagonal-normal", "ladder"]


def linear(posterior: str, seed: int = 0) -> er.VAE:
    """z2 → z → x, all linear with constant scales: log p(x) is that of a normal."""
    vae = build(Recipe(posterior=posterior, **WORDS), DATA).double()
    vae.preprocess = er.preprocess.Identity()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        for part in (*vae.prior.values(), *vae.posterior.values()):
            if part.network is not None:  # the scales: constant
                _, weight = rows(part)
                weight.zero_()
    return vae


def layer(part: torch.nn.Module) -> torch.nn.Linear:
    return part.network.layers[0]


def rows(part: torch.nn.Module) -> tuple[Tensor, Tensor]:
    """Weights that make a mean, and those that make a raw scale."""
    return layer(part).weight.chunk(2)


def normal_of(part: torch.nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, offset and variances of a linear normal."""
    mean, raw = layer(part).bias.chunk(2)
    spread = torch.nn.functional.softplus(raw)
    variance = (part.floor + spread).square() if isinstance(part, er.priors.Normal) else spread + part.floor
    return rows(part)[0], mean, variance


def joint(vae: er.VAE) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and covariance of (z, z2) under p, the decoder's weights and its offset."""
    a, offset, variance = normal_of(vae.prior["z"])
    covariance = torch.cat(
        [torch.cat([a @ a.T + variance.diag(), a], 1), torch.cat([a.T, torch.ones(1, 1).double()], 1)]
    )
    decoder = vae.likelihood.network.layers[0]
    return torch.cat([offset, torch.zeros(1).double()]), covariance, decoder.weight, decoder.bias


def evidence_of(vae: er.VAE, x: Tensor) -> Tensor:
    mean, covariance, w, b = joint(vae)
    noise = 0.36 * torch.eye(3).double()
    return MultivariateNormal(w @ mean[:2] + b, w @ covariance[:2, :2] @ w.T + noise).log_prob(x)


def true_posterior(vae: er.VAE, x: Tensor) -> MultivariateNormal:
    mean, covariance, w, b = joint(vae)
    reads = torch.cat([w, torch.zeros(3, 1).double()], 1)
    precision = covariance.inverse() + reads.T @ reads / 0.36
    within = precision.inverse()
    at = within @ (covariance.inverse() @ mean + reads.T @ (x - b) / 0.36)
    return MultivariateNormal(at, within)


def q_of(vae: er.VAE, x: Tensor) -> MultivariateNormal:
    """q(z, z2 | x) of one x, a normal by algebra."""
    first, second = vae.posterior["z"], vae.posterior["z2"]
    if isinstance(first, er.posteriors.Ladder):
        c, offset, top = normal_of(second)
        e, shift, own = normal_of(first)
        a, expected, above = normal_of(vae.prior["z"])
        variance = 1 / (1 / own + 1 / above)
        slope = (variance / above).unsqueeze(1) * a
        start = variance * ((e @ x + shift) / own + expected / above)
        mean = c @ x + offset
        return of_two(start + slope @ mean, variance.diag() + slope @ (top * slope.T), mean, top, slope * top)
    e, shift, own = normal_of(first)
    c, offset, top = normal_of(second)
    mean = e @ x + shift
    return of_two(mean, own.diag(), c @ mean + offset, c @ (own * c).T + top.diag(), (c * own).T)


def of_two(mean: Tensor, covariance: Tensor, other: Tensor, variance: Tensor, between: Tensor) -> MultivariateNormal:
    blocks = [torch.cat([covariance, between], 1), torch.cat([between.T, variance.view(1, 1)], 1)]
    return MultivariateNormal(torch.cat([mean, other]), torch.cat(blocks))


def examples() -> er.Batch:
    x = torch.tensor(np.random.default_rng(1).normal(size=(4, 3)))
    return er.Batch(x, torch.arange(4))


@pytest.mark.parametrize("posterior", WAYS)
def test_the_evidence_of_two_layers_is_the_normal_s(posterior: str) -> None:
    vae, batch = linear(posterior), examples()
    exact = evidence_of(vae, batch.x).detach()
    bound = exact - torch.stack([kl_divergence(q_of(vae, x), true_posterior(vae, x)).detach() for x in batch.x])
    elbo = er.evidence.elbo(vae, batch, draws=2_000)
    assert (abs(elbo.values - bound.numpy()) < 4.5 * np.sqrt(elbo.mc_variance)).all()
    iwae = er.evidence.iwae(vae, batch, draws=5_000)
    assert (abs(iwae.values - exact.numpy()) < 4.5 * np.sqrt(iwae.mc_variance) + 0.01).all()


def test_annealing_goes_through_both_layers() -> None:
    vae, batch = linear("ladder"), examples().rows(slice(0, 2))
    ais = er.evidence.ais(vae, batch, temperatures=6, chains=6, leapfrog=2)
    exact = evidence_of(vae, batch.x).detach().numpy()
    assert (abs(ais.values - exact) < 4.5 * np.sqrt(ais.mc_variance) + 0.02).all()
    assert 0 < er.evidence.bdmc(vae, batch, temperatures=6, chains=4, leapfrog=2).gap.values.mean() < 0.6


@pytest.mark.parametrize("posterior", WAYS)
def test_the_mean_gradient_of_the_elbo_is_the_exact_one(posterior: str) -> None:
    """log p(x) − KL(q ‖ p(z | x)) in closed form, against 400 noisy gradients."""
    vae, batch = linear(posterior), examples().rows(slice(0, 1))
    exact = evidence_of(vae, batch.x[0]) - kl_divergence(q_of(vae, batch.x[0]), true_posterior(vae, batch.x[0]))
    free = [layer(part).bias for part in (*vae.posterior.values(), vae.prior["z"], vae.likelihood)]
    free += [layer(part).weight for part in (*vae.posterior.values(), vae.prior["z"], vae.likelihood)]
    wanted = torch.autograd.grad(exact, free)
    generator = torch.Generator().manual_seed(0)
    means = []
    for _ in range(40):
        loss = Elbo(draws=200)(vae, batch, vae.draw_noise(200, 1, generator), torch.tensor(0.0)).total
        means.append([-g for g in torch.autograd.grad(loss, free)])
    for name, expected, *noisy in zip(range(len(free)), wanted, *means, strict=True):
        found = torch.stack(noisy)
        error = found.std(0) / math.sqrt(len(found))
        used = expected != 0  # the algebra knows no slope of a scale
        assert ((found.mean(0) - expected).abs()[used] < 5 * error[used] + 1e-9).all(), name


def test_a_ladder_holds_the_posterior_of_orthogonal_columns() -> None:
    """The encoder says what x alone says of z, the prior what z2 does: every weight is p(x)."""
    vae, batch = linear("ladder"), examples()
    decoder, first, second = vae.likelihood.network.layers[0], vae.posterior["z"], vae.posterior["z2"]
    with torch.no_grad():
        decoder.weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0], [0.5, 0.0]]))
        lengths = decoder.weight.square().sum(0)
        rows(first)[0].copy_(decoder.weight.T / lengths.unsqueeze(1))
        layer(first).bias[:2] = -(decoder.weight.T @ decoder.bias) / lengths
        layer(first).bias[2:] = (0.36 / lengths - first.floor).expm1().log()
        slope = torch.stack([true_posterior(vae, x).mean[2] for x in torch.eye(3).double()])
        start = true_posterior(vae, torch.zeros(3).double()).mean[2]
        rows(second)[0].copy_((slope - start).unsqueeze(0))
        layer(second).bias[0] = start
        variance = true_posterior(vae, batch.x[0]).covariance_matrix[2, 2]
        layer(second).bias[1] = (variance - second.floor).expm1().log()
        weights = vae(batch, vae.keyed_noise(50, batch.index, 0)).log_weight
    torch.testing.assert_close(weights, evidence_of(vae, batch.x).detach().expand_as(weights))


@pytest.mark.parametrize("posterior", WAYS)
def test_three_layers_train_and_come_back_from_a_file(posterior: str, tmp_path) -> None:
    recipe = Recipe(posterior=posterior, latents=[3, 2, 2], widths=[6, 5])
    vae = build(recipe, DATA)
    assert list(vae.posterior) == (["z3", "z2", "z"] if posterior == "ladder" else ["z", "z2", "z3"])
    er.fit(vae, DATA, epochs=2, batch_size=10, progress=False)
    er.save_model(vae, tmp_path / "model")
    back = er.load_model(tmp_path / "model")
    batch = DATA.test.batch()
    noise = vae.keyed_noise(3, batch.index, 0)
    torch.testing.assert_close(back(batch, noise).log_weight, vae(batch, noise).log_weight)
    assert sum(p.numel() for p in back.parameters()) == sum(p.numel() for p in vae.parameters())
    assert recipe_of(dict(back.posterior.items())) == recipe_of(dict(vae.posterior.items()))


def test_what_layers_cannot_be_is_said_when_the_recipe_is_read() -> None:
    with pytest.raises(er.InputError, match=r"two stochastic layers or more: say their sizes, latents=\[20, 10\]"):
        Recipe(posterior="ladder")
    with pytest.raises(er.InputError, match="take posterior='ladder', whose top reads x"):
        Recipe(latents=[4, 2], prior="vamp-prior")
    with pytest.raises(er.InputError, match="Layers below the top have normal priors"):
        Recipe(latents=[4, 2], prior="categorical-prior", posterior="categorical-posterior")
    with pytest.raises(er.InputError, match="biased where layers of q read one another"):
        Recipe(latents=[4, 2], objective={"kind": "iwae", "gradient": "doubly-reparameterised"})
    with pytest.raises(er.InputError, match="latents must be 1 or more"):
        Recipe(latents=[4, 0])
    assert Recipe(latents=[4]).latents == 4
