"""Whether a shape that was found on a grid foretells the loss at the user's x, at bits, and where masks look."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .divergence import Divergence
from .probe import Probe
from .reconstruction import OF_DIFFERENCES, Reconstruction, of_bits
from .standing import Standing

__all__ = ["held_apart", "held_at", "held_near"]

Array = NDArray[np.float64]
_AT = (0.0, 1.0)  # mu and spread while the reconstruction moves
_RECON = (0.15, 0.27, 0.62, 0.88)
_REALS = (-1.0, -0.3, 0.0, 0.05, 0.5, 0.97, 1.0)
_VALUES = {
    "Gaussian": _REALS,
    "Laplace": _REALS,
    "location": _REALS,
    "correlated Gaussian": _REALS,
    "continuous Bernoulli": (0.0, 0.05, 0.5, 0.97, 1.0),
    "Poisson": (0.0, 1.0, 2.0, 3.0, 10.0, 50.0),
    "Bernoulli": (0.0, 1.0),
}
_MOST, _LENIENT = 24, 30.0  # values of the user's x that are tried; beside the tolerance of a grid
_CENTRE = 0.4  # an x at which a density of the difference was read
_ALONE = "a term of x alone is in it, which moves its value and no gradient"


def held_at(probe: Probe, found: Reconstruction, x: Array | None) -> Reconstruction:
    """Foretell the loss at values and rows of x, and take nothing for a density that fails there.

    Parameters
    ----------
    probe : Probe
        The loss.
    found : Reconstruction
        What its reconstruction's part is on a grid.
    x : array or None
        The user's examples.

    Returns
    -------
    Reconstruction
        The same, perhaps with words; or no density, with the x at which it fails.
    """
    if found.family not in _VALUES or found.of == "its own link":
        return found
    usual = [value for value in _usual(found) if math.isfinite(probe.at(_RECON[0], value, *_AT))]
    own = usual if x is None else _own(found, x, usual)
    failing = [value for value in own if not _foretold(probe, found, value)]
    if failing:
        return _refused(probe, found, own, failing, x)
    if x is not None and not _of_rows(probe, found, x):
        return Reconstruction("no density", "", 0.0, "at rows of these x its elements' terms depend on other elements")
    return _with_words(probe, found, [value for value in usual if not _foretold(probe, found, value)], own)


def _usual(found: Reconstruction) -> tuple[float, ...]:
    return (-1.0, 1.0) if "[−1, 1]" in found.of else _VALUES[found.family]


def _own(found: Reconstruction, x: Array, usual: list[float]) -> list[float]:
    """Values that the user's x have, and between them where the density is one of reals."""
    if found.family == "Bernoulli":  # of bits, whatever these are
        return usual
    known = np.unique(x[np.isfinite(x)])
    few = known if len(known) <= _MOST else np.quantile(x[np.isfinite(x)], np.linspace(0, 1, _MOST))
    between = np.linspace(known[0], known[-1], 7)[1:-1]
    return sorted({float(value) for value in (*few, *(between if _VALUES[found.family] is _REALS else ()))})


def _foretold(probe: Probe, found: Reconstruction, value: float) -> bool:
    """Whether the loss moves with the reconstruction as the shape does, where x is one value all over."""
    full = np.ones((probe.sizes.batch, *probe.sizes.event))
    return _agrees(probe, found, [(r * full, value * full) for r in _RECON])


def _agrees(probe: Probe, found: Reconstruction, fields: list[tuple[Array, Array]]) -> bool:
    actual = np.array([probe.at(r, x, *_AT) for r, x in fields])
    said = np.array([_said(probe, found, r, x) for r, x in fields])
    error = float(np.ptp(actual - said))
    return bool(probe.close(error / _LENIENT, float(np.ptp(said)), float(np.abs(actual).max())))


def _said(probe: Probe, found: Reconstruction, recon: Array, x: Array) -> float:
    """What the shape says of the loss; one of the difference is what the loss is of the same ones at another x."""
    return probe.at(recon - x + _CENTRE, _CENTRE, *_AT) if found.family in OF_DIFFERENCES else found.term(recon, x)


def _of_rows(probe: Probe, found: Reconstruction, x: Array) -> bool:
    """Whether it foretells random reconstructions of the user's rows."""
    rows = x[np.isfinite(x).reshape(len(x), -1).all(1)]
    grey = found.family.endswith("Bernoulli") and (not len(rows) or rows.min() < 0 or rows.max() > 1)
    if grey or not len(rows) or found.each is not None:
        return True
    generator = np.random.default_rng(0)
    for _ in range(3):
        some = rows[generator.integers(0, len(rows), probe.sizes.batch)]
        recons = generator.uniform(_RECON[0], _RECON[-1], (3, *some.shape))
        if not _agrees(probe, found, [(recon, some) for recon in recons]):
            return False
    return True


def _refused(
    probe: Probe, found: Reconstruction, tried: list[float], failing: list[float], x: Array | None
) -> Reconstruction:
    kept = [value for value in tried if value not in failing]
    where = f"at x = {_listed(kept)} and not " if kept else "on a grid and not "
    part = 0.0 if x is None else _share(x, failing, kept)
    share = f" ({part:.0%} of these x)" if part else ""
    words = f"it is {found.called[:1].lower()}{found.called[1:]} {where}at x = {_listed(failing)}{share}"
    words = f"{words}, as with a mask, a weight that depends on x, or x in the place of recon"
    if found.family == "Poisson":  # of which zero-inflated counts have a density too
        return Reconstruction("unknown", "", 0.0, words)
    if found.family != "Bernoulli":
        return Reconstruction("no density", "", 0.0, words)
    bits = of_bits(probe)
    return replace(bits, words=f"{words}; {bits.words}") if bits.family == "no density" else bits


def _listed(values: list[float]) -> str:
    said = [f"{value:.3g}".replace("-", "−") for value in values]
    return ", ".join(said) if len(said) <= 4 else f"{said[0]} … {said[-1]}"


def _share(x: Array, failing: list[float], kept: list[float]) -> float:
    """The share of x that lies nearer to a value that fails than to one that holds."""
    flat = x[np.isfinite(x)][:100_000, None]
    off = np.abs(flat - np.array(failing)).min(1)
    return float((off < np.abs(flat - np.array(kept)).min(1)).mean()) if kept else 1.0


def _with_words(probe: Probe, found: Reconstruction, outside: list[float], own: list[float]) -> Reconstruction:
    if outside:
        where = f"it holds at these x and not at x = {_listed(outside)}, which none of them is"
        return replace(found, words=f"{found.words}; {where}" if found.words else where)
    alone = found.family != "Poisson" and not found.words and not _level(probe, found, [*own, _CENTRE])
    return replace(found, words=_ALONE) if alone else found


def held_near(probe: Probe, found: Reconstruction, standing: Standing) -> Standing:
    """What a loss stands for, if its shape is the same at differences as small as the scale of its density.

    Parameters
    ----------
    probe : Probe
        The loss.
    found : Reconstruction
        Its reconstruction's part.
    standing : Standing
        What it stands for.

    Returns
    -------
    Standing
        The same, or one without numbers.
    """
    if found.family not in ("Gaussian", "Laplace") or found.of != "x − recon" or not standing.sigma:
        return standing
    full = np.zeros((probe.sizes.batch, *probe.sizes.event))
    fields = [(full + times * standing.sigma, full) for times in (0.1, 0.5, 1.0, 3.0)]
    if not math.isfinite(probe.at(*fields[-1], *_AT)) or _agrees(probe, found, fields):
        return standing
    small = f"not of differences as small as the scale {standing.sigma:.3g} that it would have"
    return Standing("unknown", f"{found.called} where these are large, and {small}: the density is not known.")


def _level(probe: Probe, found: Reconstruction, values: list[float]) -> bool:
    """Whether, beside the shape's, the loss has one constant for every x."""
    full = np.ones((probe.sizes.batch, *probe.sizes.event))
    fields = [(_RECON[1] * full, value * full) for value in values]
    actual = np.array([probe.at(*one, *_AT) for one in fields])
    over = actual - np.array([_said(probe, found, *one) for one in fields])
    moved = probe.sizes.batch * probe.sizes.elements * abs(found.coefficient)
    known = over[np.isfinite(over)]
    return bool(probe.close(float(np.ptp(known)) / _LENIENT, moved, float(np.abs(actual[np.isfinite(over)]).max())))


def held_apart(probe: Probe, kl: Divergence, at: tuple[float, float]) -> Divergence:
    """The latents' part, if it is the same beside any reconstruction.

    Parameters
    ----------
    probe : Probe
        The loss.
    kl : Divergence
        Its latents' part, as it was read at one reconstruction.
    at : tuple of float
        That reconstruction, and its x.

    Returns
    -------
    Divergence
        The same, or one of the kind "mixed".
    """
    if kl.kind == "hidden":
        return kl
    generator = np.random.default_rng(5)
    wide, deep = ((probe.sizes.batch, *shape) for shape in (probe.sizes.event, probe.sizes.latents))
    latents = generator.normal(size=deep), generator.uniform(0.4, 1.4, deep)
    other = generator.uniform(0.2, 0.8, wide), generator.choice((0.0, 1.0), wide)
    both = np.array([[probe.at(*place, *here) for here in (_AT, latents)] for place in (at, other)])
    here, there = map(float, both[:, 1] - both[:, 0])
    same = probe.close(abs(there - here) / _LENIENT, abs(here), float(np.abs(both).max()))
    return kl if same or not np.isfinite(both).all() else replace(kl, kind="mixed")
