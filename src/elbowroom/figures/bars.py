"""Stacked bars: how the variance of each model is made up, beside the variance of the data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from .numbers import rounded
from .svg import (
    ACCENT,
    INK,
    PAPER,
    SOFT,
    Scale,
    arrow_head,
    document,
    element,
    fit,
    key_places,
    line,
    nice_ticks,
    tick_texts,
    words,
)

__all__ = ["Bar", "variance_bars"]

_LONGEST = 250.0
_TALL = 16.0
_SHADES: tuple[dict[str, object], ...] = (
    {"fill": ACCENT},
    {"fill": SOFT, "fill_opacity": 0.35},
    {"fill": PAPER, "stroke": INK, "stroke_dasharray": "3 2"},
)


@dataclass(frozen=True)
class Bar:
    """One model: `parts` in per cent of the data's variance, in the order of the key; `number` stands beside it.

    A part below zero takes away from those before it. `bold` sets the chosen model apart.
    """

    name: str
    parts: tuple[float, ...]
    number: str
    bold: bool = False


def variance_bars(bars: Sequence[Bar], key: Sequence[str], *, width: int, title: str, axis: str) -> str:
    """One stacked bar per model under a hollow one of the data, whose end, 100 %, is the dashed line.

    The first part is dark, the second pale, a third hollow with a dashed rim, so that they differ in grey print too.
    The total stands at the end of each bar; one beyond 250 % is cut there and ends in an arrow.
    """
    narrow = width < 560
    row = 44 if narrow else 32
    keys, top = _key(key, width)
    reach = min(max([100.0, *(max(accumulate(bar.parts)) for bar in bars)]), _LONGEST)
    scale = Scale(0.0, reach, 0 if narrow else 170, width - (56 if narrow else 216))
    floor = top + row * (len(bars) + 1)
    body = [keys, _axis(scale, top, floor, width, axis), _data_row(scale, top, row, narrow)]
    body += [_row(bar, scale, top + row * number, row, width, narrow) for number, bar in enumerate(bars, start=1)]
    return document(width, floor + 40, title, _about(bars, key), *body)


def _key(names: Sequence[str], width: int) -> tuple[str, float]:
    places, marks = key_places(names, width), []
    for (x, y), name, shade in zip(places, names, _SHADES, strict=False):
        marks.append(element("rect", x=x, y=y - 6, width=18.0, height=11.0, **shade))
        marks.append(words(x + 23, y + 4, name, size=11, fill=INK))
    return "".join(marks), places[-1][1] + 16


def _axis(scale: Scale, top: float, floor: float, width: int, axis: str) -> str:
    ticks = nice_ticks(scale.low, scale.high, max(3, int((scale.stop - scale.start) / 80)))
    marks = []
    for tick, text in zip(ticks, tick_texts(ticks), strict=True):
        marks.append(line(scale(tick), top, scale(tick), floor, stroke_width=1))
        marks.append(words(scale(tick), floor + 15, text, size=11, anchor="middle" if tick else "start"))
    marks.append(words(scale.start, floor + 33, axis, size=11))
    return element("g", *marks, class_="tabular")


def _data_row(scale: Scale, y: float, row: float, narrow: bool) -> str:
    level = _level(y, row, narrow)
    text = words(0, y + 14 if narrow else level + 13, "held-out data", size=13, fill=INK)
    rim = element("rect", **_place(scale, 0.0, 100.0, level), fill=PAPER, stroke=INK, class_="data")
    return element("g", text, rim, _total(scale, 100.0, level), class_="tabular")


def _row(bar: Bar, scale: Scale, y: float, row: float, width: int, narrow: bool) -> str:
    colour, weight = (ACCENT, 600) if bar.bold else (INK, None)
    level, whole = _level(y, row, narrow), scale(100.0)
    base = y + 14 if narrow else level + 13
    room = 150 if narrow else 162
    rise = (level - 4, level + _TALL + 4) if narrow else (y, y + row)  # on a narrow page words stand above the bar
    parts = [
        line(whole, rise[0], whole, rise[1], stroke=INK, stroke_dasharray="3 4", class_="whole"),
        words(0, base, fit(bar.name, room, 13), size=13, fill=colour, weight=weight),
        words(width, base, bar.number, size=13, fill=INK, anchor="end", weight=weight),
    ]
    ends = [0.0, *accumulate(bar.parts)]
    for (low, high), shade in zip(pairwise(ends), _SHADES, strict=False):
        place = _place(scale, min(low, high, scale.high), min(max(low, high), scale.high), level)
        parts.append(element("rect", **place, **shade, class_="part"))
    if max(ends) > 100.0:  # the bar hides the data's line
        parts.append(line(whole, level, whole, level + _TALL, stroke=PAPER, stroke_dasharray="3 4"))
    parts.append(_total(scale, ends[-1], level))
    return element("g", *parts, class_="tabular")


def _level(y: float, row: float, narrow: bool) -> float:
    return y + (row - _TALL - 6 if narrow else (row - _TALL) / 2)


def _place(scale: Scale, low: float, high: float, level: float) -> dict[str, float]:
    return {"x": scale(low), "y": level, "width": scale(high) - scale(low), "height": _TALL}


def _total(scale: Scale, total: float, level: float) -> str:
    end, whole = scale(min(total, scale.high)), scale(100.0)
    text = words(
        (whole if end < whole < end + 44 else end) + 8, level + 12, f"{rounded(total, 0)} %", size=11, halo=True
    )
    return text if total <= scale.high else arrow_head(end + 5, level + _TALL / 2, 0.0, fill=SOFT, size=9) + text


def _about(bars: Sequence[Bar], key: Sequence[str]) -> str:
    rows = (
        f"{bar.name}: "
        + ", ".join(f"{name} {rounded(part, 1)} %" for name, part in zip(key, bar.parts, strict=False))
        + f", together {rounded(math.fsum(bar.parts), 0)} %"
        for bar in bars
    )
    return "In per cent of the held-out data's variance. " + "; ".join(rows) + "."
