"""The target of samplers: its start densities and draws against those of the model that it freezes."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import elbowroom as er

F64 = torch.float64


class Beside(nn.Linear):
    """A linear map of its inputs laid side by side."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return super().forward(torch.cat(inputs, -1))


def hierarchical() -> er.VAE:
    """Two blocks: p(top) p(z | top, context), and a posterior in the other order of dependence."""
    torch.manual_seed(0)
    block = er.posteriors.DiagonalNormal
    return er.VAE(
        {"top": er.priors.StandardNormal(1), "z": block(Beside(2, 4), 2, given=("top", "age"))},
        {"z": block(nn.Linear(4, 4), 2), "top": block(nn.Linear(2, 2), 1, given=("z",))},
        er.likelihoods.Normal(nn.Linear(2, 4), 4, scale=0.5),
    ).double()


def examples(n: int = 5) -> er.Batch:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, 4, generator=generator, dtype=F64)
    return er.Batch(x, torch.arange(n) + 3, {"age": torch.randn(n, 1, generator=generator, dtype=F64)})


def test_the_posterior_density_of_its_own_draws_is_theirs() -> None:
    vae, batch = hierarchical(), examples()
    target = vae.target(batch)
    z, log_q = target.draw_posterior(3, seed=2)
    torch.testing.assert_close(target.log_posterior(z), log_q)
    terms = vae(batch, vae.keyed_noise(3, batch.index, 2))
    torch.testing.assert_close(z, torch.cat([terms.z["top"], terms.z["z"]], -1))  # in the prior's order
    torch.testing.assert_close(log_q, sum(terms.log_posterior.values()))


def test_the_posterior_density_has_the_gradient_of_finite_differences() -> None:
    target = hierarchical().target(examples())
    z = torch.randn(2, 5, 3, dtype=F64).requires_grad_()
    assert torch.autograd.gradcheck(target.log_posterior, z)


def test_some_rows_are_the_same_model_at_these_rows() -> None:
    target = hierarchical().target(examples())
    some, z = target.rows(slice(1, 3)), torch.randn(2, 5, 3, dtype=F64)
    assert some.index.tolist() == [4, 5]
    for name in ("log_prior", "log_likelihood", "log_posterior"):
        torch.testing.assert_close(getattr(some, name)(z[:, 1:3]), getattr(target, name)(z)[:, 1:3])
    torch.testing.assert_close(some.draw_prior(4, 0), target.draw_prior(4, 0)[:, 1:3])


def test_what_is_known_is_not_silently_sampled() -> None:
    batch = examples()
    known = er.Batch(batch.x, batch.index, batch.context, {"top": (torch.ones(5, 1, dtype=F64), torch.arange(5) < 2)})
    with pytest.raises(er.CapabilityError, match="'top' is known for some"):
        hierarchical().target(known)


def test_prior_draws_have_the_priors_covariance() -> None:
    vae, draws = hierarchical(), 20_000
    target = vae.target(examples(1))
    z = target.draw_prior(draws, seed=0)[:, 0]
    with torch.no_grad():
        network = vae.prior["z"].network
        slope, spread = network.weight[:2, 0], vae.prior["z"]({"top": z[None, :1, :1], "age": z[None, :1, :1]}).stddev
    expected = slope[0]  # the covariance of top and z[0]
    products = z[:, 0] * (z[:, 1] - z[:, 1].mean())
    assert abs(products.mean() - expected) < 4 * products.std() / np.sqrt(draws)
    assert spread.shape == (1, 1, 2)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(z, target.draw_prior(draws, seed=1)[:, 0])


def test_a_simulated_target_starts_from_what_was_simulated() -> None:
    vae = hierarchical()
    other, z = vae.target(examples()).simulate(torch.Generator().manual_seed(0))
    assert z.shape == (1, 5, 3)
    simulated = er.Batch(other._given["x"][0], torch.arange(5) + 3, examples().context)
    again = vae.target(simulated)
    torch.testing.assert_close(other.draw_posterior(4, 0), again.draw_posterior(4, 0))
    torch.testing.assert_close(other.log_posterior(z), again.log_posterior(z))
    torch.testing.assert_close(other.log_likelihood(z), again.log_likelihood(z))


def test_a_simulated_target_has_the_densities_of_the_likelihoods_scale() -> None:
    """x = y / 10 is simulated as y: N(y; decoder(z), 1/2²), without the log-Jacobian that the examples have."""
    vae, batch = hierarchical(), examples()
    vae.preprocess = er.preprocess.Affine(10.0)
    target = vae.target(batch)
    simulated, z = target.simulate(torch.Generator().manual_seed(0))
    with torch.no_grad():
        mean = vae.likelihood.network(z[..., 1:])
    for found, y, log_jacobian in (
        (simulated, simulated.decoded(z)[1], 0.0),
        (simulated.rows(slice(0, 5)), simulated.decoded(z)[1], 0.0),
        (target, 10 * batch.x, 4 * np.log(10)),
    ):
        expected = stats.norm(mean, 0.5).logpdf(y).sum(-1) + log_jacobian
        np.testing.assert_allclose(found.log_likelihood(z), expected)


def test_sharp_bernoullis_in_single_precision() -> None:
    """Logits of ±100, right and wrong: values from 0 to −10⁵ nats, and their gradients, against double precision."""
    torch.manual_seed(0)
    decoder = nn.Linear(2, 2000)
    x = (torch.rand(1, 2000) < torch.tensor([[0.5]])).float().repeat(4, 1)
    wrong = torch.tensor([0.0, 0.001, 0.1, 0.5])
    with torch.no_grad():
        decoder.bias.copy_(200 * x[0] - 100)
    flipped = torch.rand(4, 2000, generator=torch.Generator().manual_seed(1)) < wrong[:, None]
    batch = er.Batch(torch.where(flipped, 1 - x, x), torch.arange(4))
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(nn.Linear(2000, 4), 2),
        er.likelihoods.Bernoulli(decoder, 2000),
    )
    z = torch.randn(3, 4, 2)

    def at(model: er.VAE, data: er.Batch, z: Tensor) -> tuple[Tensor, Tensor]:
        z = z.clone().requires_grad_()
        value = model.target(data).log_likelihood(z)
        return value.detach(), torch.autograd.grad(value.sum(), z)[0]

    value, slope = at(vae, batch, z)
    with torch.no_grad():
        again = vae.target(batch).log_likelihood(z)
    exact, exact_slope = at(vae.double(), er.Batch(batch.x.double(), batch.index), z.double())
    assert exact[:, 0].abs().max() < 1e-30
    assert exact.min() < -9e4
    for found in (value, again):
        torch.testing.assert_close(found.double(), exact, rtol=1e-6, atol=1e-30)
    torch.testing.assert_close(slope.double(), exact_slope, rtol=1e-5, atol=1e-4)
