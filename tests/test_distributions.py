"""Every distribution that can be drawn from noise: normalised, drawn as it says, its gradients finite."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from torch import Tensor
from torch.distributions import (
    AffineTransform,
    Bernoulli,
    Cauchy,
    Distribution,
    Exponential,
    Gumbel,
    HalfNormal,
    Independent,
    Laplace,
    LogNormal,
    Normal,
    Poisson,
    TransformedDistribution,
    Uniform,
)

from elbowroom.distributions import capabilities, draw, kl, require, simulate
from elbowroom.distributions.binary_bernoulli import BinaryBernoulli
from elbowroom.distributions.bounded import Beta, LogitNormal, TruncatedNormal
from elbowroom.numerics import CapabilityError


def t(*values: float) -> Tensor:
    return torch.tensor(values if len(values) > 1 else values[0], dtype=torch.float64)


# A scalar distribution and what SciPy calls it: a new family is one line.
CASES: dict[str, tuple[Distribution, object]] = {
    "normal": (Normal(t(1.0), t(0.3)), stats.norm(1, 0.3)),
    "log-normal": (LogNormal(t(0.5), t(0.4)), stats.lognorm(0.4, scale=math.exp(0.5))),
    "affine normal": (
        TransformedDistribution(Normal(t(0.0), t(1.0)), [AffineTransform(2.0, -3.0)]),
        stats.norm(2, 3),
    ),
    "laplace": (Laplace(t(-1.0), t(0.7)), stats.laplace(-1, 0.7)),
    "cauchy": (Cauchy(t(0.0), t(2.0)), stats.cauchy(0, 2)),
    "exponential": (Exponential(t(1.5)), stats.expon(scale=1 / 1.5)),
    "half-normal": (HalfNormal(t(0.8)), stats.halfnorm(scale=0.8)),
    "gumbel": (Gumbel(t(0.3), t(1.2)), stats.gumbel_r(0.3, 1.2)),
    "uniform": (Uniform(t(-1.0), t(3.0)), stats.uniform(-1, 4)),
}
cases = pytest.mark.parametrize(("distribution", "reference"), CASES.values(), ids=CASES)


@cases
def test_log_prob_is_scipys_and_normalises(distribution: Distribution, reference: stats.rv_continuous) -> None:
    values = np.asarray(reference.ppf(np.linspace(0.01, 0.99, 21)))
    np.testing.assert_allclose(
        distribution.log_prob(torch.tensor(values)).numpy(), reference.logpdf(values), atol=1e-10
    )
    low, high = reference.ppf([1e-4, 1 - 1e-4])
    total, _ = quad(lambda v: distribution.log_prob(t(v)).exp().item(), low, high, limit=400, points=[values[10]])
    assert total == pytest.approx(1 - 2e-4, abs=1e-8)


@cases
def test_draws_are_distributed_as_the_density_says(distribution: Distribution, reference: stats.rv_continuous) -> None:
    noise = torch.randn(5000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    value, log_density = draw(distribution, noise)
    assert stats.kstest(value.numpy(), reference.cdf).pvalue > 1e-3
    torch.testing.assert_close(log_density(), distribution.log_prob(value), rtol=1e-9, atol=1e-9)


@cases
def test_draws_in_float32_are_those_in_float64(distribution: Distribution, reference: stats.rv_continuous) -> None:
    quantiles = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64)
    single = draw(_cast(distribution, torch.float32), quantiles.float())[0]
    scale = float(np.subtract(*reference.ppf([0.75, 0.25])))
    np.testing.assert_allclose(single.numpy(), draw(distribution, quantiles)[0].numpy(), rtol=1e-4, atol=1e-5 * scale)


@cases
@pytest.mark.parametrize("size", [-8.0, 8.0])
def test_gradients_are_finite_at_extreme_noise(
    distribution: Distribution, reference: stats.rv_continuous, size: float
) -> None:
    moved = torch.zeros((), requires_grad=True)
    single = TransformedDistribution(_cast(distribution, torch.float32), [AffineTransform(moved, moved.exp())])
    value, log_density = draw(single, torch.tensor(size))
    (gradient,) = torch.autograd.grad(value + log_density(), moved)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient)


def _cast(distribution: Distribution, dtype: torch.dtype) -> Distribution:
    if type(distribution) is TransformedDistribution:
        base = _cast(distribution.base_dist, dtype)
        return TransformedDistribution(base, distribution.transforms)
    names = distribution.arg_constraints
    return type(distribution)(**{name: getattr(distribution, name).to(dtype) for name in names})


def test_independent_sums_over_the_event() -> None:
    torch.manual_seed(0)
    loc, noise = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5)
    value, log_density = draw(Independent(Normal(loc, 0.5), 2), noise)
    assert log_density().shape == (2, 3)
    np.testing.assert_allclose(log_density().numpy(), stats.norm(loc, 0.5).logpdf(value).sum((2, 3)), rtol=1e-5)


def test_transformed_vectors_count_their_whole_jacobian() -> None:
    base = Independent(Normal(torch.zeros(3), 1.0), 1)
    scaled = TransformedDistribution(base, [AffineTransform(0.0, torch.tensor([1.0, 2.0, 4.0]), event_dim=1)])
    loose = TransformedDistribution(Normal(torch.zeros(2, 3), 1.0), [AffineTransform(0.0, 2.0)])
    noise = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    for distribution in (scaled, loose, Independent(loose, 1)):
        value, log_density = draw(distribution, noise)
        torch.testing.assert_close(log_density(), distribution.log_prob(value))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_binary_bernoulli_is_exact_at_every_logit(dtype: torch.dtype) -> None:
    logits = torch.tensor([-1e3, -100.0, -30.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 19.9, 20.1, 39.9, 40.1, 100.0, 1e3])
    for x in (0.0, 1.0):
        exact = -np.logaddexp(0, ((1 - 2 * x) * logits).double().numpy())
        with torch.no_grad():
            found = BinaryBernoulli(logits=logits.to(dtype)).log_prob(torch.full_like(logits, x, dtype=dtype))
        digit = torch.finfo(dtype).eps
        np.testing.assert_allclose(found.numpy(), exact, rtol=2 * digit, atol=8 * digit)


@pytest.mark.parametrize(("n", "spread"), [(1, 2.0), (3, 2.0), (4, 2.0), (63, 4.0), (784, 4.0), (784, 40.0), (8, 1e3)])
@torch.no_grad()
def test_binary_bernoullis_are_summed_to_the_last_digit(n: int, spread: float) -> None:
    """By products of probabilities where none is next to 0, else one by one; the same under vmap, which cannot look."""
    generator = torch.Generator().manual_seed(n)
    logits = spread * torch.randn(50, 2, n, generator=generator)
    x = (torch.rand(2, n, generator=generator) < 0.3).float()
    exact = Bernoulli(logits=logits.double()).log_prob(x.double()).sum((-2, -1))
    p = BinaryBernoulli(logits=logits, validate_args=False)
    torch.testing.assert_close(p.summed_log_prob(x, 2).double(), exact, rtol=1e-6, atol=2e-6)
    mapped = torch.vmap(lambda row: BinaryBernoulli(logits=row, validate_args=False).summed_log_prob(x, 2))(logits)
    torch.testing.assert_close(mapped.double(), exact, rtol=1e-6, atol=2e-6)
    logits[3, 0, 0] = torch.nan
    assert p.summed_log_prob(x, 2).isnan().nonzero().tolist() == [[3]]


def test_binary_bernoulli_has_the_gradient_of_a_logit_alone_and_mapped() -> None:
    """x − sigmoid(logit), to the last digit where that is next to 0 too; summed, and of each member of a stack."""
    logits = torch.tensor([-200.0, -41.0, -20.5, -3.0, 0.0, 2.0, 19.5, 39.0, 41.0, 200.0]).expand(2, 3, 10).clone()
    x = torch.tensor([0.0, 1.0])[:, None, None].expand(2, 3, 10)
    signs = (1 - 2 * x).double()
    exact = -signs * torch.special.expit(signs * logits.double())

    def each(logits: Tensor, x: Tensor) -> Tensor:
        return BinaryBernoulli(logits=logits, validate_args=False).log_prob(x).sum()

    def summed(logits: Tensor, x: Tensor) -> Tensor:
        return BinaryBernoulli(logits=logits, validate_args=False).summed_log_prob(x, 2).sum()

    for function in (each, summed):
        for slopes in (torch.func.grad(function), torch.vmap(torch.func.grad(function))):
            torch.testing.assert_close(slopes(logits, x).double(), exact, rtol=1e-6, atol=1e-30)


def test_binary_bernoulli_looks_at_values_where_it_is_asked_to() -> None:
    with pytest.raises(ValueError, match="support"):
        BinaryBernoulli(logits=torch.zeros(2), validate_args=True).log_prob(torch.tensor([0.0, 0.5]))


def test_divergence_is_the_integral() -> None:
    q, p = Normal(t(0.3), t(0.5)), Normal(t(-0.2), t(1.5))
    expected, _ = quad(lambda v: (q.log_prob(t(v)).exp() * (q.log_prob(t(v)) - p.log_prob(t(v)))).item(), -5, 5)
    assert kl(q, p).item() == pytest.approx(expected, rel=1e-9)
    elements = kl(Independent(Normal(torch.zeros(2, 3), 1.0), 1), Independent(Normal(torch.ones(2, 3), 1.0), 1))
    torch.testing.assert_close(elements, torch.full((2, 3), 0.5))
    assert kl(Laplace(t(0.0), t(1.0)), Cauchy(t(0.0), t(1.0))) is None


def test_simulation_follows_probabilities_and_seed() -> None:
    on = torch.linspace(0.05, 0.95, 10)
    p = Independent(Bernoulli(probs=on.expand(4000, 10)), 1)
    x = simulate(p, torch.Generator().manual_seed(0))
    error = (on * (1 - on) / 4000).sqrt()
    assert torch.all((x.mean(0) - on).abs() < 4.5 * error)
    assert torch.equal(x, simulate(p, torch.Generator().manual_seed(0)))


def test_a_missing_capability_is_an_error_in_words() -> None:
    with pytest.raises(CapabilityError, match="Poisson has no icdf; it offers: marginal, mean"):
        require(Poisson(torch.tensor(1.0)), "icdf")
    with pytest.raises(CapabilityError, match="Poisson has no icdf"):
        draw(Poisson(torch.tensor(1.0)), torch.tensor(0.0))
    assert {"mean", "variance", "stack"} <= capabilities(Independent(Normal(torch.zeros(2), 1.0), 1))
    assert "cdf" not in capabilities(Independent(Normal(torch.zeros(2), 1.0), 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("first", "second"), [(5.0, 0.05), (0.05, 5.0)])
def test_draws_of_the_unit_interval_stay_within_it(dtype: torch.dtype, first: float, second: float) -> None:
    """Rounded to 0 or 1, which at these concentrations is most of them, their log-densities would be infinite."""
    a, b = (torch.full((2_000,), value, dtype=dtype) for value in (first, second))
    for p in (Beta(a, b), LogitNormal(400 * (a - b), a)):
        x = simulate(p, torch.Generator().manual_seed(0))
        assert x.dtype == dtype
        assert bool(((x > 0) & (x < 1)).all())
        assert bool(p.log_prob(x).isfinite().all())


@pytest.mark.parametrize("least", [-1.0, -60.0])
def test_a_truncated_normal_has_the_same_density_with_and_without_gradients(least: float) -> None:
    """Without, the densities at the ends are left out, which only a gradient needs; far outside and not."""
    loc = torch.linspace(least, 1.5, 200)
    p = TruncatedNormal(loc, torch.tensor([[0.02], [0.3], [50.0]]))
    x = torch.linspace(0, 1, 200)
    with torch.no_grad():
        plain = p.log_prob(x)
    assert torch.equal(plain, p.log_prob(x))
