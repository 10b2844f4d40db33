"""The latent space: its map, and the KL that each latent carries."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from elbowroom.numerics import InputError, count, plain_arguments

from .style import (
    ACCENT,
    INK,
    PAPER,
    SOFT,
    canvas,
    describe,
    fits,
    is_narrow,
    key,
    label_colour,
    note,
    outside,
    room,
    short,
)

MAP_LIMIT = 2000
"""Points drawn at most, so that the page stays small: the first of the draw."""

_NAMED_AT_MOST = 20
_LOST_NAMED = 8
_FLOOR = 1e-5
_PITCH = 80.0


@plain_arguments
def latent_map(
    points: ArrayLike,
    labels: ArrayLike | None,
    *,
    names: Sequence[str] | None = None,
    axes: str = "z1, z2",
    at_medians: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Encoder means in the plane coloured by label, each label's name at its median; one scale both ways.

    Points that are not finite are not drawn; the name of the axes says how many.

    Parameters
    ----------
    points : array [N, 2]
        Places; the first `MAP_LIMIT` are drawn.
    labels : array [N] of int or None
        The label of each point, −1: none; None: none has one.
    names : sequence of str, default None
        What the labels are called; None: by their numbers.
    axes : str, default "z1, z2"
        What the two directions are.
    at_medians : bool, default True
        Whether the names stand in the plane too: of groups that lie on one another the median is nobody's place.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where labels are not whole numbers from −1 on, one for each point, or no point is finite.

    Examples
    --------
    >>> ax = latent_map([[0.0, 1.0], [1.0, 0.0]], [0, 1], names=["even", "odd"])
    >>> [text.get_text() for text in ax.texts]
    ['even', 'odd']
    """
    spots = np.asarray(points, dtype=np.float64)
    marks = (-np.ones(len(spots), int) if labels is None else _whole(labels, len(spots)))[:MAP_LIMIT]
    known = np.asarray(np.isfinite(spots[:MAP_LIMIT]).all(axis=1))
    if not known.any():
        raise InputError("No point of the latent map is finite, so there is nothing to draw.")
    spots, marks = spots[:MAP_LIMIT][known], marks[known]
    lost = f" ({sum(~known):,} of {count(len(known), 'point')} not drawn, because not finite)" * (not known.all())
    groups = {kind: spots[marks == kind] for kind in np.unique(marks).tolist()}
    texts = {k: names[k] if names and k < len(names) else str(k) for k in groups if k >= 0}
    with canvas(ax, 480, 370, grid="xy") as ax:
        ax.spines.bottom.set_visible(False)
        for kind, group in groups.items():
            said = f"{short(texts[kind], 84)} ({count(len(group))})" if kind in texts else "no label"
            look: Any = {"color": label_colour(kind), "alpha": 0.8, "markersize": 5, "markeredgewidth": 0}
            ax.plot(*group.T, "o", label=said, **look)
        ax.set_aspect("equal", adjustable="datalim")
        about = f"{count(len(spots), 'point')}; labels: {', '.join(texts.values()) or 'none'}; axes: {axes}{lost}."
        describe(ax, about, axes + lost)
        if 0 < len(texts) <= _NAMED_AT_MOST:
            look = {"frameon": False, "fontsize": 12, "labelcolor": outside(ax, INK), "markerscale": 1.8}
            if not is_narrow(ax):
                ax.legend(loc="upper left", bbox_to_anchor=(1, 1), **look)
            elif not at_medians:
                ax.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2, **look)
            ax.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]
            taken: list[Any] = []
            for kind, text in (
                texts.items() if at_medians else ()
            ):  # at the medians, moved down where one would cover another
                look = {"fontsize": 14, "color": INK, "weight": "bold", "ha": "center"}
                name = note(ax, short(text, 120, 14), np.median(groups[kind], axis=0), **look)
                fits(name, ((0, -down) for down in range(0, 400, 4)), taken, None)
    return ax


def _whole(labels: ArrayLike, n: int) -> NDArray[np.int64]:
    """Labels as whole numbers, one for each point."""
    try:
        marks = np.asarray(labels, dtype=np.float64)
    except (TypeError, ValueError):
        marks = np.array(np.nan)
    if (
        marks.shape != (n,)
        or not (marks == np.floor(marks)).all()
        or not np.isfinite(marks).all()
        or (marks < -1).any()
    ):
        raise InputError(
            f"Labels of a latent map are {n:,} whole numbers from −1 on, one a point; give words as `names`."
        )
    return marks.astype(np.int64)


@plain_arguments
def kl_per_latent(use: Any, *, threshold: float | None = None, ax: Axes | None = None) -> Axes:
    """KL to the prior of every latent in nats, sorted, on a logarithmic axis; filled: active, hollow: not.

    A KL that is zero, or too small to tell, is a triangle at the foot; one that is not finite is named above the axes.

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
        With the figure on it.

    Raises
    ------
    InputError
        Where the KL is not divided among the latents, or none of it is finite.

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
    if not np.isfinite(np.asarray(use.kl, dtype=np.float64)).any():
        raise InputError("No latent of this model has a finite KL, so there is nothing to draw.")
    order = np.argsort(-np.asarray(use.kl, dtype=np.float64), kind="stable")
    kl, active = np.asarray(use.kl, dtype=np.float64)[order], np.asarray(use.active, dtype=bool)[order]
    seen = np.array([*kl[np.isfinite(kl) & (kl > _FLOOR)], *([threshold] if threshold else [])] or [1e-3, 1.0])
    low = 10.0 ** (math.floor(math.log10(seen.min())) - 0.25)
    high = 10.0 ** max(math.ceil(math.log10(seen.max()) + 0.05), round(math.log10(low)) + 1)
    place, drawn = np.arange(1, len(kl) + 1), ~(kl <= _FLOOR)
    edges, fills = np.where(active, INK, SOFT)[drawn].tolist(), np.where(active, INK, PAPER)[drawn].tolist()
    with canvas(ax, 240, log="y") as ax:
        ax.set(ylim=(low, high), xlim=(0.5, max(len(kl), room(ax) / _PITCH) + 0.5))
        every = math.ceil(16 * len(kl) / room(ax))
        ax.set_xticks(place[::every], [str(unit + 1) for unit in order[::every]])
        ax.vlines(place[drawn], low, kl[drawn], colors=edges, linewidth=1)
        ax.scatter(place[drawn], kl[drawn], 70, fills, edgecolors=edges, linewidth=1.5, zorder=3)
        if not drawn.all():
            ax.plot(place[~drawn], [low] * sum(~drawn), "v", color=SOFT, markersize=8, clip_on=False)
        if threshold:
            line = ax.axhline(threshold, color=ACCENT, lw=1, ls=(0, (4, 3)), label=f"threshold {threshold:g} nats")
            key(ax, [line], lift=8, right=True)
        values = "; ".join(f"latent {unit + 1}: {value:.3g}" for unit, value in zip(order, kl, strict=True))
        about = f"{active.sum()} of {len(kl)} active. KL in nats: {values}."
        lost = [str(unit + 1) for unit in np.sort(order[~np.isfinite(kl)])]
        lost = lost[:_LOST_NAMED] + ["…"] * (len(lost) > _LOST_NAMED)
        without = f"; not finite: latent {', '.join(lost)}" * bool(lost)
        describe(ax, about, "latent, sorted by its KL", f"KL, nats (logarithmic){without}")
    return ax
