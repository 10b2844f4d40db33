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


@pytest.mark.parametrize("w", WIDTHS)
@pytest.mark.parametrize("name", SHAPES)
def test_a_normaliser_is_that_of_the_density_however_narrow(name: str, w: float) -> None:
    term, number = SHAPES[name]
    over = "mean" if w in WIDTHS[::2] else "sum"
    reading = er.read_loss(of_terms(term, w, over=over), event=(8, 8), latents=4)
    if name == "insensitive" and w < 1e-2:  # a corner with walls as steep as no other shape's
        assert (reading.family, reading.missing) == ("unknown", None)
        return
    assert reading.family == "location"
    assert reading.missing == pytest.approx(64 * log_z(number, w), abs=0.064)
    assert not reading.faults


@pytest.mark.parametrize("w", WIDTHS)
@pytest.mark.parametrize("name", SHAPES)
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
