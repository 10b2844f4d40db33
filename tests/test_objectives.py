"""The ELBO against closed forms and against itself: closed and sampled KL, warm-up, β as a number of a stack."""

import math

import pytest
import torch
from scipy import integrate, stats

import elbowroom as er
from elbowroom.numerics import Batch
from elbowroom.objectives import Elbo, LinearSchedule
from elbowroom.training import TrainingStep

END = torch.tensor(math.inf)


def linear_vae() -> er.VAE:
    torch.manual_seed(3)
    return er.VAE(
        er.priors.StandardNormal(1),
        er.posteriors.DiagonalNormal(er.networks.MLP([3, 2]), 1),
        er.likelihoods.Normal(er.networks.MLP([1, 3]), 3, scale=0.7),
    ).double()


def one_example(draws: int, vae: er.VAE) -> tuple[Batch, dict[str, torch.Tensor]]:
    batch = Batch(torch.tensor([[0.3, -1.2, 0.8]], dtype=torch.float64), torch.tensor([0]))
    return batch, vae.keyed_noise(draws, batch.index, seed=0)


def test_rate_and_distortion_equal_quadrature_with_scipy() -> None:
    vae = linear_vae()
    batch, noise = one_example(200_000, vae)
    loss = TrainingStep(vae, Elbo(beta=1.0, kl="closed"))(batch, noise, END).logged
    with torch.no_grad():
        q = vae.posterior["z"]({"x": batch.x[None]})
        mean, std = q.mean.item(), q.stddev.item()
        net = vae.likelihood.network.layers[-1]
        weight, bias = net.weight[:, 0].numpy(), net.bias.numpy()
    qz = stats.norm(mean, std)
    rate = integrate.quad(lambda z: qz.pdf(z) * (qz.logpdf(z) - stats.norm.logpdf(z)), mean - 12 * std, mean + 12 * std)
    assert loss["rate"].item() == pytest.approx(rate[0], abs=1e-8)

    def log_likelihood(z: float) -> float:
        return stats.norm.logpdf(batch.x[0].numpy(), weight * z + bias, 0.7).sum()

    exact = integrate.quad(lambda z: -qz.pdf(z) * log_likelihood(z), mean - 12 * std, mean + 12 * std)[0]
    per_draw = -vae(batch, noise).log_likelihood
    standard_error = per_draw.std().item() / math.sqrt(per_draw.numel())
    assert abs(loss["distortion"].item() - exact) < 4 * standard_error


def test_closed_and_sampled_rates_agree_within_standard_errors() -> None:
    vae = linear_vae()
    batch, noise = one_example(50_000, vae)
    distortion = Elbo(0.0)(vae, batch, noise, END).total.item()
    closed, sampled, auto = (
        Elbo(kl=kl)(vae, batch, noise, END).total.item() - distortion for kl in ("closed", "sampled", "auto")
    )
    per_draw = vae(batch, noise).kl("z", "sampled")
    standard_error = per_draw.std().item() / math.sqrt(per_draw.numel())
    assert 0 < standard_error < 0.01
    assert abs(closed - sampled) < 4 * standard_error
    assert auto == closed


def test_gradients_of_closed_and_sampled_rates_agree() -> None:
    vae = linear_vae()
    batch, noise = one_example(200_000, vae)
    gradients = []
    for kl in ("closed", "sampled"):
        vae.zero_grad()
        Elbo(beta=2.0, kl=kl)(vae, batch, noise, END).total.backward()  # type: ignore[arg-type]
        gradients.append(torch.cat([p.grad.flatten() for p in vae.posterior.parameters()]))
    # A draw's gradient is of the size of the gradient itself: 1/√200,000 = 0.2 %, and five of those errors.
    assert (gradients[0] - gradients[1]).norm() < 5 * 0.0023 * gradients[0].norm()


@pytest.mark.parametrize(("step", "weight"), [(0, 0.0), (1, 0.4), (5, 2.0), (10, 4.0), (11, 4.0), (math.inf, 4.0)])
def test_the_weight_rises_linearly_to_beta_and_stays(step: float, weight: float) -> None:
    assert Elbo(beta=4.0, schedule=LinearSchedule(10)).weight(torch.tensor(float(step))).item() == pytest.approx(weight)


def test_the_total_is_distortion_plus_weight_times_rate() -> None:
    vae = linear_vae()
    batch, noise = one_example(7, vae)
    objective = Elbo(beta=3.0, schedule=LinearSchedule(4))
    for step, weight in ((0.0, 0.0), (2.0, 1.5), (math.inf, 3.0)):
        loss = TrainingStep(vae, objective)(batch, noise, torch.tensor(step))
        total, logged, moved = loss.total, loss.logged, loss.moved
        assert logged["beta"].item() == weight
        assert not moved
        assert total.item() == pytest.approx((logged["distortion"] + weight * logged["rate"]).item())
        assert logged["objective"].item() == total.item()
        assert not logged["objective"].requires_grad


def test_beta_one_is_the_negative_bound_of_the_evidence_room() -> None:
    vae = linear_vae()
    examples = Batch(torch.randn(9, 3, generator=torch.Generator().manual_seed(0)).double(), torch.arange(9))
    noise = vae.keyed_noise(5, examples.index, seed=2)
    bound = er.evidence.elbo(vae, examples, draws=5, seed=2)
    assert Elbo()(vae, examples, noise, END).total.item() == pytest.approx(-bound.mean, rel=1e-12)


def test_beta_is_a_buffer_so_that_a_stack_differs_in_it() -> None:
    steps = [TrainingStep(linear_vae(), Elbo(beta)) for beta in (0.5, 2.0)]
    _, buffers = torch.func.stack_module_state(steps)
    assert buffers["procedure.phases.objective.objective.beta"].tolist() == [0.5, 2.0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"beta": -1.0}, "cannot be negative"),
        ({"beta": math.nan}, "finite"),
        ({"beta": math.inf}, "finite"),
        ({"draws": 0}, "draws of 1 or more"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict, said: str) -> None:
    with pytest.raises(er.InputError, match=said):
        Elbo(**arguments)


def test_a_missing_closed_form_is_an_error_in_words() -> None:
    vae = linear_vae()
    batch, noise = one_example(2, vae)
    batch.observed["z"] = (torch.zeros(1, 1).double(), torch.tensor([True]))
    with pytest.raises(er.CapabilityError, match="use kl='sampled'"):
        Elbo(kl="closed")(vae, batch, noise, END)


class Outputs(torch.nn.Module):
    """The encoder of many copies of one example, with an output of its own for each, so that each has a gradient."""

    def __init__(self, raw: torch.Tensor) -> None:
        super().__init__()
        self.raw = torch.nn.Parameter(raw)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.raw


@pytest.mark.parametrize("weight", [0.2, 1.0, 5.0])
def test_variance_of_one_draws_gradient_by_a_sampled_and_by_a_closed_rate(weight: float) -> None:
    """At the exact posterior, of standard deviation s: 1/s² and 2, and (1 − s²)² times as much with the closed KL.

    So the closed form wins most where a latent says little, s near 1, and nothing where it says much.
    """
    n, variance = 5_000, 1 / (1 + weight**2)
    raw = torch.tensor([0.0, 0.5 * math.log(variance)], dtype=torch.float64)  # p(z | x) at x = 0
    decoder = torch.nn.Linear(1, 1)
    with torch.no_grad():
        decoder.weight.fill_(weight), decoder.bias.zero_()
    posterior = er.posteriors.DiagonalNormal(Outputs(raw.repeat(n, 1)), 1, spread="exp", floor=0.0)
    vae = er.VAE(er.priors.StandardNormal(1), posterior, er.likelihoods.Normal(decoder, 1, scale=1.0)).double()
    batch = Batch(torch.zeros(n, 1, dtype=torch.float64), torch.arange(n))
    variances = {}
    for kl in ("sampled", "closed"):
        vae.zero_grad()
        (n * Elbo(kl=kl)(vae, batch, vae.keyed_noise(1, batch.index, 0), END).total).backward()  # type: ignore[arg-type]
        gradient = vae.posterior["z"].network.raw.grad
        assert gradient.mean(0).abs().max() < 5 * (gradient.var(0) / n).sqrt().max()
        variances[kl] = gradient.var(0)
    expected = torch.tensor([1 / variance, 2.0], dtype=torch.float64)
    torch.testing.assert_close(variances["sampled"], expected, rtol=0.2, atol=0)  # 4 errors of a fourth moment
    torch.testing.assert_close(variances["closed"], (1 - variance) ** 2 * variances["sampled"], rtol=1e-6, atol=0)
