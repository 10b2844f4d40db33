"""A density of the difference x − recon of a shape of its own: whether a loss is of one, and what normalises it."""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .probe import Probe

__all__ = ["Normaliser", "is_location", "normaliser"]

Array = NDArray[np.floating[Any]]
_AT = (0.0, 1.0)  # mu and spread while the reconstruction moves
_PLACES = 48  # elements that are changed one by one
_NEAREST, _USUAL, _FARTHEST = 1e-18, 60.0, 1e8  # differences that are tried, and that every shape is to reach
_STEP, _HALVINGS = 0.5, 5  # between the logarithms of differences at first; how often it is halved
_BEFORE, _BEYOND = 12.0, 25.0  # nats below its peak from which an integrand is nothing, on the left and on the right
_TAIL = 6  # steps over which the power of a tail is measured
_BENDS = 0.02  # share by which a power may change from one such stretch to the next
_VARIANCE = 3.05  # power of the tails from which there is a variance
_SETTLED, _KNOWN = 1e-5, 3e-4  # nats per element that halving a step may change
_LOST = 1e-3  # nats per element that rounding may take
_ROUGH = 0.01  # nats per element of fourth differences, on average, that rounding leaves and smooth shapes do not


@dataclass(frozen=True)
class Normaliser:
    """What normalises a density of the difference.

    Parameters
    ----------
    log_z : float
        Per element, in nats; NaN where there is none, or where it is not known.
    deviation : float, optional
        The root of its mean square, where that is finite.
    heavy : bool
        Whether the tails are too heavy for a density.
    words : str
        Why it is not known.
    """

    log_z: float = math.nan
    deviation: float | None = None
    heavy: bool = False
    words: str = ""


def is_location(probe: Probe) -> bool:
    """Whether a loss is of the difference alone, in the same way for every element (Huber, Charbonnier, Student).

    Parameters
    ----------
    probe : Probe
        A loss whose terms add over elements.

    Returns
    -------
    bool
        Whether it is.
    """
    if not math.isfinite(probe.at(-_USUAL, 0.0, *_AT) + probe.at(_USUAL, 0.0, *_AT)):
        return False
    shifted = [probe.at(r - 1.1, r, *_AT) for r in (0.0, 0.4, 0.7)]
    if np.ptp(shifted) > 1e-6 * abs(shifted[0] - probe.at(0.0, 0.0, *_AT)):
        return False
    d = 1e-3 * np.sinh(np.linspace(-1, 1, 17) * math.asinh(_USUAL / 1e-3))
    values, moved = (np.array([probe.at(x - one, x, *_AT) for one in d]) for x in (0.0, 0.4))
    if not np.isfinite(values).all() or np.abs(values - moved).max() > probe.tolerance * 10 * np.ptp(values):
        return False
    return _alike(probe)


def _alike(probe: Probe) -> bool:
    """Whether single elements weigh the same in a density of the difference."""
    start, found = probe.at(0.4, 0.4, *_AT), []
    for place in np.random.default_rng(3).permutation(probe.sizes.elements)[:_PLACES]:
        recon = np.full((probe.sizes.batch, probe.sizes.elements), 0.4)
        recon[:, place] += 0.7
        found.append(probe.at(recon.reshape(probe.sizes.batch, *probe.sizes.event), 0.4, *_AT) - start)
    return probe.close(float(np.ptp(found)) / 30, max(map(abs, found)), abs(start))


def normaliser(probe: Probe, factor: float) -> Normaliser:
    """Integrate exp(−term) over all differences, at steps of their logarithm that follow the density.

    Parameters
    ----------
    probe : Probe
        A loss that is of the difference alone.
    factor : float
        From the loss as returned, summed over its batch, to nats of one example.

    Returns
    -------
    Normaliser
        Of one element.
    """
    with _one_seed(probe):
        density = _Density(probe, factor / probe.sizes.batch / probe.sizes.elements)
        if not abs(probe.rounding * density.start * density.scale) < _LOST:
            return Normaliser(words="rounding of the loss hides their shape there")
        u = density.reach()
        if u is None:
            return Normaliser(words="they are not finite at all differences")
        tail = _Tail.of(density, u)
        if tail.words or tail.power <= 1:
            return Normaliser(heavy=not tail.words, words=tail.words)
        return _integrated(density, u, tail)


@contextlib.contextmanager
def _one_seed(probe: Probe) -> Iterator[None]:
    """Noise of the loss's own is the same at every difference, and cancels."""
    seeds, probe.seeds = probe.seeds, 1
    try:
        yield
    finally:
        probe.seeds = seeds


class _Density:
    """The log of a density, relative to that at no difference, at both signs of differences exp(u)."""

    def __init__(self, probe: Probe, scale: float) -> None:
        self.probe, self.scale, self.known = probe, scale, dict[float, tuple[float, float]]()
        self.start = probe.at(0.0, 0.0, *_AT)

    def __call__(self, u: Array) -> Array:
        for one in map(float, u):
            if one not in self.known:
                both = [self.probe.at(-sign * math.exp(one), 0.0, *_AT) for sign in (-1.0, 1.0)]
                self.known[one] = (both[0] - self.start, both[1] - self.start)
        return -self.scale * np.array([self.known[float(one)] for one in u]).T

    def reach(self) -> Array | None:
        """Logarithms of differences, from the least that are tried to where nothing is left of the density."""
        low, usual, high = (round(math.log(one) / _STEP) for one in (_NEAREST, _USUAL, _FARTHEST))
        u = _STEP * np.arange(low, usual + 1)
        logs = self(u)
        if not np.isfinite(logs).all():
            return None
        peak = (u + logs).max()
        for k in range(usual + 1, high + 1):
            last = self(np.array([_STEP * k]))
            if not np.isfinite(last).all() or (3 * u[-1] + self(u[-1:])).max() < peak - _BEYOND:
                break
            u = np.append(u, _STEP * k)
            peak = max(peak, (u[-1] + last).max())
        return u


@dataclass(frozen=True)
class _Tail:
    """The power with which a density falls at its ends, the lesser of the two; or why that is not known."""

    power: float
    words: str = ""

    @classmethod
    def of(cls, density: _Density, u: Array) -> "_Tail":
        logs = density(u[[-1 - 2 * _TAIL, -1 - _TAIL, -1]])
        before, last = -np.diff(logs).T / (_STEP * _TAIL)
        power, rises = float(last.min()), u[-1] + logs[:, -1].max() - (u + density(u)).max()
        bends = bool((np.abs(last - before) > _BENDS * np.abs(last))[last < 1 + _BEYOND].any())
        if bends and (rises > math.log(_LOST / 10) or power <= 1):
            return cls(power, "their tails were not followed to where a power of them is left")
        return cls(power)


def _integrated(density: _Density, u: Array, tail: _Tail) -> Normaliser:
    ends, peak = _ends(u, density(u))
    if _is_rough(density, peak):
        return Normaliser(words="they go in steps there, by rounding or by corners")
    found, step, moved = _sums(density, ends, _STEP, tail.power), _STEP, math.inf
    for _ in range(_HALVINGS):
        step, before = step / 2, found[0]
        found = _sums(density, ends, step, tail.power)
        moved = abs(found[0] - before)
        if moved < _SETTLED:
            break
    if not moved < _KNOWN:
        return Normaliser(words="differences as fine as were tried do not resolve it")
    if not _foretells(density, _between(ends, step)):
        return Normaliser(words="they do not add there")
    return Normaliser(found[0], found[1] if tail.power > _VARIANCE else None)


def _ends(u: Array, logs: Array) -> tuple[tuple[float, float], float]:
    """Where nothing is left of the density before, and of its variance beyond; and where most of the density is."""
    rises, third = (u + logs).max(0), (3 * u + logs).max(0)
    first = max(0, int(np.argmax(rises > rises.max() - _BEFORE)) - 1)
    last = len(u) - int(np.argmax(third[::-1] > third.max() - _BEYOND))
    return (float(u[first]), float(u[min(last, len(u) - 1)])), float(u[np.argmax(rises)])


def _between(ends: tuple[float, float], step: float) -> Array:
    return step * np.arange(round(ends[0] / step), round(ends[1] / step) + 1)


def _sums(density: _Density, ends: tuple[float, float], step: float, power: float) -> tuple[float, float]:
    """Log Z and the root mean square, by a sum over u, with what a power of the difference leaves on either side."""
    u = _between(ends, step)
    logs = density(u)
    peak = float((u + logs).max())
    found = []
    for moment in (1, 3):
        terms = np.exp(np.maximum(moment * u + logs - peak, -700.0))
        inside = step * (terms.sum() - (terms[:, 0] + terms[:, -1]).sum() / 2)
        beyond = terms[:, -1].sum() / (power - moment) if power > moment else 0.0
        found.append(float(inside + terms[:, 0].sum() / moment + beyond))
    return peak + math.log(found[0]), math.sqrt(found[1] / found[0])


def _is_rough(density: _Density, peak: float) -> bool:
    """Whether steps of rounding stand out, about the difference where most of the density lies."""
    logs = density(peak + np.arange(-32, 33) / 32)
    return bool(np.abs(np.diff(logs, 4)).mean() / 8 > _ROUGH)


def _foretells(density: _Density, u: Array) -> bool:
    """Whether elements drawn from the density, each for itself, have the terms that they have all alike."""
    probe, logs = density.probe, density(u)
    weights = np.exp(u + logs - (u + logs).max())
    shape = (probe.sizes.batch, *probe.sizes.event)
    at = np.random.default_rng(4).choice(weights.size, shape, p=(weights / weights.sum()).ravel())
    recon = -np.multiply.outer([-1.0, 1.0], np.exp(u)).ravel()[at]
    said = -float(logs.ravel()[at].mean())
    found = density.scale * (probe.at(recon, 0.0, *_AT) - density.start)
    return abs(found - said) < 0.01 * abs(said) + _LOST
