"""The plate diagram of a model, drawn from its recipe alone.

matplotlib draws nodes and arrows, but lays out no graph; only the places of the nodes, and how far each arrow must be
bowed to keep clear of the others, are worked out here.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from numpy.typing import NDArray

from .graphs import Graph, graph
from .style import ACCENT, INK, PAPER, RULE, SOFT, canvas, grow, key, room, short

__all__ = ["plate_diagram"]

_Spots = dict[str, tuple[float, float]]
_RADIUS = 23.0
_PITCH = 84.0
_BOWS = (0.0, -44.0, 44.0, -72.0, 72.0, -104.0, 104.0, -140.0, 140.0)


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
    with canvas(ax, 200, grid="none") as ax:
        spots = _spots(model, max(room(ax) - 30, 150))
        arrows = _arrows(model, spots)
        seen = [_curve(spots[a], spots[b], bow) for a, b, bow, _ in arrows] + [np.array(list(spots.values()))]
        seen += [np.array([[x - 33, y + 23], [x + 33, y - 23 - 20 * (len(a) > 5)]]) for a, (x, y) in spots.items()]
        (left, low), (right, high) = (edge(np.concatenate(seen), axis=0) for edge in (np.min, np.max))
        box = (left - 20, low - 36, right - left + 40, high - low + 56)
        plate = FancyBboxPatch(box[:2], *box[2:], boxstyle="round,pad=0,rounding_size=10", fc="none", ec=SOFT)
        ax.add_patch(plate)
        corner = f"{n:,} examples" if n else "N examples"
        ax.text(right + 10, low - 26, corner, ha="right", fontsize=12, color=SOFT)
        circles = {name: _node(ax, name, spot, name == "x" or name in model.context) for name, spot in spots.items()}
        for start, end, bow, dashed in arrows:
            rad = 2 * bow / math.dist(spots[start], spots[end])
            _arrow(ax, circles[start], circles[end], rad, dashed)
        ax.set(xlim=(box[0] - 1, box[0] + box[2] + 1), ylim=(box[1] - 1, box[1] + box[3] + 1))
        ax.set_aspect("equal", anchor="W")
        ax.set_axis_off()
        grow(ax, box[3] + 32)
        key(ax, [
            Line2D([], [], color=INK, linewidth=1.5, label="generates"),
            Line2D([], [], color=ACCENT, linewidth=1.5, linestyle=(0, (3, 2)), label="infers"),
            Line2D([], [], marker="o", linestyle="none", markersize=11, mfc=RULE, mec=INK, label="observed"),
        ], lift=8)  # fmt: skip
        said = (", ".join(f"{a} to {b}" for a, b in edges) or "none" for edges in (model.generative, model.inference))
        ax.set_label("Generative arrows: {}. Inference arrows: {}.".format(*said))
    return ax


def _spots(model: Graph, width: float) -> _Spots:
    """Places: generation runs from left to right and ends at x; context stands in rows below."""
    depths = {name: model.depth(name) for name in model.blocks} | {"x": 0}
    deepest = max(depths.values())
    pitch = min(190.0, width / max(deepest, 1))
    spots: _Spots = {}
    for depth in range(deepest, -1, -1):
        column = [name for name, d in depths.items() if d == depth]
        for row, name in enumerate(column):
            spots[name] = (pitch * (deepest - depth), 104.0 * ((len(column) - 1) / 2 - row))
    lowest, across = min(y for _, y in spots.values()), int(width / _PITCH) + 1
    for first in range(0, len(model.context), across):
        together = model.context[first : first + across]
        step = max(_PITCH, min(pitch, width / max(len(together) - 1, 1)))
        for number, name in enumerate(together):
            aside = step * (number - (len(together) - 1) / 2)
            spots[name] = (pitch * deepest / 2 + aside, lowest - 120.0 * (1 + first // across))
    return spots


def _arrows(model: Graph, spots: _Spots) -> list[tuple[str, str, float, bool]]:
    """Start, end, bow and dashes of every arrow, bowed as little as keeps it clear of nodes and other arrows."""
    arrows = []
    taken: set[tuple[str, str, float]] = set()
    for edges, dashed in ((model.generative, False), (model.inference, True)):
        for start, end in edges:
            bow = _bow(start, end, spots, taken)
            taken |= {(start, end, bow), (end, start, -bow)}
            arrows.append((start, end, bow, dashed))
    return arrows


def _bow(start: str, end: str, spots: _Spots, taken: set[tuple[str, str, float]]) -> float:
    others = np.array([spot for name, spot in spots.items() if name not in (start, end)]).reshape(-1, 2)
    nearest = min(math.dist(a, b) for a in spots.values() for b in spots.values() if a != b)
    longer = max(1.0, 0.7 * math.dist(spots[start], spots[end]) / nearest)
    for bow in (longer * bow for bow in _BOWS):
        apart = np.linalg.norm(_curve(spots[start], spots[end], bow)[:, None] - others, axis=-1)
        if (apart > _RADIUS + 8).all() and (start, end, bow) not in taken:
            return bow
    return longer * _BOWS[-1]


def _curve(start: tuple[float, float], end: tuple[float, float], bow: float) -> NDArray[np.float64]:
    """The quadratic curve that matplotlib's "arc3" draws, whose middle stands `bow` off the straight line."""
    (x0, y0), (x1, y1) = start, end
    scale, t = 2 * bow / math.dist(start, end), np.linspace(0, 1, 33)[:, None]
    control = ((x0 + x1) / 2 + scale * (y1 - y0), (y0 + y1) / 2 - scale * (x1 - x0))
    return (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(control) + t**2 * np.array(end)


def _node(ax: Axes, name: str, spot: tuple[float, float], observed: bool) -> Circle:
    circle = Circle(spot, _RADIUS, facecolor=RULE if observed else PAPER, edgecolor=INK, linewidth=1.5, zorder=3)
    ax.add_patch(circle)
    if len(name) > 5:  # too long for its circle
        ax.text(spot[0], spot[1] - _RADIUS - 4, short(name, 110), ha="center", va="top", fontsize=12, zorder=4)
    else:
        size = 15 if len(name) <= 2 else 11
        ax.text(*spot, name, ha="center", va="center", fontsize=size, style="italic", zorder=4)
    return circle


def _arrow(ax: Axes, start: Circle, end: Circle, rad: float, dashed: bool) -> None:
    ax.add_patch(FancyArrowPatch(
        start.center, end.center, connectionstyle=f"arc3,rad={rad}", arrowstyle="-|>", mutation_scale=13,
        color=ACCENT if dashed else INK, linewidth=1.5, linestyle=(0, (3, 2)) if dashed else "-", patchA=start,
        patchB=end, shrinkA=1, shrinkB=2, gid="inference" if dashed else "generative",
    ))  # fmt: skip
