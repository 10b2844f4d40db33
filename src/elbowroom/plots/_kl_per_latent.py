"""The KL that each latent carries."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from elbowroom.numerics import InputError

from .records import Units
from .style import ACCENT, INK, PAPER, SOFT, canvas, key, name_axes, room

__all__ = ["kl_per_latent"]

_FLOOR = 1e-5
_PITCH = 80.0


def kl_per_latent(use: Units, *, threshold: float | None = None, ax: Axes | None = None) -> Axes:
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
    seen = [*kl[kl > _FLOOR], *([threshold] if threshold else [])]
    low = 10.0 ** (math.floor(math.log10(min(seen, default=1e-3))) - 0.25)
    high = 10.0 ** max(math.ceil(math.log10(max(seen, default=1.0)) + 0.05), round(math.log10(low)) + 1)
    with canvas(ax, 240) as ax:
        ax.set(yscale="log", ylim=(low, high), xlim=(0.5, max(len(kl), room(ax) / _PITCH) + 0.5))
        ax.yaxis.set_major_locator(LogLocator(numticks=8))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.minorticks_off()
        every = math.ceil(16 * len(kl) / room(ax))
        ax.set_xticks(range(1, len(kl) + 1, every), [str(unit + 1) for unit in order[::every]])
        for place, unit in enumerate(order, start=1):
            colour = INK if active[unit] else SOFT
            if kl[unit] <= _FLOOR:
                ax.plot(place, low, "v", color=SOFT, markersize=8, clip_on=False)
                continue
            ax.plot([place, place], [low, kl[unit]], color=colour, linewidth=1)
            ax.plot(place, kl[unit], "o", color=colour, markersize=9, markerfacecolor=INK if active[unit] else PAPER,
                    markeredgewidth=1.5)  # fmt: skip
        if threshold:
            ax.axhline(threshold, color=ACCENT, linewidth=1, linestyle=(0, (4, 3)))
            key(ax, [Line2D([], [], color=ACCENT, linewidth=1, linestyle=(0, (4, 3)),
                            label=f"threshold {threshold:g} nats")], 8, True)  # fmt: skip
        name_axes(ax, "latent, sorted by its KL", "KL, nats (logarithmic)")
        about = "; ".join(f"latent {unit + 1}: {kl[unit]:.3g}" for unit in order)
        ax.set_label(f"{active.sum()} of {len(kl)} active. KL in nats: {about}.")
    return ax
