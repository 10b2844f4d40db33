"""Latents in a box, on a simplex and on a sphere: densities, draws, KLs and gradients against quadrature and scipy."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch import Tensor, nn
from torch.distributions import Distribution

import elbowroom as er
from elbowroom.distributions import TruncatedNormal, capabilities, draw, kl
from elbowroom.distributions.relaxed_categorical import RelaxedCategorical
from elbowroom.distributions.sphere import UniformSphere, VonMisesFisher, log_area
from elbowroom.distributions.unit_box import Kumaraswamy, UnitUniform
from elbowroom.models import Recipe
from elbowroom.numerics import CapabilityError
from elbowroom.objectives import Elbo


def wide(*numbers: float) -> list[Tensor]:
    return [torch.tensor(number, dtype=torch.float64) for number in numbers]


BOUNDED = [
    Kumaraswamy(*wide(2.0, 3.0)),
    Kumaraswamy(*wide(0.6, 0.8)),
    TruncatedNormal(*wide(0.3, 0.2)),
    TruncatedNormal(*wide(-1.0, 0.5)),
]


@pytest.mark.parametrize("q", BOUNDED, ids=str)
def test_a_bounded_density_adds_to_one_and_has_the_kl_of_quadrature(q: Distribution) -> None:
    def density(x: float) -> float:
        return math.exp(q.log_prob(torch.tensor(x, dtype=torch.float64)))

    assert integrate.quad(density, 0, 1)[0] == pytest.approx(1, abs=1e-6)
    expected = integrate.quad(lambda x: special.xlogy(density(x), density(x)), 0, 1)[0]
    assert kl(q, UnitUniform(q.mean)).item() == pytest.approx(expected, abs=1e-6)
    moments = [integrate.quad(lambda x, k=k: x**k * density(x), 0, 1)[0] for k in (1, 2)]
    assert q.mean.item() == pytest.approx(moments[0], rel=1e-6)
    assert q.variance.item() == pytest.approx(moments[1] - moments[0] ** 2, rel=1e-5)
    value, log_density = draw(q, torch.randn(20_000, generator=torch.Generator().manual_seed(0)).double())
    assert stats.kstest(value.numpy(), lambda x: cdf_of(q, x)).pvalue > 1e-3
    torch.testing.assert_close(log_density(), q.log_prob(value))


def cdf_of(q: Distribution, x: np.ndarray) -> np.ndarray:
    if isinstance(q, Kumaraswamy):
        return 1 - (1 - x ** q.a.item()) ** q.b.item()
    loc, scale = q.loc.item(), q.scale.item()
    return stats.truncnorm((0 - loc) / scale, (1 - loc) / scale, loc, scale).cdf(x)


@pytest.mark.parametrize(("loc", "scale"), [(0.5, 1e4), (-30.0, 0.5), (0.3, 1e-3)])
def test_the_truncated_normal_s_kl_holds_at_extremes(loc: float, scale: float) -> None:
    found = kl(TruncatedNormal(*wide(loc, scale)), UnitUniform(torch.zeros((), dtype=torch.float64))).item()
    a, b = -loc / scale, (1 - loc) / scale
    if scale > 1:
        assert abs(found) < 1e-8
    elif loc < 0:  # exponential with rate |loc| / scale², nearly
        rate = -loc / scale**2
        assert found == pytest.approx(math.log(rate) - 1, abs=0.02)
    else:
        assert found == pytest.approx(-stats.truncnorm(a, b, loc, scale).entropy(), abs=1e-8)


@pytest.mark.parametrize("temperature", [0.5, 2 / 3, 2.0])
def test_a_relaxed_class_has_the_density_that_it_says(temperature: float) -> None:
    logits = torch.tensor([0.5, -0.7], dtype=torch.float64)
    p = RelaxedCategorical(logits, temperature)

    def density(x: float) -> float:
        return math.exp(p.log_prob(torch.tensor([x, 1 - x], dtype=torch.float64)))

    assert integrate.quad(density, 0, 1, limit=200, epsabs=1e-6)[0] == pytest.approx(1, abs=1e-4)
    noise = torch.randn(40_000, 2, generator=torch.Generator().manual_seed(0)).double()
    value, log_density = draw(p, noise)
    torch.testing.assert_close(log_density(), p.log_prob(value))
    # x₁ is the sigmoid of a logistic variable, (logit difference + logistic) / temperature
    logistic = (value[:, 0].log() - value[:, 1].log()).numpy() * temperature - 1.2
    assert stats.kstest(logistic, stats.logistic.cdf).pvalue > 1e-3
    three = RelaxedCategorical(torch.tensor([0.2, -0.3, 1.0]).double(), temperature)
    theirs = torch.distributions.RelaxedOneHotCategorical(torch.tensor(temperature).double(), logits=three.logits)
    at = torch.tensor([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]]).double()
    torch.testing.assert_close(three.log_prob(at), theirs.log_prob(at))


def fisher(d: int, kappa: float) -> VonMisesFisher:
    loc = torch.nn.functional.normalize(torch.linspace(-1, 2, d, dtype=torch.float64), dim=0)
    return VonMisesFisher(loc.view(1, 1, d), torch.full((1, 1), kappa, dtype=torch.float64))


@pytest.mark.parametrize("kappa", [1e-6, 0.1, 2.0, 50.0, 1e4])
@pytest.mark.parametrize("d", [2, 3, 4, 10, 200])
def test_the_normaliser_mean_and_kl_are_those_of_bessel_functions(d: int, kappa: float) -> None:
    q, order = fisher(d, kappa), d / 2 - 1
    if special.ive(order, kappa) < 1e-290:
        log_bessel = order * math.log(kappa / 2) - special.gammaln(order + 1) + kappa**2 / 4 / (order + 1) - kappa
        mean = kappa / d
    else:
        log_bessel = math.log(special.ive(order, kappa))
        mean = special.ive(order + 1, kappa) / special.ive(order, kappa)
    log_c = order * math.log(kappa) - d / 2 * math.log(2 * math.pi) - log_bessel  # of exp(κ (cos − 1))
    assert q.log_prob(q.loc).item() == pytest.approx(log_c, abs=1e-6)
    assert q.mean.norm().item() == pytest.approx(mean, rel=1e-6)
    found = kl(q, UniformSphere(q.loc)).item()
    assert found == pytest.approx(kappa * (mean - 1) + log_c + log_area(d), abs=1e-5)
    assert found >= -1e-12


@pytest.mark.parametrize("kappa", [1e-3, 3.0, 1e4])
@pytest.mark.parametrize("d", [2, 3, 8])
def test_angles_are_drawn_by_their_distribution_function(d: int, kappa: float) -> None:
    """F at the angle is Φ(noise) again, by scipy's quadrature, and the slope in κ is the one of differences."""
    noise = torch.zeros(6, 1, d, dtype=torch.float64)
    noise[:, 0, 0] = torch.tensor([-5.0, -2.0, -0.3, 0.4, 2.0, 5.0])
    noise[..., 1] = 1.0

    def cosines(kappa: Tensor) -> Tensor:
        q = VonMisesFisher(fisher(d, 1.0).loc, kappa)
        return (draw(q, noise)[0] * q.loc).sum(-1).squeeze(1)

    at = torch.full((1, 1), kappa, dtype=torch.float64)
    loc = fisher(d, 1.0).loc
    theta = 2 * torch.asin((draw(VonMisesFisher(loc, at), noise)[0] - loc).norm(dim=-1).squeeze(1) / 2)
    end = min(math.pi, 60 / math.sqrt(kappa))

    def density(t: float) -> float:
        return math.exp(-2 * kappa * math.sin(t / 2) ** 2) * math.sin(t) ** (d - 2)

    def mass(low: float, high: float) -> float:
        return integrate.quad(density, low, high, limit=200, epsabs=0.0, epsrel=1e-9)[0]

    for angle, n in zip(theta.tolist(), noise[:, 0, 0].tolist(), strict=True):
        below, above = (mass(*ends) / mass(0, end) for ends in ((0, angle), (angle, end)))
        assert below == pytest.approx(stats.norm.cdf(n), rel=1e-3)
        assert above == pytest.approx(stats.norm.sf(n), rel=1e-3)
    slope = torch.func.jacrev(cosines)(at).squeeze()
    small = 5e-4 if kappa < 1 else 1e-4 * kappa
    torch.testing.assert_close(
        slope,
        (cosines(at + small) - cosines(at - small)) / (2 * small),
        rtol=1e-4,
        atol=1e-7 / kappa**0.5 if kappa < 1 else 1e-9,
    )


@pytest.mark.parametrize("d", [2, 3, 5])
def test_draws_on_the_sphere_have_its_mean_and_spread(d: int) -> None:
    q = fisher(d, 4.0)
    noise = torch.randn(20_000, 1, d, generator=torch.Generator().manual_seed(0)).double()
    value, log_density = draw(q, noise)
    torch.testing.assert_close(value.norm(dim=-1), torch.ones(20_000, 1).double())
    torch.testing.assert_close(log_density(), q.log_prob(value))
    error = value.std(0) / math.sqrt(len(value))
    assert ((value.mean(0) - q.mean[0]).abs() < 4.5 * error).all()
    squares = (value - q.mean).square()
    assert ((squares.mean(0) - q.variance[0]).abs() < 4.5 * squares.std(0) / math.sqrt(len(value))).all()
    ratio = (UniformSphere(value[..., :]).log_prob(value) - log_density()).exp()  # E_q[1 / q] is the area
    assert abs(ratio.mean() - 1) < 4.5 * ratio.std() / math.sqrt(len(value))


def decoder(latents: int) -> er.likelihoods.Normal:
    torch.manual_seed(3)
    return er.likelihoods.Normal(nn.Linear(latents, 3), 3, scale=0.7)


def models() -> dict[str, tuple[er.VAE, Tensor, Tensor]]:
    """A model, and places and log-weights of a quadrature over its latent space."""
    x = torch.linspace(-30, 30, 6_001, dtype=torch.float64)
    u = torch.sigmoid(x)  # dense at the ends, where densities may have poles
    in_box = u.view(-1, 1, 1), (u * (1 - u) * (x[1] - x[0])).log()
    on_segment = torch.stack([u, torch.sigmoid(-x)], -1).unsqueeze(1), in_box[1]
    angle = torch.linspace(0, 2 * math.pi, 2_001, dtype=torch.float64)[:-1]
    circle = torch.stack([angle.cos(), angle.sin()], -1).unsqueeze(1)
    polar, weight = np.polynomial.legendre.leggauss(60)
    around = angle[::20]
    high = torch.tensor(polar).unsqueeze(1).expand(-1, len(around))
    flat = (1 - high.square()).sqrt()
    ball = torch.stack([flat * around.cos(), flat * around.sin(), high], -1).flatten(0, 1).unsqueeze(1)
    on_ball = (torch.tensor(weight).unsqueeze(1) * 2 * math.pi / len(around)).expand_as(high).flatten().log()
    every = torch.full((len(angle),), math.log(2 * math.pi / len(angle)), dtype=torch.float64)
    torch.manual_seed(1)
    q = er.posteriors
    made = {
        f"bounded {family}": (er.priors.Uniform(1), q.Bounded(nn.Linear(3, 2), 1, family=family), *in_box)
        for family in ("kumaraswamy", "truncated-normal", "logit-normal")
    }
    made["simplex"] = (er.priors.RelaxedCategorical(2), q.RelaxedCategorical(nn.Linear(3, 2), 2), *on_segment)
    made["circle"] = (er.priors.Sphere(2), q.VonMisesFisher(nn.Linear(3, 3), 2), circle, every)
    made["sphere"] = (er.priors.Sphere(3), q.VonMisesFisher(nn.Linear(3, 4), 3), ball, on_ball)
    return {
        name: (er.VAE(p, q, decoder(z.shape[-1])).double(), z, log_volume)
        for name, (p, q, z, log_volume) in made.items()
    }


MODELS = models()
EXAMPLE = er.Batch(torch.tensor([[0.4, -0.3, 0.8]], dtype=torch.float64), torch.arange(1))


def by_quadrature(name: str) -> tuple[Tensor, Tensor]:
    """log p(x), and the ELBO with its gradients."""
    vae, z, log_volume = MODELS[name]
    given = {"x": EXAMPLE.x.unsqueeze(0), "z": z}
    p, q, p_x = vae.prior["z"](given), vae.posterior["z"](given), vae.likelihood(given)
    log_q, log_joint = q.log_prob(z)[:, 0], p.log_prob(z)[:, 0] + p_x.log_prob(given["x"])[:, 0]
    mass = (log_q + log_volume).exp()
    assert mass.sum().item() == pytest.approx(1, abs=1e-4)
    return (log_joint + log_volume).logsumexp(0), (mass * (log_joint - log_q)).sum()


@pytest.mark.parametrize("name", MODELS)
def test_evidence_and_the_mean_gradient_are_those_of_quadrature(name: str) -> None:
    vae = MODELS[name][0]
    exact, bound = by_quadrature(name)
    parameters = [p for p in vae.parameters() if p.requires_grad]
    wanted = torch.autograd.grad(bound, parameters)
    iwae = er.evidence.iwae(vae, EXAMPLE, draws=4_000)
    assert abs(iwae.values[0] - exact.item()) < 4.5 * math.sqrt(iwae.mc_variance[0]) + 0.01
    generator = torch.Generator().manual_seed(0)
    losses, means = [], []
    for _ in range(40):
        loss = Elbo(draws=250)(vae, EXAMPLE, vae.draw_noise(250, 1, generator), torch.tensor(0.0)).total
        losses.append(-loss.item())
        means.append([-g for g in torch.autograd.grad(loss, parameters)])
    assert abs(np.mean(losses) - bound.item()) < 4.5 * np.std(losses) / math.sqrt(40) + 1e-5
    for expected, *noisy in zip(wanted, *means, strict=True):
        found = torch.stack(noisy)
        assert ((found.mean(0) - expected).abs() < 5 * found.std(0) / math.sqrt(40) + 2e-4).all(), (
            found.mean(0),
            expected,
        )


@pytest.mark.parametrize("name", ["bounded kumaraswamy", "simplex", "circle"])
def test_samplers_refuse_what_is_no_real_line_and_say_what_applies(name: str) -> None:
    for estimator in (er.evidence.ais, er.evidence.bdmc):
        with pytest.raises(CapabilityError, match=r"evidence\.elbo and evidence\.iwae need no such thing"):
            estimator(MODELS[name][0], EXAMPLE)


@pytest.mark.parametrize(
    ("prior", "posterior", "said"),
    [
        (
            "standard-normal",
            "von-mises-fisher",
            "is over real numbers, and the posterior 'von-mises-fisher' over the sph",
        ),
        ("sphere-prior", "diagonal-normal", "over the sphere, and the posterior 'diagonal-normal' over real numbers"),
        ("uniform-prior", "diagonal-normal", "over the unit box"),
        ("categorical-prior", "relaxed-categorical-posterior", r"nothing bounds log p\(x\): take prior='relaxed-cat"),
        ("vamp-prior", "mixture-posterior", "lays its classes or components out"),
    ],
)
def test_pairs_over_different_things_are_refused_when_the_recipe_is_read(prior: str, posterior: str, said: str) -> None:
    with pytest.raises(er.InputError, match=said):
        Recipe(prior=prior, posterior=posterior)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [30.0, 3_000.0])
def test_values_and_gradients_are_finite_at_extremes(name: str, size: float) -> None:
    vae = copy.deepcopy(MODELS[name][0]).float()
    for edge in (-5.0, 0.0, 5.0):
        q = vae.posterior["z"]({"x": size * torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(2))})
        z, log_q = draw(q, torch.full((2, 5, *vae.posterior["z"].noise_shape), edge))
        total = z.sum() + log_q().sum() - vae.prior["z"]({}).log_prob(z).sum()
        closed = kl(q, vae.prior["z"]({}))
        (total if closed is None else total + closed.sum()).backward()
        assert total.isfinite()
        assert all(p.grad is None or p.grad.isfinite().all() for p in vae.parameters())


def test_by_hand_they_are_refused_too() -> None:
    with pytest.raises(er.InputError, match=r"nothing bounds log p\(x\)"):
        er.VAE(er.priors.Categorical(2), er.posteriors.RelaxedCategorical(nn.Linear(3, 2), 2), decoder(2))
    with pytest.raises(er.InputError, match="2 dimensions or more"):
        er.priors.Sphere(1)
    assert "draw" in capabilities(fisher(3, 1.0))
