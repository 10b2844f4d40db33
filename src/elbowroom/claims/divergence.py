"""The part of a loss that moves with mu and the spread: is it the closed KL, of which Gaussian, and how often?"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .probe import Probe

__all__ = ["Divergence", "closed_kl", "read_divergence"]

Array = NDArray[np.float64]
_MEANS = (-1.5, -0.5, 0.0, 0.7, 2.0)
_FAR = 1e3  # at which a KL is seen that rounding hides at usual means
_CLAMPED = 30.0  # at which most clamps of a mean, or of a KL, have ended it
_POSITIVE = (0.25, 0.6, 1.0, 1.5)
_REAL = (-2.0, -1.0, -0.3, *_POSITIVE)


def _softplus(s: Array) -> Array:
    return np.logaddexp(0, s)


LOG_VARIANCES: dict[str, Callable[[Array], Array]] = {
    "log-variance": lambda s: s,
    "log-std": lambda s: 2 * s,
    "variance": np.log,
    "std": lambda s: 2 * np.log(np.abs(s)),  # of which some square it
    "softplus to a standard deviation": lambda s: 2 * np.log(_softplus(s)),
    "softplus to a variance": lambda s: np.log(_softplus(s)),
    "softplus to a log standard deviation": lambda s: 2 * _softplus(s),
    "softplus to a log-variance": _softplus,
    "log-precision": lambda s: -s,
}
"""From the second output of an encoder to the log-variance, by what that output may be taken for."""
_OTHERS: dict[str, Callable[[Array], Array]] = {
    "exp(logvar / 2)": lambda s: np.exp(s / 2),
    "exp(2 logvar)": lambda s: np.exp(2 * s),
    "logvar²": lambda s: s**2,
}


def closed_kl(mu: Array, log_variance: Array) -> Array:
    """KL(N(mu, exp(log_variance)) ‖ N(0, 1)) of each dimension, in nats."""
    return 0.5 * (mu**2 + np.exp(log_variance) - 1 - log_variance)


@dataclass(frozen=True)
class Divergence:
    """What the latents' part of a loss is.

    Parameters
    ----------
    kind : str
        "closed" (the KL), "none" (it does not move), "floor" (the KL, no less than a number), "ceiling" (no more),
        "batch ceiling" (no more, summed over the batch), "partly" (the KL of latents that are alike and small),
        "capacity" (its distance from a number), "terms" (its terms with other coefficients), "hidden" (less than the
        rounding of the loss), "mixed" (not the same beside every reconstruction) or "other".
    spread : str
        What the second output of the encoder is taken for, in the words of `LOG_VARIANCES`; "" where that is not known.
    coefficient : float
        Of one dimension's KL in the loss as returned.
    at : float
        Of a floor, a ceiling or a capacity, the KL of all examples there, in nats.
    terms : dict of str to float, optional
        Of other terms: their coefficients, in halves of the loss's unit.
    """

    kind: str
    spread: str
    coefficient: float
    at: float = 0.0
    terms: dict[str, float] | None = None


def read_divergence(probe: Probe, recon: float, x: float, said: str | None) -> Divergence:
    """Find what the latents' part of a loss is, from its values where all latents are alike, and on random ones.

    Parameters
    ----------
    probe : Probe
        The loss.
    recon : float
        A reconstruction at which it is finite.
    x : float
        An x at which it is.
    said : str or None
        What the spread is by its name, which is tried first.

    Returns
    -------
    Divergence
        What it is.
    """
    spreads, values = _on_grid(probe, recon, x)
    count = probe.sizes.batch * probe.sizes.dim
    moved, level = float(np.ptp(values)), float(np.abs(values).max())
    if not probe.readable(moved, level):
        return _still(probe, recon, x, spreads, moved)
    names = sorted(LOG_VARIANCES, key=lambda name: name != said)
    for kind in (_closed,) if probe.seeds > 1 else (_closed, _bent):
        for name in names:
            found = kind(name, values, spreads, count, probe)
            if found is not None and _foretells(probe, found, recon, x, spreads):
                return found
            if found is not None and found.kind == "closed" and name == (said or names[0]):
                return _bounded(probe, found, recon, x)
    terms = None if probe.seeds > 1 else _terms(values, spreads, count, probe)
    return terms or Divergence("other", "", 0.0)


def _still(probe: Probe, recon: float, x: float, spreads: Array, moved: float) -> Divergence:
    """A loss that does not move where all latents are alike: nor elsewhere, or it is lost in the rounding?"""
    near, far = probe.at(recon, x, 0.0, 1.0), probe.at(recon, x, _FAR, 1.0)
    if moved or far != near:
        return Divergence("hidden", "", 0.0)
    random = _on_random(probe, recon, x, spreads)
    return Divergence("none" if np.ptp(random) <= 1e-9 * abs(near) else "other", "", 0.0)


def _on_grid(probe: Probe, recon: float, x: float) -> tuple[Array, Array]:
    """Spreads for which the loss is finite, and its values [means, spreads]."""
    for spreads in (_REAL, _POSITIVE):
        values = np.array([[probe.at(recon, x, m, s) for s in spreads] for m in _MEANS])
        if np.isfinite(values).all():
            return np.array(spreads), values
    return np.array(_POSITIVE), np.zeros((len(_MEANS), len(_POSITIVE)))


def _kl_on_grid(name: str, spreads: Array) -> Array:
    with np.errstate(all="ignore"):
        log_variance = LOG_VARIANCES[name](spreads)
    return closed_kl(np.array(_MEANS)[:, None], log_variance[None, :])


def _closed(name: str, values: Array, spreads: Array, count: int, probe: Probe) -> Divergence | None:
    """The KL times a number."""
    kl = _kl_on_grid(name, spreads)
    if not np.isfinite(kl).all():
        return None
    slope, _, error = _line(kl.ravel(), values.ravel())
    return (
        Divergence("closed", name, slope / count)
        if probe.close(error, float(np.ptp(values)), float(np.abs(values).max()))
        else None
    )


def _line(t: Array, values: Array) -> tuple[float, float, float]:
    """Slope, intercept and largest error of the best line."""
    design = np.stack([t, np.ones_like(t)], 1)
    found = np.linalg.lstsq(design, values, rcond=None)[0]
    return float(found[0]), float(found[1]), float(np.abs(design @ found - values).max())


def _bent(name: str, values: Array, spreads: Array, count: int, probe: Probe) -> Divergence | None:
    """The KL with a floor, a ceiling, or as a distance from a capacity: a line that bends once."""
    t = _kl_on_grid(name, spreads).ravel()
    if not np.isfinite(t).all():
        return None
    order = np.argsort(t)
    t, y = t[order], values.ravel()[order]
    close = probe.tolerance * np.ptp(values)
    for bend in range(3, len(t) - 3):
        (low, a, error), (high, b, other) = _line(t[:bend], y[:bend]), _line(t[bend:], y[bend:])
        if max(error, other) > close or abs(high - low) < 1e-6 * (abs(high) + abs(low)):
            continue
        kind = "floor" if abs(low) < 1e-6 * abs(high) else "ceiling" if abs(high) < 1e-6 * abs(low) else "capacity"
        return Divergence(
            kind, name, (high or low) / count if kind != "ceiling" else low / count, (a - b) / (high - low)
        )
    return None


def _on_random(probe: Probe, recon: float, x: float, spreads: Array) -> Array:
    return np.array([probe.at(recon, x, *_latents(probe, spreads, seed)) for seed in range(3)])


def _latents(probe: Probe, spreads: Array, seed: int) -> tuple[Array, Array]:
    generator = np.random.default_rng(seed)
    shape = (probe.sizes.batch, *probe.sizes.latents)
    return (0.4 + seed) * generator.normal(size=shape), generator.uniform(spreads.min(), spreads.max(), shape)


def _foretells(probe: Probe, found: Divergence, recon: float, x: float, spreads: Array) -> bool:
    """Whether the loss of random latents changes as the KL does; of one that bends, no more is asked."""
    if found.kind != "closed":
        return True
    if probe.seeds == 1 and not _reaches(probe, found, recon, x):
        return False
    actual = _on_random(probe, recon, x, spreads)
    foretold = []
    for seed in range(3):
        mu, spread = _latents(probe, spreads, seed)
        foretold.append(found.coefficient * closed_kl(mu, LOG_VARIANCES[found.spread](spread)).sum())
    errors = np.abs((actual - actual[0]) - (np.array(foretold) - foretold[0]))
    return probe.close(float(errors.max()) / 30, float(np.ptp(foretold)), float(np.abs(actual).max()))


def _reaches(probe: Probe, found: Divergence, recon: float, x: float) -> bool:
    """Whether it is the same at means far from 0, where a clamp ends it."""
    whole = found.coefficient * probe.sizes.batch * probe.sizes.dim * _CLAMPED**2 / 2
    moved = probe.at(recon, x, _CLAMPED, 1.0) - probe.at(recon, x, 0.0, 1.0)
    return math.isclose(moved, whole, rel_tol=0.01)


def _bounded(probe: Probe, found: Divergence, recon: float, x: float) -> Divergence:
    """A KL where latents are alike and small and not elsewhere: with a ceiling, or of another kind."""
    levels = []
    for sizes in (probe.sizes, probe.sizes.doubled("batch")):
        base, near, far, farther = (probe.at(recon, x, m, 1.0, sizes=sizes) for m in (0.0, 0.1, _CLAMPED, 2 * _CLAMPED))
        flat = probe.close(abs(farther - far), abs(far - base), abs(far)) and near != base
        levels.append((far - base) / (near - base) * 0.005 if flat else math.nan)  # in KLs of all latents but one
    if not all(map(math.isfinite, levels)):
        return Divergence("partly", found.spread, found.coefficient)
    there = float(closed_kl(np.array([0.0]), LOG_VARIANCES[found.spread](np.array([1.0])))[0])
    over_batch = levels[1] < 0.75 * levels[0]
    return Divergence("batch ceiling" if over_batch else "ceiling", found.spread, found.coefficient, levels[0] + there)


def _terms(values: Array, spreads: Array, count: int, probe: Probe) -> Divergence | None:
    """The KL's terms with other coefficients, or terms that it has not."""
    named: dict[str, Any] = {"mu²": None, "mu": None, "exp(logvar)": np.exp, "logvar": lambda s: s, **_OTHERS}
    if spreads.min() > 0:
        named["log(logvar)"] = np.log
    means, columns = np.array(_MEANS), []
    for name, function in named.items():
        of_means = {"mu²": means**2, "mu": means}.get(name, 0 * means)
        columns.append((of_means[:, None] + (0 * spreads if function is None else function(spreads))).ravel())
    columns.append(np.ones(values.size))
    design = np.stack(columns, 1)
    found, *_ = np.linalg.lstsq(design, values.ravel(), rcond=None)
    error = float(np.abs(design @ found - values.ravel()).max())
    if not probe.close(error, float(np.ptp(values)), float(np.abs(values).max())):
        return None
    scale = 2 / count
    terms = {name: float(c) * scale for name, c in zip(named, found, strict=False)}
    largest = max(map(abs, terms.values()))
    terms = {name: c for name, c in terms.items() if abs(c) > 1e-6 * largest}
    usual = abs(terms.get("logvar", terms.get("exp(logvar)", 0.0))) or largest
    return Divergence("terms", "", usual if math.isfinite(usual) else 0.0, terms=terms)
