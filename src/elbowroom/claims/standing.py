"""From the two coefficients of a loss to the density that it stands for: 2σ²β = w, and what is missing."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from elbowroom.numerics import rounded

from .divergence import LOG_VARIANCES, Divergence, closed_kl
from .forms import is_quadratic, read_form
from .location import normaliser
from .probe import Probe, Sizes
from .reconstruction import OF_DIFFERENCES, Reconstruction
from .scaling import Growth

__all__ = ["Standing", "per_example", "standing_of"]

_AT = (0.0, 1.0)  # mu and spread at which its constant is asked for
_SAME = (0.5, 0.5)  # a reconstruction and an x of no difference
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
    probe: Probe, found: Reconstruction, kl: Divergence, growth: Growth, at: tuple[float, float]
) -> Standing:
    """What a loss stands for.

    Parameters
    ----------
    probe : Probe
        The loss.
    found : Reconstruction
        Its reconstruction's part.
    kl : Divergence
        Its latents' part.
    growth : Growth
        How both grow.
    at : tuple of float
        The reconstruction and the x, all over, at which it is asked for its constant.

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
    of_differences = found.family in OF_DIFFERENCES
    a = per_example(1.0 if of_differences else found.coefficient, growth.recon["batch"], probe.sizes)
    b = per_example(kl.coefficient, growth.kl["batch"], probe.sizes)
    if kl.kind == "capacity":
        says = f"{words} with a KL by its distance from a number: no bound on log p(x)."
        return Standing(found.family, says, None if of_differences else b / a)
    if found.each is not None:
        return _of_each(found, b, found.each[0] * a / found.coefficient, found.each[1] * a / found.coefficient)
    constant = _constant(probe, found, kl, growth, _SAME if of_differences else at)
    if of_differences:
        read = _of_location if found.family == "location" else _of_form
        standing = read(found, probe, a, b, constant)
    else:
        standing = _STANDINGS[found.family](found, a, b, constant, probe.sizes)
    plain = kl.kind == "closed" and (not found.words or found.family == "Poisson")  # else no one constant is missing
    return standing if plain else replace(standing, missing=None, says=standing.says.split("\n")[0])


def _constant(probe: Probe, found: Reconstruction, kl: Divergence, growth: Growth, at: tuple[float, float]) -> float:
    """What the loss of an example holds beside its term and its KL."""
    sizes, level = probe.sizes, probe.at(*at, *_AT)
    constant = level - found.term(*(np.full((sizes.batch, *sizes.event), one) for one in at))
    variance = LOG_VARIANCES[kl.spread](np.array([_AT[1]]))
    kl_there = kl.coefficient * closed_kl(np.array([_AT[0]]), variance).item() * sizes.batch * sizes.dim
    return per_example((constant - kl_there) / sizes.batch, growth.recon["batch"], sizes)


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


_NAMES = {"none": "unknown", "norm": "unknown", "root of squares": "unknown", "root of all squares": "no density"}
_NO_DENSITY = {
    "none": "It does not move with the reconstruction: no density of x.",
    "no density": "Its reconstruction term is the negative log of no density that factorises over elements: {words}; "
    "it holds no bound on log p(x), whatever the KL's weight.",
    "norm": "Its reconstruction term is a norm of the difference that mixes elements: the negative log of a density, "
    "perhaps, but of no independent noise and with a normaliser that is not known, so that no ELBO comes of it.",
    "root of squares": "Its reconstruction term is the root of an example's sum of squares: the negative log of a "
    "density, perhaps, but of no independent noise; take the sum of squares itself.",
    "root of all squares": "Its reconstruction term is the root of a sum of squares over the batch, the negative log "
    "of no independent noise: take the sum of squares itself.",
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


def _of_location(found: Reconstruction, probe: Probe, a: float, b: float, constant: float) -> Standing:
    """A density of the difference of any shape: its normaliser by quadrature, if it has one."""
    words, d = f"Terms of {found.of} of another shape than squares or absolute values", probe.sizes.elements
    if b <= 0:
        return Standing("location", f"{words}, with a KL of weight {_short(b)}: no bound.")
    z = normaliser(probe, a / b)
    if z.heavy:
        heavy = "its tails are too heavy for a density at this weight of the KL"
        return Standing("no density", _NO_DENSITY["no density"].format(words=heavy))
    hidden = probe.rounding * abs(constant) / b > _CLOSE * d
    if z.words or hidden:
        why = z.words or "rounding of the loss hides its constant"
        return Standing("unknown", f"{words}; where a KL of weight {_short(b)} makes their noise, {why}.")
    spread = "infinite variance" if z.deviation is None else f"standard deviation {_short(z.deviation)}"
    missing = d * z.log_z - constant / b
    says = (
        f"{words}, with a KL of weight {_short(b)}, are a density of its own, of {spread}: the bound holds at that "
        f"scale and no other.\n"
    )
    return Standing("location", says + _lacks("D·log Z", b, missing, probe.sizes), None, None, z.deviation, missing)


def _of_form(found: Reconstruction, probe: Probe, a: float, b: float, constant: float) -> Standing:
    """A quadratic form of the difference: a Gaussian of correlated elements, if it rises in every direction."""
    words, d = found.called, probe.sizes.elements
    if b <= 0:
        return Standing("correlated Gaussian", f"{words}, with a KL of weight {_short(b)}: no bound.")
    form = read_form(probe, a / b)
    if not form.positive:
        still = "it is a quadratic form of the difference that does not rise along some differences"
        return Standing("no density", _NO_DENSITY["no density"].format(words=still))
    shape = (probe.sizes.batch, *probe.sizes.event)
    if not is_quadratic(probe, np.random.default_rng(9).normal(size=shape) * form.deviation):
        return Standing("unknown", f"{words}, and none at the scale {_short(form.deviation)} that it would have.")
    says = (
        f"{words}, ½ (x − recon)ᵀA(x − recon), with a KL of weight {_short(b)}, is a Gaussian whose elements are "
        f"correlated, of covariance {'' if abs(b - 1) < 1e-6 else f'{_short(b)} · '}A⁻¹ (standard deviation "
        f"{_short(form.deviation)} of an element, were the others known): the bound holds at that noise and no other.\n"
    )
    formula, missing = (
        "D/2·log 2π − ½ log det A" if abs(b - 1) < 1e-6 else f"D/2·log(2π·{_short(b)}) − ½ log det A",
        None,
    )
    if not form.whole:
        tried = "if A rises in every direction, of which some were tried: else it is no density."
        return Standing("correlated Gaussian", says.removesuffix(".\n") + f", {tried}")
    if form.log_det is None or probe.rounding * abs(constant) / b > _CLOSE * d:
        says += f"To be −ELBO it lacks {formula} nats per example (D = {d}), of which log det A is not known here."
    else:
        missing = d / 2 * math.log(2 * math.pi) - form.log_det / 2 - constant / b
        says += _lacks(formula, b, missing, probe.sizes)
    return Standing("correlated Gaussian", says, None, b, form.deviation, missing)


def _short(value: float) -> str:
    return f"{value:.3g}".replace("-", "−") if value < 0 else f"{value:.3g}"


_STANDINGS: dict[str, Callable[..., Standing]] = {
    "Gaussian": _of_squares,
    "Laplace": _of_absolutes,
    "Bernoulli": _of_masses,
    "continuous Bernoulli": _of_masses,
    "Poisson": _of_masses,
}
