"""The plate diagram of a model, drawn from its recipe alone.

matplotlib draws nodes and arrows, but lays out no graph; only the places of the nodes, and how far each arrow must be
bowed to keep clear of the others, are worked out here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from numpy.typing import NDArray

from elbowroom.numerics import InputError

from .style import ACCENT, INK, PAPER, RULE, SOFT, canvas, describe, key, short

_Spots = dict[str, tuple[float, float]]
_RADIUS, _PITCH = 23.0, 84.0
_GENERATES: dict[str, Any] = {"color": INK, "linewidth": 1.5, "label": "generates"}
_INFERS: dict[str, Any] = {"color": ACCENT, "linewidth": 1.5, "linestyle": (0, (3, 2)), "label": "infers"}
_BOWS = (0.0, -44.0, 44.0, -72.0, 72.0, -104.0, 104.0, -140.0, 140.0)


@dataclass(frozen=True)
class Graph:
    """Nodes and edges of a model.

    Parameters
    ----------
    blocks : tuple of str
        Latent blocks, in the order of the prior.
    context : tuple of str
        What is given beside x.
    generative, inference : tuple of (str, str)
        Edges (from, to) of prior and likelihood, and those of the posterior.
    """

    blocks: tuple[str, ...]
    context: tuple[str, ...]
    generative: tuple[tuple[str, str], ...]
    inference: tuple[tuple[str, str], ...]

    def depth(self, name: str) -> int:
        """Longest generative path from `name` to "x"; 0 for "x" itself."""
        below = [child for parent, child in self.generative if parent == name]
        return 0 if name == "x" else 1 + max((self.depth(child) for child in below), default=0)


def graph(recipe: Mapping[str, Any]) -> Graph:
    """The graph of a recipe whose components say in `given` what they read.

    One component in the place of a dictionary of blocks is the block "z".

    Parameters
    ----------
    recipe : mapping
        {"prior", "posterior", "likelihood"}, as recipe.yaml of a run holds them under "model".

    Returns
    -------
    Graph

    Raises
    ------
    InputError
        Where a part is missing or blocks depend on each other in a circle.

    Examples
    --------
    >>> normal = {"kind": "normal", "given": ["z2"]}
    >>> graph({"prior": {"z2": {"kind": "standard"}, "z1": normal}, "posterior": {}, "likelihood": {"given": ["z1"]}})
    Graph(blocks=('z2', 'z1'), context=(), generative=(('z2', 'z1'), ('z1', 'x')), inference=())
    """
    for part in ("prior", "posterior", "likelihood"):
        if not isinstance(recipe.get(part), Mapping):
            raise InputError(f"The recipe has no {part}, so no diagram can be drawn; give the recipe of a whole model.")
    single = {part: {"z": recipe[part]} if "kind" in recipe[part] else recipe[part] for part in ("prior", "posterior")}
    prior, posterior = single["prior"], single["posterior"]
    blocks = tuple(dict.fromkeys((*prior, *posterior)))
    parents = {name: _given(block, ()) for name, block in prior.items()} | {"x": _given(recipe["likelihood"], ("z",))}
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        circle = sorted(set(error.args[1]))
        raise InputError(f"The blocks {circle} of the recipe depend on each other in a circle.") from error
    generative = tuple((parent, name) for name, given in parents.items() for parent in given)
    inference = tuple((parent, name) for name, block in posterior.items() for parent in _given(block, ("x",)))
    read = dict.fromkeys(parent for parent, _ in (*generative, *inference))
    return Graph(blocks, tuple(name for name in read if name not in (*blocks, "x")), generative, inference)


def _given(component: Any, default: tuple[str, ...]) -> tuple[str, ...]:
    given = component.get("given", default) if isinstance(component, Mapping) else default
    return (given,) if isinstance(given, str) else tuple(given or ())


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
    spots = _spots(model)
    arrows = _arrows(model, spots)
    rims = [(x + s * 33, y + s * _RADIUS - 20 * (len(a) > 5)) for a, (x, y) in spots.items() for s in (-1, 1)]
    seen = np.concatenate([rims, *(_curve(spots[a], spots[b], bow) for a, b, bow, _ in arrows)])
    (left, low), (right, high) = seen.min(0), seen.max(0)
    box = (left - 20, low - 36, right - left + 40, high - low + 56)
    with canvas(ax, box[3] + 32, grid="") as ax:
        ax.add_patch(FancyBboxPatch(box[:2], *box[2:], boxstyle="round,pad=0,rounding_size=10", fc="none", ec=SOFT))
        corner = f"{n:,} examples" if n else "N examples"
        ax.text(right + 10, low - 26, corner, ha="right", fontsize=12, color=SOFT)
        circles = {name: _node(ax, name, spot, name == "x" or name in model.context) for name, spot in spots.items()}
        for start, end, bow, look in arrows:
            ends: Any = {"patchA": circles[start], "patchB": circles[end], "shrinkA": 1, "shrinkB": 2}
            bent = f"arc3,rad={2 * bow / math.dist(spots[start], spots[end])}"
            ax.add_patch(FancyArrowPatch(spots[start], spots[end], connectionstyle=bent, arrowstyle="-|>",
                                         mutation_scale=13, gid=look["label"], **ends, **look))  # fmt: skip
        ax.set(xlim=(box[0] - 1, box[0] + box[2] + 1), ylim=(box[1] - 1, box[1] + box[3] + 1))
        ax.set_aspect("equal", anchor="W")
        ax.set_axis_off()
        observed = Line2D([], [], marker="o", ls="none", markersize=11, mfc=RULE, mec=INK, label="observed")
        key(ax, [*(Line2D([], [], **look) for look in (_GENERATES, _INFERS)), observed], lift=8)
        said = (", ".join(f"{a} to {b}" for a, b in edges) or "none" for edges in (model.generative, model.inference))
        describe(ax, "Generative arrows: {}. Inference arrows: {}.".format(*said))
    return ax


def _spots(model: Graph) -> _Spots:
    """Places: generation runs from left to right and ends at x; context stands in rows of four below."""
    depths = {name: model.depth(name) for name in (*model.blocks, "x")}
    deepest = max(depths.values())
    pitch, spots = max(_PITCH, min(190.0, 240 / deepest)), {}
    for depth in range(deepest, -1, -1):
        column = [name for name, d in depths.items() if d == depth]
        for row, name in enumerate(column):
            spots[name] = (pitch * (deepest - depth), 104.0 * ((len(column) - 1) / 2 - row))
    lowest = min(y for _, y in spots.values())
    for number, name in enumerate(model.context):
        row, together = number // 4, model.context[number // 4 * 4 :][:4]
        aside = max(_PITCH, min(pitch, 240 / max(len(together) - 1, 1))) * (number % 4 - (len(together) - 1) / 2)
        spots[name] = (pitch * deepest / 2 + aside, lowest - 120.0 * (1 + row))
    return spots


def _arrows(model: Graph, spots: _Spots) -> list[tuple[str, str, float, dict[str, Any]]]:
    """Start, end, bow and look of every arrow, bowed as little as keeps it clear of nodes and other arrows."""
    arrows: list[tuple[str, str, float, dict[str, Any]]] = []
    nearest = min(math.dist(a, b) for a in spots.values() for b in spots.values() if a != b)
    for (start, end), look in [(e, _GENERATES) for e in model.generative] + [(e, _INFERS) for e in model.inference]:
        others = np.array([spot for name, spot in spots.items() if name not in (start, end)]).reshape(-1, 2)
        taken = {one[:3] for one in arrows} | {(b, a, -bow) for a, b, bow, _ in arrows}
        longer = max(1.0, 0.7 * math.dist(spots[start], spots[end]) / nearest)
        for bow in (longer * bow for bow in _BOWS):
            apart = np.linalg.norm(_curve(spots[start], spots[end], bow)[:, None] - others, axis=-1)
            if (apart > _RADIUS + 8).all() and (start, end, bow) not in taken:
                break
        arrows.append((start, end, bow, look))
    return arrows


def _curve(start: tuple[float, float], end: tuple[float, float], bow: float) -> NDArray[np.float64]:
    """The quadratic curve that matplotlib's "arc3" draws, whose middle stands `bow` off the straight line."""
    (x0, y0), (x1, y1) = start, end
    scale, t = 2 * bow / math.dist(start, end), np.linspace(0, 1, 33)[:, None]
    control = np.array([(x0 + x1) / 2 + scale * (y1 - y0), (y0 + y1) / 2 - scale * (x1 - x0)])
    return (1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * control + t**2 * np.array(end)


def _node(ax: Axes, name: str, spot: tuple[float, float], observed: bool) -> Circle:
    circle = Circle(spot, _RADIUS, facecolor=RULE if observed else PAPER, edgecolor=INK, linewidth=1.5, zorder=3)
    ax.add_patch(circle)
    long = len(name) > 5  # too long for its circle
    words, down = (short(name, 110), -_RADIUS - 10) if long else (name, 0)
    ax.text(spot[0], spot[1] + down, words, ha="center", va="center", zorder=4, style="normal" if long else "italic",
            fontsize=12 if long else 15 if len(name) <= 2 else 11)  # fmt: skip
    return circle
