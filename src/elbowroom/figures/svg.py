"""Small pieces of SVG. Colours are CSS variables with light fallbacks, text stays text, nothing needs an id."""

import html
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "ACCENT",
    "INK",
    "PAPER",
    "RULE",
    "SOFT",
    "Scale",
    "arrow_head",
    "document",
    "element",
    "escape",
    "fit",
    "key_places",
    "label_colour",
    "line",
    "nice_ticks",
    "path",
    "text_width",
    "tick_texts",
    "words",
]

INK, SOFT, RULE = "var(--ink,#1b1f24)", "var(--soft,#59616b)", "var(--rule,#dfe3e8)"
ACCENT, PAPER = "var(--accent,#0b6b75)", "var(--paper,#ffffff)"

# M. A. Petroff, "Accessible color sequences for data visualization" (2021): ten colours, told apart by
# colour-blind readers, of differing lightness.
_LABELS = ["#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"]

_WIDE_FACE = 0.57  # mean width of a character over the size of the type, in the widest system faces

_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def label_colour(index: int) -> str:
    """The colour of label `index`, the same in every figure; grey for −1, which means no label."""
    if index < 0:
        return SOFT
    return f"var(--label-{index % len(_LABELS)},{_LABELS[index % len(_LABELS)]})"


def escape(text: object) -> str:
    """Text as it may stand in SVG and HTML; characters that XML does not allow become �."""
    return html.escape(_UNPRINTABLE.sub("\ufffd", str(text)))


def _number(value: object) -> str:
    if isinstance(value, float):
        text = f"{value:.1f}".removesuffix(".0")
        return "0" if text == "-0" else text
    return escape(value)


def element(tag: str, *children: str, **attributes: object) -> str:
    """One element; `children` are SVG already, attributes are escaped, `_` in their names becomes `-`.

    >>> element("circle", cx=1.26, r=3, stroke_width=2)
    '<circle cx="1.3" r="3" stroke-width="2"/>'
    """
    inside = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_number(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{inside}>{''.join(children)}</{tag}>" if children else f"<{tag}{inside}/>"


def words(
    x: float,
    y: float,
    text: object,
    *,
    size: float = 12,
    fill: str = SOFT,
    anchor: str | None = None,
    weight: int | None = None,
    style: str | None = None,
    halo: bool = False,
) -> str:
    """One line of text at its baseline (x, y); a halo in the paper's colour keeps it readable over marks."""
    place = {"x": float(x), "y": float(y), "font_size": size, "fill": fill, "text_anchor": anchor}
    face = {"font_weight": weight, "font_style": style}
    around = {"paint_order": "stroke", "stroke": PAPER, "stroke_width": 4, "stroke_linejoin": "round"}
    return element("text", escape(text), **place, **face, **(around if halo else {}))


def line(x1: float, y1: float, x2: float, y2: float, *, stroke: str = RULE, **attributes: object) -> str:
    """A straight line."""
    ends = {"x1": float(x1), "y1": float(y1), "x2": float(x2), "y2": float(y2)}
    return element("line", **ends, stroke=stroke, **attributes)


def path(points: Sequence[tuple[float, float]], *, stroke: str = INK, **attributes: object) -> str:
    """An open line through `points`."""
    steps = "L".join(f"{_number(float(x))} {_number(float(y))}" for x, y in points)
    return element("path", d="M" + steps, fill="none", stroke=stroke, stroke_linejoin="round", **attributes)


def arrow_head(x: float, y: float, angle: float, *, fill: str = INK, size: float = 7) -> str:
    """A filled arrow head whose tip stands at (x, y), pointing along `angle` (radians, y downwards)."""
    corners = [(x, y)]
    for side in (2.75, -2.75):
        corners.append((x + size * 1.1 * math.cos(angle + side), y + size * 1.1 * math.sin(angle + side)))
    return element("polygon", points=" ".join(f"{_number(a)},{_number(b)}" for a, b in corners), fill=fill)


def document(width: int, height: float, title: str, about: str, *body: str, **attributes: object) -> str:
    """The whole figure: `title` names it, `about` says in words what a reader who cannot see it should know."""
    role = attributes.pop("role", "img")
    return element(
        "svg",
        element("title", escape(title)),
        element("desc", escape(about)),
        *body,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {math.ceil(height)}",
        role=role,
        font_family="system-ui, sans-serif",
        font_size=12,
        **attributes,
    )


def text_width(text: str, size: float = 12) -> float:
    """A generous guess at the width of `text` in pixels, since no font is at hand to measure it with."""
    return _WIDE_FACE * size * len(text)


def fit(text: str, width: float, size: float = 12) -> str:
    """`text`, cut with an ellipsis where it would be wider than `width` pixels."""
    room = max(int(width / (_WIDE_FACE * size)), 2)
    return text if len(text) <= room else text[: room - 1].rstrip() + "…"


def key_places(names: Sequence[str], width: float, size: float = 11) -> list[tuple[float, float]]:
    """Where the entries of a key stand, each an 18-pixel mark and its name, in as many rows as it takes."""
    x, y, places = 0.0, 8.0, []
    for name in names:
        room = 23 + text_width(name, size)
        if x and x + room > width:
            x, y = 0.0, y + 20
        places.append((x, y))
        x += room + 16
    return places


@dataclass(frozen=True)
class Scale:
    """A linear map from data values low … high to pixels start … stop."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.stop - self.start)

    def holds(self, value: float) -> bool:
        """Whether the value lies on the scale."""
        return self.low <= value <= self.high


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within low … high, roughly `about` of them.

    >>> nice_ticks(3.0, 97.0)
    [20.0, 40.0, 60.0, 80.0]
    """
    rough = (high - low) / about
    if not rough > 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda s: abs(s - rough))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Ticks as text, all with the decimals that the step between them needs."""
    step = min((b - a for a, b in itertools.pairwise(ticks)), default=abs(ticks[0]) if ticks else 1.0)
    digits = 0 if step == 0 else max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{t:,.{digits}f}".replace("-", "−") for t in ticks]
