"""From the two coefficients of a loss to the density that it stands for: 2σ²β = w, and what is missing."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import rounded

from .divergence import LOG_VARIANCES, Divergence, closed_kl
from .probe import Sizes
from .reconstruction import Reconstruction
from .scaling import Growth

__all__ = ["Standing", "per_example", "standing_of"]

_VARIANCE = 3.5  # power of the tails from which the variance inside the differences tried is the variance
_RESOLVED = 7  # differences inside a density from which its normaliser is had
_CLOSE = 1e-3  # nats per element: constants that are there are there to this


@dataclass(frozen=True)
class Standing:
    """What a loss stands for: the fields of `LossReading` that are numbers, and the sentence.

    Parameters
    ----------
    family : str
        As in `LossReading`.
    says : str
        As there.
    weight : float, optional
        As there.
    beta : float, optional
        As there.
    sigma : float, optional
        As there.
    missing : float, optional
        As there.
    """

    family: str
    says: str
    weight: float | None = None
    beta: float | None = None
    sigma: float | None = None
    missing: float | None = None


def per_example(coefficient: float, power: float, sizes: Sizes) -> float:
    """A coefficient of the loss as returned, as one of an example's: a mean over the batch is undone."""
    return coefficient * {0.0: 1.0, -1.0: float(sizes.batch)}.get(power, math.nan)


def standing_of(
    sizes: Sizes, found: Reconstruction, kl: Divergence, growth: Growth, at: tuple[float, float], level: float
) -> Standing:
    """What a loss stands for.

    Parameters
    ----------
    sizes : Sizes
        At which its coefficients were read.
    found : Reconstruction
        Its reconstruction's part.
    kl : Divergence
        Its latents' part.
    growth : Growth
        How both grow.
    at : tuple of float
        The reconstruction and the x, all over, at which its value is known, with mu = 0 and spread = 1.
    level : float
        Its value there.

    Returns
    -------
    Standing
        The density, its numbers, and the sentence.
    """
    if found.family in _NO_DENSITY:
        return Standing(_NAMES.get(found.family, found.family), _NO_DENSITY[found.family].format(words=found.words))
    words = found.called
    if kl.kind in _NO_KL or not kl.coefficient:
        return Standing(
            found.family, f"{words} {_NO_KL.get(kl.kind, _NO_KL['none'])}.", 0.0 if kl.kind == "none" else None
        )
    if unknown := _unknown_growth(growth):
        return Standing(found.family, f"{words} with a KL of a weight that is not known: {unknown}.")
    a = per_example(found.coefficient, growth.recon["batch"], sizes)
    b = per_example(kl.coefficient, growth.kl["batch"], sizes)
    if kl.kind == "capacity":
        return Standing(found.family, f"{words} with a KL by its distance from a number: no bound on log p(x).", b / a)
    constant = level - found.term(*(np.full((sizes.batch, *sizes.event), one) for one in at))
    variance = LOG_VARIANCES[kl.spread](np.array([1.0]))
    kl_there = kl.coefficient * closed_kl(np.array([0.0]), variance).item() * sizes.batch * sizes.dim
    constant = per_example((constant - kl_there) / sizes.batch, growth.recon["batch"], sizes)
    if found.each is not None:
        return _of_each(found, b, found.each[0] * a / found.coefficient, found.each[1] * a / found.coefficient)
    if found.shape is not None:
        return _of_location(found, a, b, constant, sizes)
    standing = _STANDINGS[found.family](found, a, b, constant, sizes)
    plain = kl.kind == "closed" and (not found.words or found.family == "Poisson")  # else no one constant is missing
    return standing if plain else replace(standing, missing=None, says=standing.says.split("\n")[0])


_NO_KL = {
    "other": "and no KL",
    "terms": "and no KL",
    "none": "without a KL: an autoencoder, and no density of x",
    "partly": "with what is a KL of small latents alone",
    "ceiling": "with a KL that is clamped from above",
    "batch ceiling": "with a KL that is clamped from above over the whole batch",
    "mixed": "with a KL of a weight that changes with the reconstruction",
    "hidden": "with a KL of a weight that is not known, as the rounding of the loss hides it",
}


def _unknown_growth(growth: Growth) -> str:
    """Why the loss of an example is not known from that of a batch; "" where it is."""
    for name, power in (("KL", growth.kl["batch"]), ("reconstruction", growth.recon["batch"])):
        if math.isnan(power):
            return f"how the {name} grows with the batch could not be read, as rounding hides it"
        if power not in (0.0, -1.0):
            return (
                f"the {name} grows as the batch to the power {_short(1 + power)}, so that its weight changes with the "
                f"batch size and means nothing alone"
            )
    return ""


_NAMES = {"none": "unknown", "root of squares": "no density"}
_NO_DENSITY = {
    "none": "It does not move with the reconstruction: no density of x.",
    "no density": "Its reconstruction term is the negative log of no density that factorises over elements: {words}; "
    "it holds no bound on log p(x), whatever the KL's weight.",
    "root of squares": "Its reconstruction term is the root of a sum of squares, the negative log of no independent "
    "noise: take the sum of squares itself.",
    "unknown": "Its reconstruction term adds over elements and is of no family known here: the density is not known.",
}


def _of_squares(found: Reconstruction, a: float, b: float, constant: float, sizes: Sizes) -> Standing:
    """Squares: the Gaussian that the loss writes out with its constants, else the one of β = 1."""
    w, d = b / a, sizes.elements
    words = found.called
    if a > 0:
        own = 1 / (2 * a)
        whole = 0.5 * math.log(2 * math.pi * own)
        for missing, said in ((0.0, "with all its constants"), (0.5 * math.log(2 * math.pi), "without the 2π")):
            written = constant / d
            if abs(written - (whole - missing)) < _CLOSE and (abs(own - 1) > 1e-9 or not missing):
                return Standing(
                    "Gaussian", _written(words, own, b, said, missing * d, sizes), w, b, math.sqrt(own), missing * d
                )
    if w <= 0:
        return Standing("Gaussian", f"{words} with a KL of weight {_short(w)}: no bound.", w)
    sigma = math.sqrt(w / 2)
    missing = d * 0.5 * math.log(2 * math.pi * sigma**2) - constant / b
    says = (
        f"{words} with a KL of weight {_short(w)} are a Gaussian of σ = {_short(sigma)}: the bound holds at that noise "
        f"and no "
        f"other (2σ²β = {_short(w)}, so that σ = 1 would be β = {_short(w / 2)}).\n"
    )
    return Standing("Gaussian", says + _lacks("D/2·log(2πσ²)", b, missing, sizes), w, w / 2, sigma, missing)


def _of_each(found: Reconstruction, b: float, low: float, high: float) -> Standing:
    """Elements of weights of their own: a density, and no one number for its scale."""
    weights = f"{found.called}, each element with a weight of its own, and a KL of a weight from {_short(b / high)} to "
    scale = {"Gaussian": lambda w: math.sqrt(w / 2), "Laplace": lambda w: w}.get(found.family)
    says = f"{weights}{_short(b / low)} beside them"
    if scale and b > 0:
        name = "Gaussians of σ" if found.family == "Gaussian" else "Laplaces of a scale"
        says += f" are {name} from {_short(scale(b / high))} to {_short(scale(b / low))}, each element its own"
    return Standing(found.family, f"{says}.")


def _written(words: str, own: float, b: float, said: str, missing: float, sizes: Sizes) -> str:
    sigma, beta = math.sqrt(own), _short(b)
    says = f"{words} {said} are a Gaussian of σ = {_short(sigma)} and a KL of weight β = {beta}"
    if abs(b - 1) > 1e-6:
        says += f": a bound at σ = {_short(sigma * math.sqrt(abs(b)))} alone, where β would be 1 (2σ²β is the same)"
    lacks = f"\nIt lacks D/2·log 2π = {rounded(missing)} nats per example (D = {sizes.elements})." if missing else ""
    return f"{says}.{lacks}"


def _lacks(formula: str, factor: float, missing: float, sizes: Sizes) -> str:
    divided = "" if abs(factor - 1) < 1e-9 else f", the loss divided by {_short(factor)}"
    return (
        f"To be −ELBO{divided or ' it'} lacks {formula} = {rounded(missing)} nats per example (D = {sizes.elements})."
    )


def _of_absolutes(found: Reconstruction, a: float, b: float, constant: float, sizes: Sizes) -> Standing:
    w = b / a
    words = found.called
    if w <= 0:
        return Standing("Laplace", f"{words} with a KL of weight {_short(w)}: no bound.", w)
    missing = sizes.elements * math.log(2 * w) - constant / b
    says = (
        f"{words} with a KL of weight {_short(w)} are a Laplace of scale {_short(w)}: the bound holds at that scale "
        f"and no "
        f"other.\n"
    )
    return Standing("Laplace", says + _lacks("D·log(2·scale)", b, missing, sizes), w, w, w, missing)


def _of_masses(found: Reconstruction, a: float, b: float, constant: float, sizes: Sizes) -> Standing:
    """A family without a scale: the KL's weight is β itself."""
    w, words = b / a, found.called
    held = "the negative ELBO" if abs(w - 1) < 1e-6 else "a β-VAE"
    loose = ", a looser bound than the ELBO" if w > 1 else " and no bound, which it is from β = 1 on"
    end = "" if abs(w - 1) < 1e-6 else f", β = {_short(w)}{loose}"
    x = {"Bernoulli": " of bits (where every x is 0 or 1)", "Poisson": " of counts"}.get(
        found.family, " of x in [0, 1]"
    )
    missing = -constant / a if found.family != "Poisson" else None
    says = f"{words} with a KL of weight {_short(w)} is {held}{x}{end}."
    if missing is not None and abs(missing) > 1e-6 * sizes.elements:
        says += f"\nIt lacks {rounded(missing)} nats per example."
    says += "\nIt lacks log x! of every count." if found.family == "Poisson" and not found.words else ""
    return Standing(found.family, says, w, w, None, missing)


def _of_location(found: Reconstruction, a: float, b: float, constant: float, sizes: Sizes) -> Standing:
    """A density of the difference of any shape: its normaliser by quadrature, if it has one."""
    from scipy.interpolate import make_interp_spline

    assert found.shape is not None
    d, term = found.shape[0], found.shape[1] * a
    logs = -term / b if b > 0 else np.full_like(term, np.nan)
    if not np.isfinite(logs).all() or (tail := _tail_power(d, logs)) <= 1:
        words = "its tails are too heavy for a density at this weight of the KL"
        return Standing("no density", _NO_DENSITY["no density"].format(words=words))
    if (logs > logs.max() - 2).sum() < _RESOLVED:
        words = f"where these are as small as the KL's weight {_short(b / a)} makes its noise, they were not told apart"
        return Standing("unknown", f"{found.called} of another shape than squares or absolute values; {words}.")
    fine = np.linspace(0, len(d) - 1, 40 * (len(d) - 1) + 1)
    d, logs = (make_interp_spline(np.arange(len(d)), one, k=3)(fine) for one in (d, logs))
    peak = logs.max()
    weights = np.exp(logs - peak)
    beyond = (weights[0] + weights[-1]) * d[-1] / (tail - 1)  # what a power's tail holds outside
    whole = float(np.trapezoid(weights, d) + beyond)
    log_z = peak + math.log(whole)
    sigma = math.sqrt(float(np.trapezoid(weights * d**2, d)) / whole) if tail > _VARIANCE else None
    spread = f"standard deviation {_short(sigma)}" if sigma is not None else "infinite variance"
    missing = float(sizes.elements * log_z - constant / b)
    says = (
        f"Terms of {found.of} of another shape than squares or absolute values, with a KL of weight {_short(b)}, are a "
        f"density "
        f"of its own, of {spread}: the bound holds at that scale and no other.\n"
    )
    return Standing("location", says + _lacks("D·log Z", b, missing, sizes), None, None, sigma, missing)


def _tail_power(d: NDArray[np.float64], logs: NDArray[np.float64]) -> float:
    """The power with which a density falls at both ends of the differences that were tried, the lesser of the two."""
    half = int(np.searchsorted(d, d[-1] / 2))
    falls = (logs[half] - logs[-1], logs[len(d) - 1 - half] - logs[0])
    return float(min(falls)) / math.log(d[-1] / d[half])


def _short(value: float) -> str:
    return f"{value:.3g}".replace("-", "−") if value < 0 else f"{value:.3g}"


_STANDINGS: dict[str, Callable[..., Standing]] = {
    "Gaussian": _of_squares,
    "Laplace": _of_absolutes,
    "Bernoulli": _of_masses,
    "continuous Bernoulli": _of_masses,
    "Poisson": _of_masses,
}
