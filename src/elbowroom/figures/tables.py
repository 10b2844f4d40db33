"""Quantile strips: data, ancestral samples and decoder means of a table, column by column."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .svg import ACCENT, INK, SOFT, Scale, document, element, fit, key_places, line, words

__all__ = ["COLUMN_LIMIT", "quantile_strips"]

COLUMN_LIMIT = 24
"""Columns drawn at most: the first of the table."""

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def quantile_strips(series: Sequence[tuple[str, ArrayLike]], columns: Sequence[str], *, width: int, title: str) -> str:
    """For each column one strip per series ([n, columns] each): 5–95 % thin, 25–75 % thick, a tick at the median.

    The first series is the data, drawn in the accent. Every column has an axis of its own, its ends printed.
    """
    tables = [(name, np.asarray(values, dtype=np.float64)) for name, values in series]
    shown = list(columns)[:COLUMN_LIMIT]
    narrow = width < 560
    pitch = 12
    block = pitch * len(tables) + (34 if narrow else 22)
    key, top = _key([name for name, _ in tables], width)
    x0, x1 = (70, width - 70) if narrow else (260, width - 76)
    body = [key]
    for number, name in enumerate(shown):
        y = top + block * number + 8
        body.append(_column(name, [t[:, number] for _, t in tables], y, x0, x1, pitch, narrow))
    about = f"{len(shown)} columns; medians: " + "; ".join(_medians(tables, i, n) for i, n in enumerate(shown))
    return document(width, top + block * len(shown) + 6, title, about + ".", *body)


def _key(names: Sequence[str], width: int) -> tuple[str, float]:
    places, marks = key_places(names, width), []
    for number, ((x, y), name) in enumerate(zip(places, names, strict=True)):
        marks.append(line(x, y, x + 18, y, stroke=_colour(number), stroke_width=5, stroke_opacity=_weight(number)))
        marks.append(words(x + 23, y + 4, name, size=11, fill=INK))
    return "".join(marks), places[-1][1] + 14


def _column(name: str, values: Sequence[np.ndarray], y: float, x0: float, x1: float, pitch: float, narrow: bool) -> str:
    quantiles = [np.nanquantile(v, _QUANTILES) if np.isfinite(v).any() else None for v in values]
    known = [q for q in quantiles if q is not None]
    low, high = (min(q[0] for q in known), max(q[-1] for q in known)) if known else (0.0, 1.0)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    scale = Scale(float(low), float(high), x0, x1)
    tall = pitch * len(values)
    first = y + (22 if narrow else 6)
    room = (x1 + 60) if narrow else x0 - 70
    label = words(0, y + (10 if narrow else tall / 2 + 6), fit(name, room, 13), size=13, fill=INK)
    ends = words(x0 - 10, first + tall / 2, f"{low:.3g}".replace("-", "−"), size=11, anchor="end")
    ends += words(x1 + 10, first + tall / 2, f"{high:.3g}".replace("-", "−"), size=11)
    strips = []
    for number, q in enumerate(quantiles):
        level = first + pitch * number
        if q is None:
            strips.append(words(x0, level + 4, "no finite values", size=10))
            continue
        a, b, m, c, d = (scale(float(v)) for v in q)
        colour, opacity = _colour(number), _weight(number)
        strips.append(line(a, level, d, level, stroke=colour, stroke_width=1.2, stroke_opacity=opacity))
        strips.append(line(b, level, c, level, stroke=colour, stroke_width=5, stroke_opacity=opacity))
        strips.append(line(m, level - 4.5, m, level + 4.5, stroke=INK, stroke_width=2))
    return element("g", label, ends, *strips, class_="tabular")


def _colour(number: int) -> str:
    return (ACCENT, INK, SOFT)[min(number, 2)]


def _weight(number: int) -> float:
    return (0.9, 0.55, 0.6)[min(number, 2)]


def _medians(tables: Sequence[tuple[str, np.ndarray]], column: int, name: str) -> str:
    medians = ", ".join(f"{kind} {float(np.median(values[:, column])):.3g}" for kind, values in tables)
    return f"{name}: {medians}"
