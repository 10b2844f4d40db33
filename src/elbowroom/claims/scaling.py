"""How a loss grows with the batch, the elements of x and the latents: what is summed, and what averaged."""

import math
from dataclasses import dataclass, replace

import numpy as np

from .divergence import LOG_VARIANCES, Divergence, closed_kl
from .probe import Probe, Sizes
from .reconstruction import Reconstruction

__all__ = ["Growth", "at_this_batch", "measure_growth"]

_X = 1.0
_STEPS = (0.27, 0.62)  # reconstructions between which its part is measured
_POINTS = ((0.0, 1.0), (2.0, 0.6))  # means and spreads between which the latents' part is


@dataclass(frozen=True)
class Growth:
    """Powers with which the coefficient of one element, or of one latent, changes with a size; NaN where untried.

    Parameters
    ----------
    recon : dict of str to float
        By "batch", "event", "latents": 0 for a sum, −1 for a mean.
    kl : dict of str to float
        The same of the KL.
    """

    recon: dict[str, float]
    kl: dict[str, float]


def measure_growth(probe: Probe, found: Reconstruction, kl: Divergence, at: tuple[float, float]) -> Growth:
    """Ask the loss at twice the batch, the elements and the latents.

    Parameters
    ----------
    probe : Probe
        The loss.
    found : Reconstruction
        Its part of the reconstruction.
    kl : Divergence
        Its part of the latents.
    at : tuple of float
        The reconstruction and the x, all over, at which the latents' part is measured.

    Returns
    -------
    Growth
        The powers.
    """
    here = _both(probe, found, kl, at, probe.sizes)
    powers: tuple[dict[str, float], dict[str, float]] = ({}, {})
    for what in ("batch", "event", "latents"):
        there = _both(probe, found, kl, at, probe.sizes.doubled(what))
        for one, before, after in zip(powers, here, there, strict=True):
            one[what] = _power(before, after, 0.3 if probe.noisy else 0.05)
    return Growth(*powers)


def at_this_batch(probe: Probe, found: Reconstruction, batch: int) -> Reconstruction:
    """The reconstruction's part with its coefficient at the probe's batch, read at another one.

    Parameters
    ----------
    probe : Probe
        The loss.
    found : Reconstruction
        Its part.
    batch : int
        At which it was read.

    Returns
    -------
    Reconstruction
        The same, at the probe's batch.
    """
    now, then = (_of_element(probe, found, size) for size in (probe.sizes, replace(probe.sizes, batch=batch)))
    return replace(found, coefficient=found.coefficient * now / then) if then and math.isfinite(now / then) else found


def _power(before: float, after: float, close: float) -> float:
    """log₂ of the ratio, to half a power."""
    if not before or not after or not math.isfinite(after / before) or after / before <= 0:
        return math.nan
    power = math.log2(after / before)
    return float(round(power)) if abs(power - round(power)) < close else round(power, 2)


def _both(
    probe: Probe, found: Reconstruction, kl: Divergence, at: tuple[float, float], sizes: Sizes
) -> tuple[float, float]:
    """Coefficients of one element and of one latent at these sizes; NaN where rounding hides them."""
    return _of_element(probe, found, sizes), _of_latent(probe, kl, at, sizes)


def _of_element(probe: Probe, found: Reconstruction, sizes: Sizes) -> float:
    low, high = ((step, _X, *_POINTS[0]) for step in _STEPS)
    moved = probe.change(low, high, sizes=sizes)
    unit = 1.0
    if found.rho is not None:
        unit = np.subtract(*(found.rho(np.array([r]), np.array([_X])) for r in reversed(_STEPS))).item()
    return moved / unit / sizes.batch / sizes.elements


def _of_latent(probe: Probe, kl: Divergence, at: tuple[float, float], sizes: Sizes) -> float:
    near, far = ((*at, *point) for point in _POINTS)
    moved = probe.change(near, far, sizes=sizes)
    unit = 1.0
    if kl.spread:
        name = LOG_VARIANCES[kl.spread]
        unit = np.subtract(*(closed_kl(np.array([m]), name(np.array([s]))) for m, s in reversed(_POINTS))).item()
    return moved / unit / sizes.batch / sizes.dim
