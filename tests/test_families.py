"""The contract of every element-wise family: normalised, simulated, drawn, differentiated and stacked right."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, Laplace, MixtureSameFamily, Normal
from torch.distributions import Poisson as TorchPoisson
from torch.func import vmap

import elbowroom.distributions as rooms
from elbowroom.distributions import capabilities, draw, simulate
from elbowroom.distributions.tails import log_mass

mp.mp.dps = 50
Numbers = Sequence[float]


@dataclass(frozen=True)
class Case:
    """A family: how it is made, an oracle of its log-density, its range, and parameters to look at.

    span: the least and the greatest value (per parameters) between which lies all that counts, or three values with a
    kink or a peak in the middle; discrete ones are summed. usual: parameters; extreme: (value, parameters). atoms:
    values of a continuous one that have a probability.
    """

    make: Callable[..., Distribution]
    oracle: Callable[..., Any]
    span: Callable[..., tuple[float, ...]]
    usual: Sequence[Numbers]
    extreme: Sequence[tuple[float, Numbers]]
    discrete: bool = False
    atoms: Numbers = ()


def _phi(z: Any) -> Any:
    return mp.erfc(-z / mp.sqrt(2)) / 2


def _normal_mass(a: Any, b: Any) -> Any:
    return _phi(-a) - _phi(-b) if a + b > 0 else _phi(b) - _phi(a)


def _normal(x: Any, loc: Any, scale: Any) -> Any:
    return -((x - loc) ** 2) / (2 * scale**2) - mp.log(scale * mp.sqrt(2 * mp.pi))


def _truncated(x: Any, loc: Any, scale: Any) -> Any:
    return _normal(x, loc, scale) - mp.log(_normal_mass(-loc / scale, (1 - loc) / scale))


def _logit_normal(x: Any, loc: Any, scale: Any) -> Any:
    return _normal(mp.log(x / (1 - x)), loc, scale) - mp.log(x * (1 - x))


def _continuous_bernoulli(x: Any, logit: Any) -> Any:
    return mp.mpf(0) if logit == 0 else logit * x - mp.log(mp.expm1(logit) / logit)


def _student(x: Any, df: Any, loc: Any, scale: Any) -> Any:
    z = (x - loc) / scale
    normaliser = mp.loggamma((df + 1) / 2) - mp.loggamma(df / 2) - mp.log(df * mp.pi) / 2 - mp.log(scale)
    return normaliser - (df + 1) / 2 * mp.log1p(z * z / df)


def _beta(x: Any, a: Any, b: Any) -> Any:
    return (a - 1) * mp.log(x) + (b - 1) * mp.log1p(-x) + mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b)


def _beta_binomial(x: Any, log_one: Any, log_zero: Any) -> Any:
    a, b, n = mp.exp(log_one), mp.exp(log_zero), LEVELS - 1
    ways = mp.loggamma(n + 1) - mp.loggamma(x + 1) - mp.loggamma(n - x + 1)
    return ways + mp.log(mp.beta(x + a, n - x + b) / mp.beta(a, b))


def _poisson(x: Any, log_mean: Any) -> Any:
    return x * log_mean - mp.exp(log_mean) - mp.loggamma(x + 1)


def _negative_binomial(x: Any, log_mean: Any, log_r: Any) -> Any:
    m, r = mp.exp(log_mean), mp.exp(log_r)
    rising = mp.loggamma(x + r) - mp.loggamma(r) - mp.loggamma(x + 1)
    return rising - r * mp.log1p(m / r) - x * mp.log1p(r / m)


def _zero_inflated(x: Any, log_mean: Any, log_r: Any, gate: Any) -> Any:
    zero = 1 / (1 + mp.exp(-gate)) if x == 0 else 0
    return mp.log(zero + mp.exp(_negative_binomial(x, log_mean, log_r)) / (1 + mp.exp(gate)))


LEVELS = 8
ATOMS = (0.0, 1.5)


def _rounded(mass: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def log_probability(x: Any, loc: Any, scale: Any) -> Any:
        low = -mp.inf if x == 0 else (x - mp.mpf(0.5) - loc) / scale
        high = mp.inf if x == LEVELS - 1 else (x + mp.mpf(0.5) - loc) / scale
        return mp.log(mass(low, high))

    return log_probability


def _sigmoid(z: Any) -> Any:
    return mp.mpf(0) if z == -mp.inf else 1 / (1 + mp.exp(-z))


def _logistic_mass(a: Any, b: Any) -> Any:
    return _sigmoid(-a) - _sigmoid(-b) if a + b > 0 else _sigmoid(b) - _sigmoid(a)


def _softmax(x: Any, *logits: Any) -> Any:
    return logits[int(x)] - mp.log(sum(mp.exp(v) for v in logits))


def _mixture(x: Any, weight: Any, one: Any, two: Any) -> Any:
    share = 1 / (1 + mp.exp(-weight))
    part = _rounded(_logistic_mass)
    return mp.log(share * mp.exp(part(x, one, mp.mpf(0.5))) + (1 - share) * mp.exp(part(x, two, mp.mpf(0.5))))


def _with_atoms(x: Any, loc: Any, scale: Any, *logits: Any) -> Any:
    found = [logit for atom, logit in zip(ATOMS, logits, strict=True) if x == atom]
    return (found or [_normal(x, loc, scale)])[0] - mp.log(1 + sum(mp.exp(v) for v in logits))


def _two_logistics(weight: Tensor, one: Tensor, two: Tensor) -> Distribution:
    logits = torch.stack([weight, torch.zeros_like(weight)], -1)
    family = rooms.DiscretisedLogistic(torch.stack([one, two], -1), torch.full_like(logits, 0.5), LEVELS)
    return MixtureSameFamily(Categorical(logits=logits, validate_args=False), family, validate_args=False)


def _plain(family: Any) -> Callable[..., Distribution]:
    return lambda *parameters: family(*parameters, validate_args=False)


UNIT = lambda *_: (0.0, 1.0)  # noqa: E731
GRID = lambda *_: (0, LEVELS - 1)  # noqa: E731
LOCATIONS = [(2.5, 0.7), (-0.4, 2.0), (7.2, 0.3), (3.0, 20.0)]
ROUNDED = [(7.0, (-50.0, 0.5)), (0.0, (90.0, 0.3)), (4.0, (4.2, 1e-2)), (3.0, (2.0, 1e4)), (7.0, (0.0, 1e-2))]
COUNTS = [(0.0, (-20.0,)), (1e5, (math.log(1e5),)), (1e5, (math.log(9e4),)), (3.0, (-20.0,)), (0.0, (11.0,))]

CASES = {
    "Normal": Case(_plain(Normal), _normal, lambda m, s: (m - 12 * s, m + 12 * s), [(0.3, 0.5), (-2.0, 3.0)], []),
    "NormalWithAtoms": Case(
        lambda m, s, *logits: rooms.NormalWithAtoms(m, s, torch.stack(logits, -1), ATOMS),
        _with_atoms,
        lambda m, s, *_: (m - 12 * s, m + 12 * s),
        [(0.3, 0.5, -1.0, 0.5), (-2.0, 3.0, 2.0, -3.0)],
        [
            (0.0, (0.0, 1e-4, 0.5, -0.5)),
            (1.5, (-100.0, 1.0, -100.0, 100.0)),
            (1.5, (1.5, 1.0, 100.0, -100.0)),
            (1.5001, (1.5, 1e-2, 0.0, 0.0)),
        ],
        atoms=ATOMS,
    ),
    "Laplace": Case(
        _plain(Laplace),
        lambda x, m, s: -abs(x - m) / s - mp.log(2 * s),
        lambda m, s: (m - 40 * s, m, m + 40 * s),
        [(0.3, 0.5), (-2.0, 3.0)],
        [(1.0, (0.5, 1e-4)), (1.0, (0.5, 1e4)), (-100.0, (100.0, 1.0))],
    ),
    "StudentT": Case(
        rooms.StudentT,
        _student,
        lambda df, m, s: tuple(m + s * stats.t(df).ppf([1e-15, 0.5, 1 - 1e-15])),
        [(5.0, 0.3, 0.5), (30.0, -2.0, 3.0)],
        [(1e4, (4.0, 0.0, 1e-4)), (1.0, (1e4, 0.5, 1.0)), (1e6, (0.5, 0.0, 1.0)), (0.2, (3.0, 0.0, 1e4))],
    ),
    "TruncatedNormal": Case(
        rooms.TruncatedNormal,
        _truncated,
        UNIT,
        [(0.4, 0.3), (-0.5, 0.4), (1.2, 3.0), (0.99, 0.05)],
        [
            (0.3, (0.4, 1e4)),
            (0.3, (0.3, 1e-4)),
            (0.5, (-1.0, 1e-2)),
            (1e-3, (-100.0, 1.0)),
            (0.9, (100.0, 5.0)),
            (0.0, (0.0, 1e-4)),
            (1.0, (-3.0, 0.1)),
            (0.7, (1e4, 1e2)),
        ],
    ),
    "LogitNormal": Case(
        rooms.LogitNormal,
        _logit_normal,
        UNIT,
        [(0.3, 0.5), (-1.0, 1.5), (1.0, 3.0)],
        [(1e-6, (0.0, 1.0)), (0.5, (100.0, 1.0)), (0.999, (-5.0, 1e4)), (0.5, (1e-5, 1e-4))],
    ),
    "ContinuousBernoulli": Case(
        lambda logits: rooms.ContinuousBernoulli(logits=logits),
        _continuous_bernoulli,
        UNIT,
        [(0.0,), (1e-4,), (0.45,), (-0.55,), (3.0,), (-12.0,)],
        [
            (0.2, (0.0,)),
            (0.2, (1e-3,)),
            (0.7, (0.0041,)),
            (0.2, (100.0,)),
            (0.2, (-100.0,)),
            (1.0, (0.499,)),
            (0.0, (-0.501,)),
            (1.0, (1e4,)),
            (0.0, (1e4,)),
        ],
    ),
    "Beta": Case(
        rooms.Beta,
        _beta,
        UNIT,
        [(2.0, 1.5), (0.6, 0.8), (20.0, 5.0)],
        [(0.5, (1e4, 1e4)), (0.3, (1e-4, 1e-4)), (1e-6, (1e-3, 1e4)), (0.999, (1e4, 10.0))],
    ),
    "Bernoulli": Case(
        lambda logits: Bernoulli(logits=logits, validate_args=False),
        lambda x, v: -mp.log1p(mp.exp(-v if x else v)),
        lambda *_: (0, 1),
        [(0.3,), (-2.0,)],
        [(1.0, (-100.0,)), (0.0, (-100.0,)), (0.0, (100.0,))],
        discrete=True,
    ),
    "DiscretisedNormal": Case(
        lambda m, s: rooms.DiscretisedNormal(m, s, LEVELS), _rounded(_normal_mass), GRID, LOCATIONS, ROUNDED, True
    ),
    "BetaBinomial": Case(
        lambda a, b: rooms.BetaBinomial(a, b, LEVELS),
        _beta_binomial,
        GRID,
        [(0.5, 1.0), (-3.0, -2.0), (3.0, 2.5)],
        [(7.0, (-30.0, 3.0)), (0.0, (-30.0, 18.0)), (3.0, (16.0, 15.0))],
        True,
    ),
    "DiscretisedLogistic": Case(
        lambda m, s: rooms.DiscretisedLogistic(m, s, LEVELS), _rounded(_logistic_mass), GRID, LOCATIONS, ROUNDED, True
    ),
    "MixtureOfDiscretisedLogistics": Case(
        _two_logistics, _mixture, GRID, [(0.3, 1.0, 5.5), (-2.0, 3.0, 3.0)], [(7.0, (100.0, -50.0, 2.0))], True
    ),
    "Levels": Case(
        lambda *logits: rooms.Levels(torch.stack(logits, -1)),
        _softmax,
        lambda *v: (0, len(v) - 1),
        [(0.3, -1.0, 2.0), (0.0, 0.0, 5.0)],
        [(0.0, (-100.0, 0.0, 100.0)), (2.0, (-100.0, 0.0, 100.0))],
        discrete=True,
    ),
    "Categorical": Case(
        lambda *logits: Categorical(logits=torch.stack(logits, -1), validate_args=False),
        _softmax,
        lambda *v: (0, len(v) - 1),
        [(0.3, -1.0, 2.0)],
        [(0.0, (-100.0, 0.0, 100.0))],
        discrete=True,
    ),
    "TorchPoisson": Case(
        _plain(TorchPoisson),
        lambda x, rate: _poisson(x, mp.log(rate)),
        lambda rate: (0, 10 * rate + 40),
        [(0.5,), (7.0,)],
        [],
        discrete=True,
    ),
    "Poisson": Case(rooms.Poisson, _poisson, lambda v: (0, 10 * math.exp(v) + 40), [(-0.5,), (2.0,)], COUNTS, True),
    "NegativeBinomial": Case(
        rooms.NegativeBinomial,
        _negative_binomial,
        lambda v, r: (0, (math.exp(v) + 5) * (10 + 60 * math.exp(-r))),
        [(1.0, 0.5), (2.0, -0.5), (0.0, 8.0)],
        [(x, (m[0], r)) for x, m in COUNTS for r in (-9.0, 0.0, 9.0, 20.0)],
        discrete=True,
    ),
    "ZeroInflatedNegativeBinomial": Case(
        rooms.ZeroInflatedNegativeBinomial,
        _zero_inflated,
        lambda v, r, _: (0, (math.exp(v) + 5) * (10 + 60 * math.exp(-r))),
        [(1.0, 0.5, -1.0), (2.0, -0.5, 1.0)],
        [(x, (m[0], 1.0, g)) for x, m in COUNTS for g in (-100.0, 0.0, 100.0)],
        discrete=True,
    ),
}


def _inside(case: Case, usual: Numbers) -> float:
    """Some value that is neither rare nor special."""
    low, *_, high = case.span(*usual)
    return float(round(low + (high - low) / 10)) if case.discrete else round(low + (high - low) / 2.3, 2)


def _cases(only: Callable[[Case, Numbers], bool] = lambda *_: True) -> list[Any]:
    return [
        pytest.param(case, usual, id=f"{name}{list(usual)}")
        for name, case in CASES.items()
        for usual in case.usual
        if only(case, usual)
    ]


def _points() -> list[Any]:
    found = []
    for name, case in CASES.items():
        points = [*case.extreme, *((_inside(case, usual), usual) for usual in case.usual)]
        found += [pytest.param(case, x, numbers, id=f"{name}{list(numbers)}({x:g})") for x, numbers in points]
    return found


def _made(case: Case, numbers: Numbers, dtype: torch.dtype = torch.float64, n: int | None = None) -> Distribution:
    return case.make(*(torch.full(() if n is None else (n,), v, dtype=dtype) for v in numbers))


def _grid(case: Case, numbers: Numbers) -> tuple[Tensor, Tensor]:
    """Values and weights that sum or integrate over the whole range."""
    ends = case.span(*numbers)
    if case.discrete:
        values = torch.arange(ends[0], math.ceil(ends[1]) + 1, dtype=torch.float64)
        return values, torch.ones_like(values)
    parts = [_tanh_sinh(low, high) for low, high in pairwise(ends)]
    atoms = torch.tensor(case.atoms, dtype=torch.float64)
    return torch.cat([*(p[0] for p in parts), atoms]), torch.cat([*(p[1] for p in parts), torch.ones_like(atoms)])


def _tanh_sinh(low: float, high: float) -> tuple[Tensor, Tensor]:
    """Nodes that crowd at both ends, where a density may be infinite, and their weights."""
    t = np.linspace(-3.7, 3.7, 6_001)
    u = np.pi / 2 * np.sinh(t)
    share, weight = 1 / (1 + np.exp(-2 * u)), np.pi / 2 * np.cosh(t) / np.cosh(u) ** 2 / 2 * (t[1] - t[0])
    kept = share < 1
    return torch.tensor(low + (high - low) * share[kept]), torch.tensor((high - low) * weight[kept])


def test_every_family_has_a_case():
    kinds = {name for name in rooms.__all__ if isinstance(getattr(rooms, name), type)}
    scalar = {name for name in kinds if issubclass(getattr(rooms, name), Distribution)}
    correlated = (rooms.Columns, rooms.CorrelatedNormal, rooms.Autoregressive)
    joint = {name for name in scalar if issubclass(getattr(rooms, name), correlated)}
    assert scalar - joint - {"BinaryBernoulli"} <= set(CASES)


@pytest.mark.parametrize(("case", "usual"), _cases())
def test_it_normalises(case, usual):
    values, weights = _grid(case, usual)
    p = _made(case, usual, n=len(values))
    assert (p.log_prob(values).exp() * weights).sum().item() == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize(("case", "usual"), _cases())
def test_mean_and_variance_are_those_of_the_density(case, usual):
    p = _made(case, usual)
    if "mean" not in capabilities(p):
        pytest.skip("offers no mean")
    values, weights = _grid(case, usual)
    mass = _made(case, usual, n=len(values)).log_prob(values).exp() * weights
    mean = (mass * values).sum()
    variance = (mass * (values - mean) ** 2).sum()
    assert p.mean.item() == pytest.approx(mean.item(), rel=1e-6, abs=1e-8)
    assert p.variance.item() == pytest.approx(variance.item(), rel=1e-5)


@pytest.mark.parametrize(("case", "x", "numbers"), _points())
def test_float32_value_and_gradient_agree_with_fifty_digits(case, x, numbers):
    parameters = [torch.tensor(v, dtype=torch.float32, requires_grad=True) for v in numbers]
    value = torch.tensor(x, dtype=torch.float32)
    log_p = case.make(*parameters).log_prob(value)
    gradient = torch.autograd.grad(log_p, parameters, allow_unused=True)
    exact = [mp.mpf(v.item()) for v in parameters]
    at = mp.mpf(value.item())
    assert log_p.dtype == torch.float32
    assert log_p.item() == pytest.approx(float(case.oracle(at, *exact)), rel=2e-6, abs=3e-6)
    for i, got in enumerate(gradient):
        along = lambda v, i=i: case.oracle(at, *exact[:i], v, *exact[i + 1 :])  # noqa: E731
        want = float(mp.diff(along, exact[i], h=mp.mpf(10) ** -15 * max(1, abs(exact[i]))))
        assert got.item() == pytest.approx(want, rel=2e-5, abs=3e-6)


@pytest.mark.parametrize(("case", "usual"), _cases())
def test_simulated_values_fit_the_density(case, usual):
    n = 20_000
    values = simulate(_made(case, usual, torch.float32, n), torch.Generator().manual_seed(3)).double().numpy()
    grid, weights = (t.numpy() for t in _grid(case, usual))
    mass = _made(case, usual, n=len(grid)).log_prob(torch.tensor(grid)).exp().numpy() * weights
    if case.discrete:
        assert _chi_square(values, grid, mass * n) > 1e-4
        return
    if case.atoms:
        share = mass[-len(case.atoms) :]
        counted = [(values == atom).sum() for atom in case.atoms]
        rest = n - sum(counted)
        assert stats.chisquare([*counted, rest], [*(n * share), n * (1 - share.sum())]).pvalue > 1e-4
        grid, mass = grid[: -len(share)], mass[: -len(share)] / (1 - share.sum())
        values = values[~np.isin(values, case.atoms)]
    cumulative = np.cumsum(mass) - mass / 2
    assert stats.kstest(values, lambda x: np.interp(x, grid, cumulative)).pvalue > 1e-4


def _chi_square(values: np.ndarray, grid: np.ndarray, expected: np.ndarray) -> float:
    """p-value over levels, rare ones put together."""
    observed = np.array([(values == level).sum() for level in grid])
    assert observed.sum() == len(values)
    often = expected >= 10
    got, want = (np.append(a[often], a[~often].sum()) for a in (observed, expected))
    kept = want > 1e-9
    assert got[~kept].sum() == 0
    return stats.chisquare(got[kept], want[kept] * got.sum() / want[kept].sum()).pvalue if kept.sum() > 1 else 1.0


def test_simulation_reads_no_global_randomness():
    for case in CASES.values():
        torch.manual_seed(0)
        before = torch.get_rng_state()
        one, two = (simulate(_made(case, case.usual[0], n=5), torch.Generator().manual_seed(1)) for _ in range(2))
        assert torch.equal(one, two)
        assert torch.equal(before, torch.get_rng_state())


DRAWN = _cases(lambda case, usual: "draw" in capabilities(_made(case, usual)))


@pytest.mark.parametrize(("case", "usual"), DRAWN)
def test_a_draw_is_the_quantile_of_its_noise_in_both_tails(case, usual):
    noise = torch.linspace(-6.0, 6.0, 25)
    p = _made(case, usual, torch.float32, len(noise))
    value, _ = draw(p, noise)
    wide = _made(case, usual, n=len(noise))
    exact, log_density = draw(wide, noise.double())
    torch.testing.assert_close(log_density(), wide.log_prob(exact), rtol=1e-6, atol=1e-6)
    below = wide.cdf(value.double()).numpy()
    error = (below - stats.norm.cdf(noise.numpy())) / wide.log_prob(value.double()).exp().numpy()
    assert np.abs(error).max() < 3e-6 * max(1.0, np.abs(value.numpy()).max())


@pytest.mark.parametrize(("case", "usual"), DRAWN)
def test_a_draw_carries_the_gradient_of_its_parameters(case, usual):
    noise = torch.tensor([-1.3, 0.2, 2.1], dtype=torch.float64)

    def drawn(*numbers: Tensor) -> Tensor:
        return draw(case.make(*(v.expand(3) for v in numbers)), noise)[0]

    numbers = [torch.tensor(v, dtype=torch.float64) for v in usual]
    gradients = torch.autograd.functional.jacobian(drawn, tuple(numbers))
    for i, gradient in enumerate(gradients):
        step = 1e-5
        shifted = [[v + sign * step * (i == j) for j, v in enumerate(numbers)] for sign in (1, -1)]
        numeric = (drawn(*shifted[0]) - drawn(*shifted[1])) / (2 * step)
        torch.testing.assert_close(gradient, numeric, rtol=1e-4, atol=1e-5)


def test_draws_reach_tails_that_a_probability_in_float32_cannot():
    value, _ = draw(Laplace(torch.tensor(0.0), 1.0), torch.tensor([9.0, -9.0]))
    exact = -math.log(2) - stats.norm.logsf(9.0)
    assert value.tolist() == pytest.approx([exact, -exact], rel=1e-6)
    far = rooms.TruncatedNormal(torch.tensor([-100.0, 101.0]), torch.tensor(1.0))  # nearly exponential
    value, _ = draw(far, torch.tensor([0.0, 0.0]))
    assert value.tolist() == pytest.approx([math.log(2) / 100, 1 - math.log(2) / 100], rel=1e-3)


@pytest.mark.parametrize("name", CASES)
def test_it_stacks(name):
    case = CASES[name]
    assert "stack" in capabilities(_made(case, case.usual[0]))
    stacked = [torch.tensor([column] * 4).T for column in zip(*case.usual, strict=True)]
    value = torch.tensor([_inside(case, case.usual[0])] * 4)

    def gradient(*parameters: Tensor) -> tuple[Tensor, ...]:
        total = lambda *inner: case.make(*inner).log_prob(value).sum()  # noqa: E731
        return torch.func.grad_and_value(total, argnums=tuple(range(len(parameters))))(*parameters)

    together = vmap(gradient)(*stacked)
    for i in range(len(case.usual)):
        alone = gradient(*(column[i] for column in stacked))
        torch.testing.assert_close(together[1][i], alone[1])
        torch.testing.assert_close(tuple(g[i] for g in together[0]), alone[0], atol=1e-5, rtol=1e-5)


def test_moments_hold_at_extreme_parameters():
    f = lambda *numbers: tuple(torch.tensor(v) for v in numbers)  # noqa: E731
    flat, far, tight = (rooms.TruncatedNormal(*f(*n)) for n in ((0.4, 1e4), (-1.0, 1e-2), (0.3, 1e-4)))
    assert (flat.mean.item(), flat.variance.item()) == pytest.approx((0.5, 1 / 12), rel=1e-6)
    rate = 100 + 1 / 100  # exponential with the hazard at the edge, to second order
    assert far.mean.item() == pytest.approx(1e-2 / rate, rel=1e-3)
    assert (tight.mean.item(), tight.stddev.item()) == pytest.approx((0.3, 1e-4), rel=1e-5)
    coin, dot = (rooms.LogitNormal(*f(*n)) for n in ((0.0, 1e4), (1.0, 1e-4)))
    assert (coin.mean.item(), coin.variance.item()) == pytest.approx((0.5, 0.25), rel=1e-3)
    slope = 0.7310586 * (1 - 0.7310586)
    assert (dot.mean.item(), dot.stddev.item()) == pytest.approx((0.7310586, slope * 1e-4), rel=1e-4)
    steep = rooms.ContinuousBernoulli(logits=torch.tensor([1e-3, 0.0041, 100.0, -1e4]))
    assert steep.mean.tolist() == pytest.approx([0.50008333, 0.50034166, 0.99, 1e-4], rel=1e-5)
    assert steep.variance.tolist() == pytest.approx([1 / 12, 1 / 12, 1e-4, 1e-8], rel=1e-4)


def test_values_outside_the_support_have_no_density_and_no_nan():
    for p in (rooms.TruncatedNormal, rooms.LogitNormal):
        loc = torch.tensor(0.3, requires_grad=True)
        log_p = p(loc, torch.tensor(0.5)).log_prob(torch.tensor([-0.1, 1.1]))
        assert torch.isneginf(log_p).all()
        assert torch.autograd.grad(log_p.sum(), loc)[0].item() == 0.0


def test_columns_are_their_groups_side_by_side_and_leave_missing_cells_out():
    one = torch.distributions.Independent(Normal(torch.tensor([0.0, 1.0]), 1.0), 1)
    two = torch.distributions.Independent(rooms.Poisson(torch.tensor([0.7])), 1)
    x = torch.tensor([0.5, math.nan, 3.0])
    p = rooms.Columns([one, two])
    want = stats.norm.logpdf(0.5) + stats.poisson.logpmf(3, math.exp(0.7))
    assert rooms.log_prob_seen(p, x, ~x.isnan()).item() == pytest.approx(want, rel=1e-6)
    assert p.mean.tolist() == pytest.approx([0.0, 1.0, math.exp(0.7)])
    assert p.variance.tolist() == pytest.approx([1.0, 1.0, math.exp(0.7)])
    assert simulate(p, torch.Generator()).shape == (3,)


@pytest.mark.parametrize(("case", "usual"), _cases())
def test_a_missing_cell_counts_for_nothing_whatever_fills_it(case, usual):
    """The log-density of a row is that of its seen cells; fillers, of the support or not, change nothing of it."""
    values, _ = _grid(case, usual)
    p = torch.distributions.Independent(_made(case, usual, n=3), 1)
    x, seen = values[len(values) // 2].expand(3).clone(), torch.tensor([True, False, True])
    want = 2 * _made(case, usual).log_prob(x[0]).item()
    for filler in (x[0].item(), 0.0, -1e6, 1e6, 0.3):
        x[1] = filler
        assert rooms.log_prob_seen(p, x, seen).item() == pytest.approx(want, rel=1e-12)
    assert rooms.log_prob_seen(p, x, seen & False).item() == 0.0
    parameters = [torch.full((3,), value, dtype=torch.float64, requires_grad=True) for value in usual]
    p = torch.distributions.Independent(case.make(*parameters), 1)
    for slope in torch.autograd.grad(rooms.log_prob_seen(p, x, seen), parameters):
        assert slope.isfinite().all()
        assert slope[1] == 0


@pytest.mark.parametrize(
    ("low", "high"), [(-2.0, 0.5), (-40.0, -39.5), (29.9, 31.0), (-1e-4, 1e-4), (6.0, 200.0), (-1e3, 1e3)]
)
def test_log_mass_has_the_value_and_the_slopes_of_an_integral_also_stacked(low, high):
    def exact(a, b):
        a, b = (-b, -a) if a + b > 0 else (a, b)
        return mp.log((mp.erfc(-b / mp.sqrt(2)) - mp.erfc(-a / mp.sqrt(2))) / 2)

    with mp.workdps(50):
        orders = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
        expected = [float(mp.diff(exact, (mp.mpf(low), mp.mpf(high)), order)) for order in orders]
    a, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (low, high))
    value = log_mass(a, b)
    first = torch.autograd.grad(value, (a, b), create_graph=True)
    second = [torch.autograd.grad(one, (a, b), retain_graph=True) for one in first]
    found = [value, *first, second[0][0], second[0][1], second[1][1]]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.item() == pytest.approx(theirs, rel=1e-7, abs=1e-9)
    both = vmap(torch.func.grad_and_value(log_mass), in_dims=(0, None))(torch.stack([a, a]).detach(), b.detach())
    assert both[0].tolist() == pytest.approx([expected[1]] * 2, rel=1e-7, abs=1e-9)
    assert both[1].tolist() == pytest.approx([expected[0]] * 2, rel=1e-9, abs=1e-12)
