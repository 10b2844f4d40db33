"""The KL that each latent carries."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from elbowroom.numerics import InputError

from .style import ACCENT, INK, PAPER, SOFT, canvas, describe, key, room

_FLOOR = 1e-5
_PITCH = 80.0


def kl_per_latent(use: Any, *, threshold: float | None = None, ax: Axes | None = None) -> Axes:
    """KL to the prior of every latent in nats, sorted, on a logarithmic axis; filled: active, hollow: not.

    A KL that is zero, or too small to tell, is a triangle at the foot.

    Parameters
    ----------
    use : LatentUse
        What `er.metrics.latent_use` returns, or anything with `kl` (nats) and `active` per latent.
    threshold : float, default None
        Nats; a dashed line, for use where the KL decides what is active.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        Where the KL is not divided among the latents.

    References
    ----------
    Y. Burda et al., "Importance Weighted Autoencoders" (2016), for active units.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> ax = kl_per_latent(SimpleNamespace(kl=[0.5, 2.0], active=[True, True]))
    >>> [label.get_text() for label in ax.get_xticklabels()]
    ['2', '1']
    """
    if use.kl is None:
        raise InputError("The KL of this model is not divided among its latents, so there is nothing to draw.")
    kl, active = np.asarray(use.kl, dtype=np.float64), np.asarray(use.active, dtype=bool)
    order = np.argsort(-kl, kind="stable")
    seen = [*kl[np.isfinite(kl) & (kl > _FLOOR)], *([threshold] if threshold else [])]
    low = 10.0 ** (math.floor(math.log10(min(seen, default=1e-3))) - 0.25)
    high = 10.0 ** max(math.ceil(math.log10(max(seen, default=1.0)) + 0.05), round(math.log10(low)) + 1)
    place, small = np.arange(1, len(kl) + 1), kl[order] <= _FLOOR
    colours: Any = np.where(active, INK, SOFT)[order]
    with canvas(ax, 240, log="y") as ax:
        ax.set(ylim=(low, high), xlim=(0.5, max(len(kl), room(ax) / _PITCH) + 0.5))
        every = math.ceil(16 * len(kl) / room(ax))
        ax.set_xticks(place[::every], [str(unit + 1) for unit in order[::every]])
        ax.vlines(place[~small], low, kl[order][~small], colors=colours[~small], linewidth=1)
        ax.scatter(place[~small], kl[order][~small], 70, np.where(active, INK, PAPER)[order][~small], zorder=3,
                   edgecolors=colours[~small], linewidth=1.5)  # fmt: skip
        if small.any():
            ax.plot(place[small], np.full(small.sum(), low), "v", color=SOFT, markersize=8, clip_on=False)
        if threshold:
            line = ax.axhline(threshold, color=ACCENT, lw=1, ls=(0, (4, 3)), label=f"threshold {threshold:g} nats")
            key(ax, [line], lift=8, right=True)
        about = "; ".join(f"latent {unit + 1}: {kl[unit]:.3g}" for unit in order)
        about = f"{active.sum()} of {len(kl)} active. KL in nats: {about}."
        describe(ax, about, "latent, sorted by its KL", "KL, nats (logarithmic)")
    return ax
