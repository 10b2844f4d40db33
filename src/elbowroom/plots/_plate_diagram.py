"""The plate diagram of a model, drawn from its recipe alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, ConnectionStyle, FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path
from matplotlib.transforms import Bbox

from elbowroom.numerics import plain_arguments
from elbowroom.records import Graph, graph

from .style import ACCENT, INK, PAPER, RULE, SOFT, canvas, describe, key, short

_Spots = dict[str, tuple[float, float]]
_RADIUS, _PITCH = 23.0, 84.0
_GENERATES: dict[str, Any] = {"color": INK, "linewidth": 1.5, "label": "generates"}
_INFERS: dict[str, Any] = {"color": ACCENT, "linewidth": 1.5, "linestyle": (0, (3, 2)), "label": "infers"}
_BOWS = (0.0, -0.45, 0.45, -0.75, 0.75, -1.05, 1.05, -1.4, 1.4)


@plain_arguments
def plate_diagram(recipe: Mapping[str, Any], *, n: int | None = None, ax: Axes | None = None) -> Axes:
    """Nodes in a plate of n examples: grey are observed, white latent; solid arrows generate, dashed ones infer.

    Parameters
    ----------
    recipe : mapping
        {"prior", "posterior", "likelihood"}, as recipe.yaml of a run holds them under "model".
    n : int, default None
        How many examples; None: "N".
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        Where a part is missing or blocks depend on each other in a circle.

    References
    ----------
    K. P. Murphy, "Probabilistic Machine Learning" (2022), for plate notation.

    Examples
    --------
    >>> ax = plate_diagram({"prior": {"kind": "standard"}, "posterior": {"kind": "q"}, "likelihood": {"kind": "p"}})
    >>> ax.get_label()
    'Generative arrows: z to x. Inference arrows: x to z.'
    """
    model = graph(recipe)
    spots = _spots(model)
    arrows = [(*edge, _GENERATES) for edge in model.generative] + [(*edge, _INFERS) for edge in model.inference]
    bows = _bows(arrows, spots)
    curves = [bow(spots[start], spots[end]) for bow, (start, end, _) in zip(bows, arrows, strict=True)]
    rims = [Path.circle((x, y - 8), _RADIUS + 10) for x, y in spots.values()]
    plate = Bbox.union([path.get_extents() for path in (*rims, *curves)]).padded(20, 24)
    with canvas(ax, plate.height + 32, grid="") as ax:
        ax.set(xlim=(plate.x0 - 1, plate.x1 + 1), ylim=(plate.y0 - 1, plate.y1 + 1))
        ax.set_aspect("equal", anchor="W")
        ax.set_axis_off()
        ax.add_patch(FancyBboxPatch(plate.p0, *plate.size, "round,pad=0,rounding_size=10", fc="none", ec=SOFT))
        ax.text(plate.x1 - 10, plate.y0 + 10, f"{f'{n:,}' if n else 'N'} examples", ha="right", fontsize=12, color=SOFT)
        nodes = {name: _node(ax, name, spot, name == "x" or name in model.context) for name, spot in spots.items()}
        for bow, (start, end, look) in zip(bows, arrows, strict=True):
            ends: Any = {"patchA": nodes[start], "patchB": nodes[end], "shrinkA": 1, "shrinkB": 2}
            ends |= {"arrowstyle": "-|>", "mutation_scale": 13, "gid": look["label"]}
            ax.add_patch(FancyArrowPatch(spots[start], spots[end], connectionstyle=bow, **ends, **look))
        observed = Line2D([], [], marker="o", ls="none", markersize=11, mfc=RULE, mec=INK, label="observed")
        key(ax, [*(Line2D([], [], **look) for look in (_GENERATES, _INFERS)), observed], lift=8)
        said = (", ".join(f"{a} to {b}" for a, b in edges) or "none" for edges in (model.generative, model.inference))
        describe(ax, "Generative arrows: {}. Inference arrows: {}.".format(*said))
    return ax


def _spots(model: Graph) -> _Spots:
    """Places: generation runs from left to right and ends at x; context stands in rows of four below."""
    columns: dict[int, list[str]] = {}
    for name in (*model.blocks, "x"):
        columns.setdefault(model.depth(name), []).append(name)
    deepest = max(columns)
    pitch = max(_PITCH, min(190.0, 240 / deepest))
    spots = {
        name: (pitch * (deepest - depth), 104.0 * ((len(column) - 1) / 2 - row))
        for depth, column in columns.items()
        for row, name in enumerate(column)
    }
    lowest = min(y for _, y in spots.values())
    for number, name in enumerate(model.context):
        row, place = divmod(number, 4)
        aside = place - (min(len(model.context) - 4 * row, 4) - 1) / 2
        spots[name] = (pitch * deepest / 2 + _PITCH * aside, lowest - 120.0 * (1 + row))
    return spots


def _bows(arrows: Sequence[tuple[str, str, Any]], spots: _Spots) -> list[ConnectionStyle.Arc3]:
    """How every arrow is bowed: as little as keeps it clear of nodes and apart from other arrows."""
    bows, taken = [], set()
    for start, end, _ in arrows:
        others = [Path.circle(spot, _RADIUS + 8) for name, spot in spots.items() if name not in (start, end)]
        for rad in _BOWS:
            bow = ConnectionStyle.Arc3(rad)
            curve = bow(spots[start], spots[end])
            way = frozenset(map(tuple, np.asarray(curve.vertices).round()))
            if way not in taken and not any(curve.intersects_path(other, filled=False) for other in others):
                break
        taken.add(way)
        bows.append(bow)
    return bows


def _node(ax: Axes, name: str, spot: tuple[float, float], observed: bool) -> Circle:
    circle = Circle(spot, _RADIUS, facecolor=RULE if observed else PAPER, edgecolor=INK, linewidth=1.5, zorder=3)
    ax.add_patch(circle)
    look: Any = {"ha": "center", "va": "center", "zorder": 4}
    if len(name) > 5:  # too long for its circle
        ax.text(spot[0], spot[1] - _RADIUS - 10, short(name, 110), fontsize=12, **look)
    else:
        ax.text(*spot, name, fontsize=15 if len(name) <= 2 else 11, style="italic", **look)
    return circle
