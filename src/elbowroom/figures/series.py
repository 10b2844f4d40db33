"""Lines over one axis: an estimate against its cost, a bound against a knob."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from elbowroom.numerics import InputError

from .numbers import rounded
from .svg import (
    INK,
    RULE,
    SOFT,
    Scale,
    document,
    element,
    key_places,
    label_colour,
    line,
    nice_ticks,
    path,
    tick_texts,
    words,
)

__all__ = ["Series", "series_plot"]

INTERVAL = 1.96
_BAND = "var(--band,#eceff2)"
_DASHES = {"line": None, "dashed": "5 3", "points": None}


@dataclass(frozen=True)
class Series:
    """One line: y over x with standard errors (drawn as 95 % intervals) where known; what is not finite is left out.

    look: "line" with dots, "dashed", or "points" alone.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None
    look: Literal["line", "dashed", "points"] = "line"

    @property
    def points(self) -> list[tuple[float, float, float]]:
        """(x, y, standard error or 0) of what can be drawn."""
        errors = [0.0] * len(self.x) if self.error is None else [e if math.isfinite(e) else 0.0 for e in self.error]
        return [
            (float(x), float(y), float(e))
            for x, y, e in zip(self.x, self.y, errors, strict=True)
            if math.isfinite(x) and math.isfinite(y)
        ]


def series_plot(
    series: Sequence[Series],
    *,
    width: int,
    title: str,
    across: str,
    up: str,
    log_x: bool = False,
    limits: tuple[float, float] | None = None,
    band: tuple[float, float] | None = None,
    height: int = 320,
) -> str:
    """Every series over the same axes, named `across` and `up`, with a key above.

    log_x: a logarithmic axis of x, which must be positive; limits: of y, outside which lines are cut; band: an interval
    of y shaded behind all. Raises InputError where nothing can be drawn.
    """
    drawn = [one.points for one in series]
    flat = [p for points in drawn for p in points]
    if not flat:
        raise InputError(f"The figure {title!r} has no finite point to draw.")
    if log_x and min(p[0] for p in flat) <= 0:
        raise InputError(f"The figure {title!r} has a logarithmic axis, on which x must be positive.")
    places = key_places([one.name for one in series], width)
    top = places[-1][1] + 40
    x = _across(flat, log_x, 56, width - 16)
    y = Scale(*(limits or _limits(flat, band)), top + height - 62, top)
    body = [_key(series, places), words(0, top - 12, up, size=12), _axes(x, y, across, log_x, band)]
    body.append(_lines(series, drawn, x, y, log_x))
    return document(width, top + height - 16, title, _about(series, drawn, across, up), *body, class_="tabular")


def _across(points: Sequence[tuple[float, float, float]], log_x: bool, start: float, stop: float) -> Scale:
    found = [math.log10(p[0]) if log_x else p[0] for p in points]
    pad = 0.04 * (max(found) - min(found)) or 0.5
    return Scale(min(found) - pad, max(found) + pad, start, stop)


def _limits(points: Sequence[tuple[float, float, float]], band: tuple[float, float] | None) -> tuple[float, float]:
    ends = [y + s * INTERVAL * e for _, y, e in points for s in (-1, 1)] + list(band or ())
    pad = 0.06 * (max(ends) - min(ends)) or 1.0
    return min(ends) - pad, max(ends) + pad


def _axes(x: Scale, y: Scale, across: str, log_x: bool, band: tuple[float, float] | None) -> str:
    marks = []
    if band:
        low, high = max(band[0], y.low), min(band[1], y.high)
        marks.append(
            element("rect", x=x.start, y=y(high), width=x.stop - x.start, height=max(y(low) - y(high), 1.5), fill=_BAND)
        )
    ticks = nice_ticks(y.low, y.high, 5)
    for tick, text in zip(ticks, tick_texts(ticks), strict=True):
        marks.append(line(x.start, y(tick), x.stop, y(tick), stroke=RULE, stroke_width=1))
        marks.append(words(x.start - 8, y(tick) + 4, text, anchor="end"))
    for tick, text in _ticks_across(x, log_x):
        marks.append(line(x(tick), y.start, x(tick), y.start + 5, stroke=SOFT))
        marks.append(words(x(tick), y.start + 18, text, anchor="middle"))
    marks.append(line(x.start, y.start, x.stop, y.start, stroke=SOFT, stroke_width=1))
    marks.append(words(x.stop, y.start + 38, across, anchor="end"))
    return "".join(marks)


def _ticks_across(x: Scale, log_x: bool) -> list[tuple[float, str]]:
    if not log_x:
        ticks = nice_ticks(x.low, x.high, 6)
        return list(zip(ticks, tick_texts(ticks), strict=True))
    powers = range(math.ceil(x.low), math.floor(x.high) + 1)
    steps = (1, 2, 5) if len(powers) < 3 else (1,)
    found = [(math.log10(m) + p, m * 10.0**p) for p in range(math.floor(x.low), math.ceil(x.high)) for m in steps]
    found += [(float(math.ceil(x.high)), 10.0 ** math.ceil(x.high))]
    return [(place, f"{value:,g}" if value < 1e6 else f"{value:.0e}") for place, value in found if x.holds(place)]


def _lines(
    series: Sequence[Series], drawn: Sequence[Sequence[tuple[float, float, float]]], x: Scale, y: Scale, log_x: bool
) -> str:
    """All lines inside a nested svg, which cuts what leaves the panel without needing an id."""
    left, top = x.start - 6, y.stop - 6
    marks = []
    for number, (one, points) in enumerate(zip(series, drawn, strict=True)):
        colour = label_colour(number)
        at = [(x(math.log10(a) if log_x else a) - left, y(b) - top, abs(y(e) - y(0.0))) for a, b, e in points]
        if one.look != "points" and len(at) > 1:
            dash = _DASHES[one.look]
            marks.append(path([(a, b) for a, b, _ in at], stroke=colour, stroke_width=2, stroke_dasharray=dash))
        for a, b, e in at:
            marks.append(line(a, b - INTERVAL * e, a, b + INTERVAL * e, stroke=colour, stroke_width=1.5))
            if one.look != "dashed":
                marks.append(element("circle", cx=a, cy=b, r=3.5, fill=colour))
    frame = {"x": left, "y": top, "width": x.stop - left + 6, "height": y.start - top + 6, "overflow": "hidden"}
    return element("svg", *marks, **frame)


def _key(series: Sequence[Series], places: Sequence[tuple[float, float]]) -> str:
    parts = []
    for number, ((a, b), one) in enumerate(zip(places, series, strict=True)):
        colour = label_colour(number)
        if one.look != "points":
            parts.append(line(a, b, a + 18, b, stroke=colour, stroke_width=2, stroke_dasharray=_DASHES[one.look]))
        if one.look != "dashed":
            parts.append(element("circle", cx=a + 9, cy=b, r=3.5, fill=colour))
        parts.append(words(a + 23, b + 4, one.name, size=11, fill=INK))
    return "".join(parts)


def _about(
    series: Sequence[Series], drawn: Sequence[Sequence[tuple[float, float, float]]], across: str, up: str
) -> str:
    said = "; ".join(
        f"{one.name}: " + ", ".join(f"{rounded(b, 2)} at {a:g}" for a, b, _ in points)
        for one, points in zip(series, drawn, strict=True)
    )
    return f"{up} against {across}. {said}."
