"""Readings of losses against closed forms, and against losses in the styles in which people write them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.integrate import quad
from torch import Tensor, distributions
from wild_losses import WILD, FromACollection, half, kl_of

import elbowroom as er
from elbowroom.claims import LossReading

# --- closed forms ---------------------------------------------------------------------------------------------------

DENSITIES: dict[
    str, tuple[Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, float], distributions.Distribution]]
] = {
    "Gaussian": (lambda r, x: (r - x).square(), lambda r, scale: distributions.Normal(r, scale)),
    "Laplace": (lambda r, x: (r - x).abs(), lambda r, scale: distributions.Laplace(r, scale)),
}


@pytest.mark.parametrize("family", DENSITIES)
@pytest.mark.parametrize("seed", range(4))
def test_the_loss_and_what_is_missing_are_minus_the_elbo_of_the_density_read(family: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    a, b = 10 ** draw.uniform(-2, 2), 10 ** draw.uniform(-6, 1)
    over_batch = draw.choice(["sum", "mean"])
    over_elements = draw.choice(["sum", "mean"])
    event, latents = [((7,), (3,)), ((1, 4, 6), (2,)), ((3, 4, 4), (2, 2, 2))][draw.integers(3)]
    constant, (term, density) = draw.normal(), DENSITIES[family]

    def per_example(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        terms = term(recon, x).flatten(1)
        return a * (terms.sum(1) if over_elements == "sum" else terms.mean(1)) + b * kl_of(mu, logvar) + constant

    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        each = per_example(recon, x, mu, logvar)
        return each.sum() if over_batch == "sum" else each.mean()

    reading = er.read_loss(loss, event=event, latents=latents)
    size = math.prod(event)
    assert reading.family == family
    assert reading.weight == pytest.approx(b / a * (size if over_elements == "mean" else 1), rel=1e-6)
    assert reading.reductions == {"batch": over_batch, "elements": over_elements, "latents": "sum"}
    assert reading.sigma is not None
    assert reading.missing is not None
    generator = torch.Generator().manual_seed(seed)
    recon, x = (torch.rand(4, *event, generator=generator, dtype=torch.float64) for _ in range(2))
    mu, logvar = (torch.randn(4, *latents, generator=generator, dtype=torch.float64) for _ in range(2))
    log_p = density(recon, reading.sigma).log_prob(x).flatten(1).sum(1)
    found = per_example(recon, x, mu, logvar) / b + reading.missing
    torch.testing.assert_close(found, kl_of(mu, logvar) - log_p, rtol=1e-5, atol=1e-5 * size)


@pytest.mark.parametrize("beta", [1.0, 0.3, 5.0])
@pytest.mark.parametrize("link", ["probabilities", "logits"])
@pytest.mark.parametrize("kind", [distributions.Bernoulli, distributions.ContinuousBernoulli])
def test_masses_of_probabilities_and_of_logits(kind: Any, link: str, beta: float) -> None:
    def loss(x: Tensor, x_hat: Tensor, z_mean: Tensor, z_log_var: Tensor) -> Tensor:
        how = {"probs" if link == "probabilities" else "logits": x_hat}
        log_p = kind(**how, validate_args=False).log_prob(x).sum(1)
        return (-log_p + beta * kl_of(z_mean, z_log_var)).mean()

    reading = er.read_loss(loss, event=9)
    assert reading.family == {"Bernoulli": "Bernoulli"}.get(kind.__name__, "continuous Bernoulli")
    assert reading.beta == pytest.approx(beta, rel=1e-6)
    assert reading.missing == pytest.approx(0.0, abs=1e-6)
    assert link in reading.says or reading.family.lower() in reading.says
    assert not reading.faults


@pytest.mark.parametrize(("sigma", "beta"), [(0.1, 1.0), (0.3, 4.0), (2.0, 0.5)])
def test_a_gaussian_with_its_constants_says_its_own_sigma_and_beta(sigma: float, beta: float) -> None:
    def with_constants(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return (-distributions.Normal(recon, sigma).log_prob(x).sum(1) + beta * kl_of(mu, logvar)).mean()

    def without_two_pi(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return with_constants(recon, x, mu, logvar) - x[0].numel() / 2 * math.log(2 * math.pi)

    whole, bare = er.read_loss(with_constants, event=5), er.read_loss(without_two_pi, event=5)
    for reading, missing in ((whole, 0.0), (bare, 2.5 * math.log(2 * math.pi))):
        assert (reading.sigma, reading.beta) == (pytest.approx(sigma), pytest.approx(beta))
        assert reading.weight == pytest.approx(2 * sigma**2 * beta)
        assert reading.missing == pytest.approx(missing, abs=1e-6)


SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "Charbonnier": lambda d: torch.sqrt(d**2 + 0.01),
    "Huber": lambda d: F.huber_loss(d, torch.zeros_like(d), reduction="none", delta=0.5),
    "log-cosh": lambda d: torch.logaddexp(d, -d),
    "Student": lambda d: 2.0 * torch.log1p(d**2 / 3),
    "Cauchy": lambda d: torch.log1p(d**2),
}


@pytest.mark.parametrize("name", SHAPES)
def test_other_shapes_of_the_difference_are_densities_with_their_normaliser(name: str) -> None:
    shape = SHAPES[name]

    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return shape(x - recon).sum() + kl_of(mu, logvar).sum()

    reading = er.read_loss(loss, event=4)

    def density(d: float) -> float:
        return float(torch.exp(-shape(torch.tensor([d], dtype=torch.float64))))

    z = 2 * quad(density, 0, 1)[0] + 2 * quad(density, 1, np.inf)[0]
    assert reading.family == "location"
    assert reading.missing == pytest.approx(4 * math.log(z), abs=0.01)
    assert not reading.faults


@pytest.mark.parametrize("counted", [torch.float64, torch.float32])
@pytest.mark.parametrize("width", [1e-2, 1e-3])
def test_absolute_values_with_a_small_round_corner_are_no_laplace(counted: torch.dtype, width: float) -> None:
    """A smooth L1 is a Laplace that lies half its width lower, which is nats where there are many elements."""

    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        terms = F.smooth_l1_loss(recon.to(counted), x.to(counted), reduction="sum", beta=width)
        return terms + kl_of(mu, logvar).sum()

    def corner(d: float) -> float:
        return math.exp(-(d**2) / (2 * width))

    z = 2 * (quad(corner, 0, width)[0] + math.exp(-width / 2))
    reading = er.read_loss(loss, event=784)
    assert reading.family == "location"
    assert reading.missing == pytest.approx(784 * math.log(z), abs=0.1)


def test_tails_that_no_normaliser_holds_are_said() -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return 0.4 * torch.log1p((x - recon) ** 2).sum() + kl_of(mu, logvar).sum()

    reading = er.read_loss(loss, event=4)
    assert reading.family == "no density"
    assert "tails" in reading.says


def test_the_sentence_of_an_image_autoencoder() -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return (recon - x).square().sum() + 1e-6 * kl_of(mu, logvar).sum()

    text = str(er.read_loss(loss, event=(3, 8, 8), latents=(4, 2, 2)))
    assert "a Gaussian of σ = 0.000707: the bound holds at that noise and no other" in text


# --- how q's spread is meant ----------------------------------------------------------------------------------------

SPREADS = {
    "log-variance": ("logvar", lambda s: s),
    "log-std": ("log_sigma", lambda s: 2 * s),
    "variance": ("z_var", lambda s: s.log()),
    "std": ("sigma", lambda s: 2 * s.abs().log()),
}


@pytest.mark.parametrize("named", SPREADS)
@pytest.mark.parametrize("taken", SPREADS)
def test_a_spread_that_is_taken_for_another_than_its_name_says_is_a_fault(named: str, taken: str) -> None:
    def inner(recon: Tensor, x: Tensor, mu: Tensor, spread: Tensor) -> Tensor:
        return (half(recon, x) + kl_of(mu, SPREADS[taken][1](spread))).mean()

    space: dict[str, Any] = {"inner": inner}
    name = SPREADS[named][0]
    exec(f"def loss(recon, x, mu, {name}): return inner(recon, x, mu, {name})", space)
    reading = er.read_loss(space["loss"], event=5)
    assert reading.spread == taken
    assert bool(reading.faults) == (named != taken)
    if (named, taken) == ("log-variance", "std"):
        assert not er.read_loss(space["loss"], event=5, spread=taken).faults


# --- as people write them -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WILD)
def test_losses_as_people_write_them(name: str) -> None:
    loss, options, family, weight, close = WILD[name]
    reading = er.read_loss(loss, **options)
    assert (reading.family, reading.faults) == (family, ())
    assert reading.weight == pytest.approx(weight, rel=close or 1e-6)


def local_contrast(recon: Tensor, x: Tensor) -> Tensor:
    """As structural similarity is made."""
    a, b = (F.avg_pool2d(one, 3, 1) for one in (recon, x))
    aa, bb, ab = (F.avg_pool2d(one, 3, 1) for one in (recon**2, x**2, recon * x))
    return (2 * a * b + 0.01) * (2 * (ab - a * b) + 0.03) / ((a**2 + b**2 + 0.01) * (aa - a**2 + bb - b**2 + 0.03))


NO_DENSITY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "structural similarity": lambda r, x: 1 - local_contrast(r, x).mean(),
    "squares and structural similarity": lambda r, x: (r - x).square().sum() + 1 - local_contrast(r, x).mean(),
    "root mean square": lambda r, x: F.mse_loss(r, x).sqrt(),
    "focal": lambda r, x: ((1 - torch.exp(-_bce(r, x))) ** 2 * _bce(r, x)).sum(),
    "weighted bits": lambda r, x: F.binary_cross_entropy_with_logits(
        r, x, pos_weight=torch.tensor(3.0), reduction="sum"
    ),
    "differences of neighbours": lambda r, x: (r - x).diff(dim=-1).square().sum(),
    "a critic": lambda r, x: -torch.tanh(r.flatten(1).sum(1)).sum() + 0 * x.sum(),
    "cosine": lambda r, x: 1 - F.cosine_similarity(r.flatten(1), x.flatten(1)).mean(),
}


def _bce(r: Tensor, x: Tensor) -> Tensor:
    return F.binary_cross_entropy(r, x, reduction="none")


@pytest.mark.parametrize("name", NO_DENSITY)
def test_what_is_no_density_is_said_to_be_none(name: str) -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return NO_DENSITY[name](recon, x) + 1e-3 * kl_of(mu, logvar).mean()

    reading = er.read_loss(loss, event=(1, 6, 6))
    assert reading.family == "no density"
    assert reading.sigma is None
    assert any("no density" in fault for fault in reading.faults)


def test_a_floor_a_ceiling_and_a_capacity_of_the_kl_are_said() -> None:
    def of(bend: Callable[[Tensor], Tensor]) -> LossReading:
        def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
            return half(recon, x).mean() + bend(kl_of(mu, logvar).mean())

        return er.read_loss(loss, event=6, latents=4)

    floor, ceiling = of(lambda kl: kl.clamp_min(3.0)), of(lambda kl: kl.clamp_max(3.0))
    capacity = of(lambda kl: 5 * (kl - 3.0).abs())
    assert "from 3 nats per example" in str(floor)
    assert "from above, at 3 nats" in ceiling.faults[0]
    assert "distance from 3 nats" in str(capacity)
    assert capacity.weight == pytest.approx(10.0)


def test_a_weight_that_is_annealed_by_a_counter_is_read_at_its_end_and_set_back() -> None:
    calls = 0

    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return half(recon, x).mean() + min(1.0, calls / 300) * kl_of(mu, logvar).mean()

    reading = er.read_loss(loss, event=6)
    assert reading.weight == pytest.approx(2.0)
    assert calls == 0
    assert "moves from call to call" in str(reading)


def test_a_loss_that_never_stands_still_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elbowroom.claims._read_loss._SETTLES", 100)
    calls = 0

    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return half(recon, x).mean() + calls * kl_of(mu, logvar).mean()

    reading = er.read_loss(loss, event=3)
    assert (reading.family, reading.weight) == ("unknown", None)
    assert "at every call" in reading.faults[0]


def test_terms_of_a_kl_that_are_not_its_are_named() -> None:
    def without_mean(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return half(recon, x).mean() + (0.5 * (logvar.exp() - 1 - logvar)).sum(1).mean() + 0 * mu.sum()

    def only_mean(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return half(recon, x).mean() + 0.5 * mu.square().sum(1).mean()

    assert "mu² is missing" in er.read_loss(without_mean, event=5).faults[0]
    assert "the variance is missing" in er.read_loss(only_mean, event=5).faults[0]


def test_the_kl_from_another_prior_counts_with_factorials_and_weights_of_elements_are_said() -> None:
    def from_two(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        q = distributions.Normal(mu, (logvar / 2).exp())
        kl = distributions.kl_divergence(q, distributions.Normal(torch.zeros_like(mu), 2.0))
        return half(recon, x).sum() + kl.sum()

    def counts(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return -distributions.Poisson(recon.exp(), validate_args=False).log_prob(x).sum() + kl_of(mu, logvar).sum()

    def bare(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return F.poisson_nll_loss(recon, x, reduction="sum") + kl_of(mu, logvar).sum()

    def weighted(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return (torch.arange(1, 7).to(x) * (recon - x) ** 2).sum() + kl_of(mu, logvar).sum()

    assert "from N(0, 4)" in er.read_loss(from_two, event=5).faults[0]
    whole, part = er.read_loss(counts, event=5), er.read_loss(bare, event=5)
    assert (whole.family, part.family, part.weight) == ("Poisson", "Poisson", pytest.approx(1.0))
    assert "log x! of the counts is in it" in str(whole).replace("Log", "log")
    assert "lacks log x!" in str(part)
    assert "lacks" not in str(whole)
    found = er.read_loss(weighted, event=6)
    assert "weigh differently, by a factor 6" in str(found)
    assert found.missing is None


def test_the_data_say_whether_bits_are_meant_and_whether_noise_is_larger_than_they() -> None:
    def bits(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return F.binary_cross_entropy(recon, x, reduction="sum") + kl_of(mu, logvar).sum()

    def squares(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return half(recon, x).sum() + kl_of(mu, logvar).sum()

    grey = torch.rand(30, 9)
    assert not er.read_loss(bits, x=(grey > 0.5).float()).faults
    assert "grey" in er.read_loss(bits, x=grey).faults[0]
    assert "and these lie in" in er.read_loss(bits, x=2 * grey - 1).faults[0]
    assert "larger than the whole spread" in er.read_loss(squares, x=grey).faults[0]
    assert not er.read_loss(squares, x=10 * grey).faults


def test_what_cannot_be_called_is_refused_in_a_sentence() -> None:
    with pytest.raises(er.InputError, match="asks for 'gain'"):
        er.read_loss(lambda recon, x, mu, logvar, gain: recon.sum() * gain)
    with pytest.raises(er.InputError, match=r"others=\{'M_N'"):
        er.read_loss(FromACollection().loss_function)
    with pytest.raises(er.InputError, match="no finite number"):
        er.read_loss(lambda recon, x, mu, logvar: "low")


# --- what rounding hides, and what grows otherwise than a sum or a mean ---------------------------------------------


def single(
    term: Callable[[Tensor, Tensor], Tensor], weight: float, over_elements: str = "sum"
) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """A loss that counts in 32 bits, whatever it is given."""

    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        terms = term(recon.float(), x.float()).flatten(1)
        reduced = terms.sum() if over_elements == "sum" else terms.mean() * len(x)
        return reduced + weight * kl_of(mu.float(), logvar.float()).sum()

    return loss


@pytest.mark.parametrize("weight", [1e-3, 1e-4, 1e-5, 2e-6, 1e-6, 1e-7])
@pytest.mark.parametrize("elements", [12, 784])
def test_a_small_weight_in_single_precision_is_read_where_the_squares_are_small(weight: float, elements: int) -> None:
    for over, factor in (("sum", 1), ("mean", 1 / elements)):
        loss = single(lambda r, x: (r - x) ** 2, weight * factor, over)
        reading = er.read_loss(loss, event=elements)
        assert reading.weight == pytest.approx(weight, rel=1e-4)
        assert reading.reductions["batch"] == "sum"


@pytest.mark.parametrize("weight", [1.0, 1e-2, 1e-4, 1e-6, 1e-9])
def test_a_weight_that_rounding_hides_is_never_a_wrong_one(weight: float) -> None:
    for elements in (12, 784, 12_288):
        for term in (_bce, lambda r, x: F.binary_cross_entropy_with_logits(r, x, reduction="none")):
            reading = er.read_loss(single(term, weight), event=elements)
            assert reading.weight is None or reading.weight == pytest.approx(weight, rel=0.02)
            assert reading.weight is not None or ("rounding" in reading.says and not reading.bound)


def test_half_precision_is_not_read() -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return (half(recon, x).sum() + kl_of(mu, logvar).sum()).bfloat16()

    assert "few digits" in er.read_loss(loss, event=12).faults[0]


@pytest.mark.parametrize("power", [-0.5, 0.5, -2.0])
def test_a_kl_that_grows_neither_as_a_sum_nor_as_a_mean_has_no_weight(power: float) -> None:
    for term in (lambda r, x: (r - x) ** 2, lambda r, x: torch.logaddexp(r - x, x - r)):

        def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, term: Any = term) -> Tensor:
            return term(recon, x).sum() + len(x) ** power * kl_of(mu, logvar).sum()

        reading = er.read_loss(loss, event=6, others={"term": term})
        assert (reading.weight, reading.beta, reading.sigma, reading.missing) == (None,) * 4
        assert not reading.bound
        assert f"the batch to the power {1 + power:.3g}".replace("-", "−") in reading.says


def test_a_reconstruction_that_grows_with_the_root_of_the_batch_normalises_for_none() -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, power: float) -> Tensor:
        p = torch.special.ndtr(recon)
        return (-torch.where(x > 0.5, p.log(), (1 - p).log()).sum() + kl_of(mu, logvar).sum()) / len(x) ** power

    for power, weight in ((0.0, 1.0), (1.0, 1.0), (0.5, None)):
        reading = er.read_loss(loss, event=6, others={"power": power})
        assert (reading.weight is None) == (weight is None)
        assert reading.weight is None or reading.weight == pytest.approx(weight)
        assert reading.bound == (weight is not None)


# --- what holds at some x and not at others -------------------------------------------------------------------------


def _draws(kind: str) -> np.ndarray:
    draw = np.random.default_rng(0)
    real, seen = draw.random((60, 12)), draw.random((60, 12)) < 0.5
    return {"sparse": real * seen, "bits": seen.astype(float), "real": draw.normal(size=(60, 12))}[kind]


OF_X: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], str]] = {
    "a mask of positive x": (lambda r, x: ((r - x) ** 2 * (x > 0)).sum(), "not at x = 0 (51% of these x)"),
    "a mask of what is not 0": (lambda r, x: ((r - x) ** 2 * (x != 0)).sum(), "not at x = 0 (51% of these x)"),
    "a foreground": (lambda r, x: ((r - x) ** 2 * (1 + 9 * (x > 0.9))).sum(), "not at x = 0.9"),
    "a foreground from a half on": (lambda r, x: ((r - x) ** 2 * (1 + 9 * (x > 0.5))).sum(), "no density"),
    "absolute values of a foreground": (lambda r, x: ((r - x).abs() * (1 + x)).sum(), "no density"),
    "squares where hardly a cell, or nearly every one, is 0": (
        lambda r, x: ((r - x) ** 2 * (((x == 0).to(x).mean(1, keepdim=True) - 0.5).abs() > 0.3)).sum(),
        "at rows of these x",
    ),
    "Huber's under a mask": (lambda r, x: (F.huber_loss(r, x, reduction="none") * (x != 0)).sum(), "not at x = 0"),
    "probabilities in each other's place": (
        lambda r, x: F.binary_cross_entropy(x, r, reduction="sum"),
        "x in the place of recon",
    ),
}


@pytest.mark.parametrize("counted", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", OF_X)
def test_a_shape_that_fails_at_some_of_the_users_x_is_no_density(name: str, counted: torch.dtype) -> None:
    term, words = OF_X[name]

    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return term(recon.to(counted), x.to(counted)) + 0.01 * kl_of(mu, logvar).sum()

    reading = er.read_loss(loss, x=_draws("sparse"))
    assert (reading.family, reading.weight, reading.sigma, reading.bound) == ("no density", None, None, False)
    assert words in str(reading)
    if "hardly" not in name:
        assert er.read_loss(loss, event=12).family == "no density"


def test_weights_of_bits_are_a_density_where_masses_sum_to_the_same() -> None:
    def weighted(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return (_bce(recon, x) * (1 + 9 * (x > 0.9))).sum() + kl_of(mu, logvar).sum()

    r = np.array([0.1, 0.5, 0.9])
    assert np.ptp(r**10 + (1 - r)) > 0.3  # e^−loss, summed over a bit
    for options in ({"x": _draws("bits")}, {"event": 12}):
        reading = er.read_loss(weighted, **options)
        assert reading.family == "no density"
        assert "not at x = 1" in reading.says
        assert "sums over x = 0 and 1 to other numbers" in reading.says

    def pointed(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return F.binary_cross_entropy(recon, (x > 0.5).to(x), reduction="sum") + kl_of(mu, logvar).sum()

    reading = er.read_loss(pointed, x=_draws("bits"))
    assert (reading.family, reading.weight, reading.bound) == ("Bernoulli", pytest.approx(1.0), True)


def test_a_mark_of_missing_cells_that_the_users_x_lack_is_said_and_no_fault() -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return ((recon - x) ** 2 * (x != -1)).sum() + 0.01 * kl_of(mu, logvar).sum()

    reading = er.read_loss(loss, x=_draws("sparse"))
    assert (reading.weight, reading.missing, reading.faults) == (pytest.approx(0.01), None, ())
    assert "not at x = −1, which none of them is" in str(reading)
    marked = np.where(_draws("bits") > 0, _draws("real"), -1.0)
    assert "not at x = −1 (" in er.read_loss(loss, x=marked).says
    assert er.read_loss(loss, event=12).family == "no density"


def test_what_is_of_x_alone_leaves_no_constant() -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return half(recon, x).sum() + x.sum() + kl_of(mu, logvar).sum()

    reading = er.read_loss(loss, event=5)
    assert (reading.weight, reading.missing) == (pytest.approx(2.0), None)
    assert "of x alone" in str(reading)


def test_squares_that_are_none_far_out_are_a_density_of_their_own() -> None:
    from scipy.integrate import quad

    def shape(d: float) -> float:
        return float(F.huber_loss(torch.tensor(d, dtype=torch.float64), torch.tensor(0.0).double(), delta=4.0))

    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return F.huber_loss(recon, x, reduction="sum", delta=4.0) / 9 + kl_of(mu, logvar).sum()

    reading = er.read_loss(loss, event=4)
    z = 2 * quad(lambda d: math.exp(-shape(d) / 9), 0, 60, limit=200)[0]
    assert reading.family == "location"
    assert reading.missing == pytest.approx(4 * math.log(z), abs=0.01)


def test_elements_of_weights_of_their_own_have_a_range_of_scales() -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return (torch.arange(1, 7).to(x) * (recon - x) ** 2).sum() + 2 * kl_of(mu, logvar).sum()

    def partly(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return (torch.arange(6).to(x) * (recon - x) ** 2).sum() + 2 * kl_of(mu, logvar).sum()

    reading = er.read_loss(loss, event=6)
    assert (reading.weight, reading.beta, reading.sigma, reading.missing) == (None,) * 4
    assert f"σ from {math.sqrt(1 / 6):.3g} to 1, each element its own" in reading.says
    assert er.read_loss(partly, event=6).family == "no density"
    assert "no weight" in er.read_loss(partly, event=6).says


def test_a_kl_that_is_weighed_by_the_reconstruction_has_no_weight() -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        squares = half(recon, x).sum()
        return squares + (1 + squares) * kl_of(mu, logvar).sum()

    reading = er.read_loss(loss, event=6)
    assert (reading.weight, reading.bound) == (None, False)
    assert "changes with the reconstruction" in reading.faults[0]


def test_clamps_of_the_kl_far_out_are_said_and_where_they_are() -> None:
    def of(bend: Callable[[Tensor, Tensor], Tensor]) -> LossReading:
        def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
            return (recon - x).square().sum() + bend(mu, logvar)

        return er.read_loss(loss, event=6, latents=5)

    batch = of(lambda mu, logvar: kl_of(mu, logvar).sum().clamp(max=100))
    example = of(lambda mu, logvar: kl_of(mu, logvar).clamp(max=500).sum())
    means = of(lambda mu, logvar: kl_of(mu.clamp(-3, 3), logvar).sum())
    assert "after it is summed over the batch, at 100 nats" in batch.faults[0]
    assert "from above, at 500 nats per example" in example.faults[0]
    for reading in (batch, example, means):
        assert (reading.weight, reading.missing, reading.bound) == (None, None, False)


def test_a_prior_that_is_nearly_the_standard_one_is_told_from_it() -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        p = distributions.Normal(torch.zeros_like(mu), 1.0002)
        return half(recon, x).sum() + distributions.kl_divergence(distributions.Normal(mu, (logvar / 2).exp()), p).sum()

    assert "from N(0, 1.0004) and not from N(0, 1)" in er.read_loss(loss, event=5).faults[0]


def test_what_says_that_it_is_no_bound_is_none() -> None:
    def of(beta: float) -> LossReading:
        def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
            return _bce(recon, x).sum() + beta * kl_of(mu, logvar).sum()

        return er.read_loss(loss, event=5)

    def capacity(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return half(recon, x).mean() + 5 * (kl_of(mu, logvar).mean() - 3.0).abs()

    assert [of(beta).bound for beta in (0.5, 1.0, 2.0)] == [False, True, True]
    assert not er.read_loss(capacity, event=5).bound


@pytest.mark.parametrize("counted", [torch.float64, torch.float32])
def test_absolute_values_that_are_none_at_their_own_scale_are_no_laplace(counted: torch.dtype) -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        terms = F.smooth_l1_loss(recon.to(counted), x.to(counted), reduction="sum", beta=1e-4)
        return terms + 1e-5 * kl_of(mu, logvar).sum()

    def corner(d: float) -> float:
        return math.exp(-(d**2) / 2e-4 / 1e-5)

    reading = er.read_loss(loss, event=784)
    z = 2 * (quad(corner, 0, 1e-4)[0] + 1e-5 * corner(1e-4))
    assert reading.family == "location"
    assert reading.missing == pytest.approx(784 * math.log(z), abs=0.2)


def test_sums_of_masses_that_hardly_move_are_none_and_a_poisson_is_of_counts() -> None:
    def cosh(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        d = recon - x
        return ((10 * d + torch.log1p(torch.exp(-20 * d)) - math.log(2)) / 10).mean() + 1e-3 * kl_of(mu, logvar).mean()

    def rates(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return F.poisson_nll_loss(recon, x, reduction="sum") + kl_of(mu, logvar).sum()

    assert not er.read_loss(cosh, event=12).bound
    assert er.read_loss(cosh, event=12).family != "Bernoulli"
    assert "density of counts" in er.read_loss(rates, x=_draws("sparse")).faults[0]
    assert er.read_loss(rates, x=np.floor(9 * _draws("sparse"))).bound
