"""What normalises the densities that losses stand for, against quadrature and closed forms."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.integrate import quad
from torch import Tensor, distributions
from wild_losses import kl_of

import elbowroom as er

# --- densities of the difference, as narrow as the KL's weight makes them -------------------------------------------

SHAPES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[float], float]]] = {
    "|d| + d²": (lambda d: d.abs() + d**2, lambda d: d + d * d),
    "|d|^1.5": (lambda d: d.abs() ** 1.5, lambda d: d**1.5),
    "|d|^0.5": (lambda d: d.abs() ** 0.5, lambda d: d**0.5),
    "smooth L1": (
        lambda d: F.smooth_l1_loss(d, torch.zeros_like(d), reduction="none", beta=1e-3),
        lambda d: d * d / 2e-3 if d < 1e-3 else d - 5e-4,
    ),
    "Huber": (
        lambda d: F.huber_loss(d, torch.zeros_like(d), reduction="none", delta=0.02),
        lambda d: d * d / 2 if d < 0.02 else 0.02 * (d - 0.01),
    ),
    "Student": (lambda d: 2 * torch.log1p(d**2 / 3), lambda d: 2 * math.log1p(d * d / 3)),
    "log cosh": (lambda d: torch.logaddexp(d, -d), lambda d: d + math.log1p(math.exp(-2 * d))),
    "Charbonnier": (lambda d: (d**2 + 1e-6).sqrt(), lambda d: math.sqrt(d * d + 1e-6)),
    "insensitive": (lambda d: (d.abs() - 0.01).clamp(min=0), lambda d: max(d - 0.01, 0.0)),
    "biquadratic": (lambda d: d**4 + d**2, lambda d: d**4 + d**2),
    "pseudo-Huber": (lambda d: (1 + d**2).sqrt() - 1, lambda d: d * d / (1 + math.sqrt(1 + d * d))),
}
WIDTHS = (1.0, 1e-2, 1e-4, 1e-6)
CASES = [*((name, WIDTHS[place % 4]) for place, name in enumerate(SHAPES)), ("|d| + d²", 1e-6), ("|d|^0.5", 1e-2)]


def log_z(term: Callable[[float], float], w: float) -> float:
    """Of an even density exp(−term / w), by quadrature in the logarithm of the difference."""
    logs = np.arange(-45, 30, 0.5)
    rises = [t - (term(math.exp(t)) - term(0.0)) / w for t in logs]
    kept = [(t, t + 0.5) for t, one in zip(logs, rises, strict=True) if one > max(rises) - 60]
    over = sum(quad(lambda t: math.exp(t - (term(math.exp(t)) - term(0.0)) / w), *one, epsabs=0)[0] for one in kept)
    return math.log(2 * over) - term(0.0) / w


def of_terms(
    term: Callable[[Tensor], Tensor], w: float, counted: torch.dtype = torch.float64, over: str = "sum"
) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        terms = term(recon.to(counted) - x.to(counted)).flatten(1).sum(1)
        each = terms + w * kl_of(mu.to(counted), logvar.to(counted))
        return each.sum() if over == "sum" else each.mean()

    return loss


@pytest.mark.parametrize(("name", "w"), CASES)
def test_a_normaliser_is_that_of_the_density_however_narrow(name: str, w: float) -> None:
    term, number = SHAPES[name]
    over = "mean" if w in (1.0, 1e-6) else "sum"
    reading = er.read_loss(of_terms(term, w, over=over), event=(8, 8), latents=4)
    if name == "insensitive" and w < 1e-2:  # a corner with walls as steep as no other shape's
        assert (reading.family, reading.missing) == ("unknown", None)
        return
    assert reading.family == "location"
    assert reading.missing == pytest.approx(64 * log_z(number, w), abs=0.064)
    assert not reading.faults


@pytest.mark.parametrize(("name", "w"), CASES[::2])
def test_a_normaliser_in_single_precision_is_right_or_not_known(name: str, w: float) -> None:
    term, number = SHAPES[name]
    reading = er.read_loss(of_terms(term, w, torch.float32), event=(8, 8), latents=4)
    assert reading.family == "location" or (reading.family, reading.missing) == ("unknown", None)
    assert reading.missing is None or reading.missing == pytest.approx(64 * log_z(number, w), abs=0.2)
    assert name not in ("|d| + d²", "|d|^1.5", "smooth L1") or reading.family == "location"


def test_constants_of_a_density_of_the_difference_leave_nothing_missing() -> None:
    """Also where the loss is nearer to 0 at another difference than 0."""
    for scale in (1.0, 0.1, 1e-3):

        def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, scale: float = scale) -> Tensor:
            return -distributions.StudentT(4.0, recon, scale).log_prob(x).sum() + kl_of(mu, logvar).sum()

        reading = er.read_loss(loss, event=6, others={"scale": scale})
        assert reading.missing == pytest.approx(0.0, abs=0.01)
        assert reading.sigma == pytest.approx(scale * math.sqrt(2), rel=0.01)


def test_a_wide_density_has_its_normaliser_too() -> None:
    reading = er.read_loss(of_terms(SHAPES["log cosh"][0], 1e3), event=6)
    assert reading.missing == pytest.approx(6 * log_z(SHAPES["log cosh"][1], 1e3), abs=0.01)


@pytest.mark.parametrize("power", [0.4, 0.5])
def test_tails_of_which_no_normaliser_comes_are_no_density(power: float) -> None:
    reading = er.read_loss(of_terms(lambda d: power * torch.log1p(d**2), 1.0), event=6)
    assert (reading.family, reading.bound) == ("no density", False)
    assert "tails" in reading.says


# --- terms that mix the elements of the difference ------------------------------------------------------------------


def steps(d: Tensor) -> Tensor:
    return d.diff(dim=-1).flatten(1)


def blurred(d: Tensor) -> Tensor:
    return F.avg_pool2d(d, 3, 1, 1, count_include_pad=False).flatten(1)


FORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "differences of neighbours": lambda d: d.flatten(1).square().sum(1) + 0.5 * steps(d).square().sum(1),
    "a blur": lambda d: 3 * d.flatten(1).square().mean(1) + 40 * blurred(d).square().sum(1),
    "levels": lambda d: 0.2 * d.flatten(1).square().sum(1) + d.flatten(1).sum(1).square(),
}


def of_form(
    form: Callable[[Tensor], Tensor], w: float, counted: torch.dtype = torch.float64, over: str = "sum", c: float = 0.0
) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        each = form(recon.to(counted) - x.to(counted)) / 2 + w * kl_of(mu.to(counted), logvar.to(counted)) + c
        return each.sum() if over == "sum" else each.mean()

    return loss


@pytest.mark.parametrize(
    ("w", "over", "c", "counted"),
    [(1.0, "sum", 0.0, torch.float64), (0.03, "mean", 2.0, torch.float32), (1e-4, "sum", 0.0, torch.float64)],
)
@pytest.mark.parametrize("name", FORMS)
def test_a_quadratic_form_is_a_gaussian_of_correlated_elements(
    name: str, w: float, over: str, c: float, counted: torch.dtype
) -> None:
    event = (1, 4, 5)
    reading = er.read_loss(of_form(FORMS[name], w, counted, over, c), event=event, latents=3)
    a = torch.func.hessian(lambda d: FORMS[name](d.reshape(1, *event)).sum() / 2)(torch.zeros(20).double()) / w
    noise = distributions.MultivariateNormal(torch.zeros(20).double(), precision_matrix=a)
    assert (reading.family, reading.faults, reading.bound) == ("correlated Gaussian", (), True)
    assert reading.beta == pytest.approx(w, rel=1e-3)
    assert reading.sigma == pytest.approx(float(a.diagonal().mean() ** -0.5), rel=1e-3)
    assert "elements are correlated" in reading.says
    assert counted == torch.float32 or reading.missing is not None
    log_z = -float(noise.log_prob(torch.zeros(20).double()))
    assert reading.missing is None or reading.missing == pytest.approx(log_z - c / w, abs=0.01)


@pytest.mark.parametrize("counted", [torch.float64, torch.float32])
def test_a_large_form_is_not_known_to_rise_in_every_direction(counted: torch.dtype) -> None:
    """Distances of a few features rise in every direction that is drawn, and are no density of x."""
    features = torch.randn(144, 20, generator=torch.Generator().manual_seed(0)).double()
    for form in (FORMS["differences of neighbours"], lambda d: (d.flatten(1).double() @ features).square().sum(1)):
        reading = er.read_loss(of_form(form, 0.1, counted), event=(1, 12, 12))
        assert (reading.family, reading.missing, reading.bound) == ("correlated Gaussian", None, False)
        assert "if A rises in every direction, of which some were tried" in reading.says


SINGULAR: dict[str, Callable[[Tensor], Tensor]] = {
    "a level alone": lambda d: d.flatten(1).sum(1).square(),
    "blocks": lambda d: F.avg_pool2d(d, 2).flatten(1).square().sum(1),
    "a difference of squares": lambda d: d.flatten(1).square().sum(1) - 0.9 * d.flatten(1).sum(1).square(),
    "over examples": lambda d: d.flatten(1).square().sum(1) + d.mean(0).square().sum(),
}


@pytest.mark.parametrize(
    ("name", "event"),
    [*((name, (1, 4, 6)) for name in SINGULAR), ("blocks", (1, 12, 12)), ("a level alone", (1, 12, 12))],
)
def test_forms_that_do_not_rise_everywhere_or_mix_examples_are_no_density(name: str, event: tuple[int, ...]) -> None:
    reading = er.read_loss(of_form(SINGULAR[name], 1.0), event=event)
    assert (reading.family, reading.sigma, reading.bound) == ("no density", None, False)
    assert reading.faults


NORMS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "greatest": (lambda d: d.flatten(1).abs().amax(1).mean(), "a norm of the difference"),
    "absolute values and steps": (
        lambda d: (d.flatten(1).abs().sum(1) + 0.1 * steps(d).abs().sum(1)).sum(),
        "a norm of the difference",
    ),
    "fourth powers": (lambda d: (d.flatten(1) ** 4).sum(1).sqrt().sqrt().sum(), "a norm of the difference"),
    "root of an example": (lambda d: d.flatten(1).norm(dim=1).sum(), "take the sum of squares itself"),
    "root of the batch": (lambda d: d.square().mean().sqrt(), "take the sum of squares itself"),
}


@pytest.mark.parametrize(("name", "counted"), [*((name, torch.float64) for name in NORMS), ("greatest", torch.float32)])
def test_norms_are_said_to_be_norms_and_roots_to_be_roots(name: str, counted: torch.dtype) -> None:
    norm, words = NORMS[name]

    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return norm(recon.to(counted) - x.to(counted)) + kl_of(mu, logvar).sum()

    for event in ((1, 2, 2), (1, 8, 8)):
        reading = er.read_loss(loss, event=event)
        assert words in reading.says
        assert reading.family == ("no density" if "batch" in name else "unknown")
        assert (reading.sigma, reading.missing, reading.bound, bool(reading.faults)) == (None, None, False, True)
        assert "root" in reading.says if "root" in name else "root" not in reading.says


def test_a_form_of_masked_or_of_weighed_x_is_no_density() -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        return FORMS["differences of neighbours"]((recon - x) * (x > 0.3)).sum() + kl_of(mu, logvar).sum()

    assert er.read_loss(loss, event=(1, 4, 4)).family == "no density"


def test_steps_that_are_rounded_off_are_no_quadratic_form() -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        d = recon - x
        return d.square().sum() + (steps(d).square() + 1e-4).sqrt().sum() + kl_of(mu, logvar).sum()

    reading = er.read_loss(loss, event=(1, 4, 4))
    assert (reading.family, reading.bound) == ("no density", False)


@pytest.mark.parametrize("over", ["sum", "mean"])
def test_noise_that_a_loss_draws_leaves_a_density_of_the_difference_its_scale(over: str) -> None:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        z = mu + (logvar / 2).exp() * torch.randn_like(mu)
        kl = (z.square() - (z - mu).square() / logvar.exp() - logvar).sum(1) / 2
        each = SHAPES["log cosh"][0](recon - x).sum(1) + kl
        return each.sum() if over == "sum" else each.mean()

    reading = er.read_loss(loss, event=6)
    assert reading.sigma == pytest.approx(math.pi / 2, rel=0.1)
