"""The plate diagram of a model, drawn from its recipe alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elbowroom.numerics import InputError

from .svg import ACCENT, INK, PAPER, RULE, SOFT, arrow_head, document, element, fit, path, words

__all__ = ["Graph", "graph", "plate_diagram"]

_Point = tuple[float, float]
_RADIUS = 23.0
_CONTEXT_PITCH = 84.0
_BOWS = (0.0, 44.0, -44.0, 72.0, -72.0, 104.0, -104.0, 140.0, -140.0)


@dataclass(frozen=True)
class Graph:
    """Nodes and edges of a model: latent blocks, context names, and (from, to) pairs of both kinds.

    `generative`: edges of prior and likelihood; `inference`: edges of the posterior; `blocks` are in the order of
    the prior.
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
    """The graph of a recipe {"prior", "posterior", "likelihood"} whose components say in `given` what they read.

    One component in the place of a dictionary of blocks is the block "z". Raises InputError where a part is
    missing or blocks depend on each other in a circle.

    >>> normal = {"kind": "normal", "given": ["z2"]}
    >>> graph({"prior": {"z2": {"kind": "standard"}, "z1": normal}, "posterior": {}, "likelihood": {"given": ["z1"]}})
    Graph(blocks=('z2', 'z1'), context=(), generative=(('z2', 'z1'), ('z1', 'x')), inference=())
    """
    for part in ("prior", "posterior", "likelihood"):
        if not isinstance(recipe.get(part), Mapping):
            raise InputError(f"The recipe has no {part}, so no diagram can be drawn; give the recipe of a whole model.")
    prior, posterior = _blocks(recipe["prior"]), _blocks(recipe["posterior"])
    blocks = (*prior, *(name for name in posterior if name not in prior))
    generative = [(parent, block) for block in prior for parent in _given(prior[block], ())]
    generative += [(parent, "x") for parent in _given(recipe["likelihood"], ("z",))]
    inference = [(parent, block) for block in posterior for parent in _given(posterior[block], ("x",))]
    known = {*blocks, "x"}
    context = tuple(dict.fromkeys(parent for parent, _ in (*generative, *inference) if parent not in known))
    _refuse_circle(generative)
    return Graph(blocks, context, tuple(generative), tuple(inference))


def _blocks(part: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"z": part} if "kind" in part else part


def _given(component: Any, default: tuple[str, ...]) -> tuple[str, ...]:
    given = component.get("given", default) if isinstance(component, Mapping) else default
    return (given,) if isinstance(given, str) else tuple(given or ())


def _refuse_circle(edges: Sequence[tuple[str, str]]) -> None:
    left = set(edges)
    while left:
        sinks = {child for _, child in left} - {parent for parent, _ in left}
        if not sinks:
            raise InputError(
                f"The blocks {sorted({p for p, _ in left})} of the recipe depend on each other in a circle."
            )
        left = {(parent, child) for parent, child in left if child not in sinks}


def plate_diagram(recipe: Mapping[str, Any], *, width: int, title: str, n: int | None = None) -> str:
    """Nodes in a plate of n examples: grey are observed, white latent; solid arrows generate, dashed ones infer.

    K. P. Murphy, "Probabilistic Machine Learning" (2022), for plate notation.
    """
    model = graph(recipe)
    spots = _spots(model, width)
    curves = _curves(model, spots)
    xs, ys = _extent(spots, curves)
    pad = 20
    box = (min(xs) - pad, min(ys) - pad, max(xs) + pad, max(ys) + pad + 16)
    wide, tall = box[2] - box[0], box[3] - box[1]
    dx, dy = 1 - box[0], 34 - box[1]
    plate = element("rect", x=1.0, y=34.0, width=wide, height=tall, rx=10, fill="none", stroke=SOFT)
    corner = f"{n:,} examples" if n else "N examples"
    body = [_key(), plate, words(wide - 10, 34 + tall - 10, corner, anchor="end")]
    for points, dashed in curves:
        body.append(_arrow([(a + dx, b + dy) for a, b in points], dashed))
    for name, (a, b) in spots.items():
        body.append(_node(name, a + dx, b + dy, observed=name == "x" or name in model.context))
    return document(max(width, math.ceil(wide + 2)), 34 + tall + 6, title, _about(model), *body)


def _spots(model: Graph, width: int) -> dict[str, _Point]:
    """Places: generation runs from left to right and ends at x; context stands in a row below."""
    depths = {name: model.depth(name) for name in model.blocks} | {"x": 0}
    deepest = max(depths.values())
    pitch = min(190.0, (width - 120) / max(deepest, 1))
    spots: dict[str, _Point] = {}
    for depth in range(deepest, -1, -1):
        column = [name for name, d in depths.items() if d == depth]
        for row, name in enumerate(column):
            spots[name] = (pitch * (deepest - depth), 104.0 * (row - (len(column) - 1) / 2))
    lowest = max(y for _, y in spots.values())
    across = int((width - 120) / _CONTEXT_PITCH) + 1
    for first in range(0, len(model.context), across):
        together = model.context[first : first + across]
        step = max(_CONTEXT_PITCH, min(pitch, (width - 120) / max(len(together) - 1, 1)))
        for number, name in enumerate(together):
            offset = step * (number - (len(together) - 1) / 2)
            spots[name] = (pitch * deepest / 2 + offset, lowest + 120.0 * (1 + first // across))
    return spots


def _curves(model: Graph, spots: Mapping[str, _Point]) -> list[tuple[list[_Point], bool]]:
    """Arrows that keep clear of every other node and of each other, bowed as little as that takes."""
    curves: list[tuple[list[_Point], bool]] = []
    taken: set[tuple[str, str, float]] = set()
    for edges, dashed in ((model.generative, False), (model.inference, True)):
        for start, end in edges:
            bow = _bow(start, end, spots, taken)
            taken |= {(start, end, bow), (end, start, -bow)}
            curves.append((_between(spots[start], spots[end], bow), dashed))
    return curves


def _bow(start: str, end: str, spots: Mapping[str, _Point], taken: set[tuple[str, str, float]]) -> float:
    others = [spot for name, spot in spots.items() if name not in (start, end)]
    nearest = min(math.dist(a, b) for a in spots.values() for b in spots.values() if a != b)
    longer = max(1.0, 0.7 * math.dist(spots[start], spots[end]) / nearest)
    for bow in (longer * bow for bow in _BOWS):
        points = _between(spots[start], spots[end], bow)
        clear = all(math.dist(p, other) > _RADIUS + 8 for p in points for other in others)
        if clear and (start, end, bow) not in taken:
            return bow
    return longer * _BOWS[-1]


def _between(start: _Point, end: _Point, bow: float, steps: int = 24) -> list[_Point]:
    """A quadratic curve from rim to rim whose middle stands `bow` pixels off the straight line."""
    (x0, y0), (x1, y1) = start, end
    length = math.dist(start, end)
    control = ((x0 + x1) / 2 + 2 * bow * (y1 - y0) / length, (y0 + y1) / 2 - 2 * bow * (x1 - x0) / length)
    curve = []
    for k in range(4 * steps + 1):
        t = k / (4 * steps)
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        curve.append((a * x0 + b * control[0] + c * x1, a * y0 + b * control[1] + c * y1))
    outside = [p for p in curve if math.dist(p, start) >= _RADIUS + 1 and math.dist(p, end) >= _RADIUS + 3]
    return outside[::4] + outside[-1:]


def _extent(
    spots: Mapping[str, _Point], curves: Sequence[tuple[list[_Point], bool]]
) -> tuple[list[float], list[float]]:
    points = [p for curve, _ in curves for p in curve]
    points += [(x + s * (_RADIUS + 10), y + s * _RADIUS) for x, y in spots.values() for s in (-1, 1)]
    points += [(spots[name][0], spots[name][1] + _RADIUS + 20) for name in spots if _outside(name)]
    return [x for x, _ in points], [y for _, y in points]


def _arrow(points: Sequence[_Point], dashed: bool) -> str:
    x1, y1 = points[-1]
    x0, y0 = next(p for p in reversed(points) if math.dist(p, points[-1]) > 3)
    angle = math.atan2(y1 - y0, x1 - x0)
    colour = ACCENT if dashed else INK
    head = arrow_head(x1, y1, angle, fill=colour, size=8)
    shaft = [p for p in points if math.dist(p, points[-1]) > 6] + [(x1 - 6 * math.cos(angle), y1 - 6 * math.sin(angle))]
    style = {"stroke_width": 1.5, "stroke_dasharray": "5 4" if dashed else None}
    return path(shaft, stroke=colour, class_="inference" if dashed else "generative", **style) + head


def _node(name: str, x: float, y: float, *, observed: bool) -> str:
    size = 15 if len(name) <= 2 else 11
    circle = element("circle", cx=x, cy=y, r=_RADIUS, fill=RULE if observed else PAPER, stroke=INK, stroke_width=1.5)
    if _outside(name):
        return circle + words(x, y + _RADIUS + 14, fit(name, 110, 12), fill=INK, anchor="middle")
    return circle + words(x, y + 5, name, size=size, fill=INK, anchor="middle", style="italic")


def _outside(name: str) -> bool:
    """Whether a name is too long for its circle and stands under it."""
    return len(name) > 5


def _key() -> str:
    return "".join(
        (
            _arrow([(0, 10), (22, 10), (28, 10)], dashed=False),
            words(36, 14, "generates"),
            _arrow([(116, 10), (138, 10), (144, 10)], dashed=True),
            words(152, 14, "infers"),
            element("circle", cx=216, cy=10, r=6, fill=RULE, stroke=INK),
            words(228, 14, "observed"),
        )
    )


def _about(model: Graph) -> str:
    generative = ", ".join(f"{a} to {b}" for a, b in model.generative)
    inference = ", ".join(f"{a} to {b}" for a, b in model.inference)
    return f"Generative arrows: {generative or 'none'}. Inference arrows: {inference or 'none'}."
