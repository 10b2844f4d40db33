"""The map of the latent space."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import BboxBase
from numpy.typing import ArrayLike

from elbowroom.numerics import count

from .style import INK, canvas, describe, fits, is_narrow, label_colour, note, short

MAP_LIMIT = 2000
"""Points drawn at most, so that the page stays small: the first of the draw."""

_NAMED_AT_MOST = 20


def latent_map(
    points: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    names: Sequence[str] | None = None,
    axes: str = "z1, z2",
    ax: Axes | None = None,
) -> Axes:
    """Encoder means in the plane coloured by label, each label's name at its median; one scale both ways.

    Parameters
    ----------
    points : array [N, 2]
        Places; the first `MAP_LIMIT` are drawn.
    labels : array [N] of int, default None
        The label of each point; −1: none.
    names : sequence of str, default None
        What the labels are called; None: by their numbers.
    axes : str, default "z1, z2"
        What the two directions are.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = latent_map([[0.0, 1.0], [1.0, 0.0]], [0, 1], names=["even", "odd"])
    >>> [text.get_text() for text in ax.texts]
    ['even', 'odd']
    """
    spots = np.asarray(points, dtype=np.float64)[:MAP_LIMIT]
    marks = -np.ones(len(spots), int) if labels is None else np.asarray(labels).astype(int)[:MAP_LIMIT]
    kinds = np.unique(marks).tolist()
    texts = {k: names[k] if names and k < len(names) else str(k) for k in kinds if k >= 0}
    with canvas(ax, 480, 370, grid="xy") as ax:
        ax.spines.bottom.set_visible(False)
        for kind in kinds:
            said = f"{short(texts[kind], 84)} ({count(int((marks == kind).sum()))})" if kind in texts else "no label"
            look: Any = {"color": label_colour(kind), "alpha": 0.8, "markersize": 5, "markeredgewidth": 0}
            ax.plot(*spots[marks == kind].T, "o", label=said, **look)
        ax.set_aspect("equal", adjustable="datalim")
        about = f"{count(len(spots), 'point')}; labels: {', '.join(texts.values()) or 'none'}; axes: {axes}."
        describe(ax, about, axes)
        if 0 < len(texts) <= _NAMED_AT_MOST:
            if not is_narrow(ax):
                ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, fontsize=12, markerscale=1.8)
            ax.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]
            taken: list[BboxBase] = []
            for kind, text in texts.items():  # at the medians, moved down where one would cover another
                middle = np.nanmedian(spots[marks == kind], axis=0)
                name = note(ax, short(text, 120, 14), middle, size=14, colour=INK, weight="bold", ha="center")
                fits(name, ((0, -down) for down in range(0, 400, 4)), taken, None)
    return ax
