"""The ladder: held-out log-likelihoods with intervals on one axis, best at the top."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .numbers import count, with_error
from .svg import ACCENT, INK, SOFT, Scale, arrow_head, document, element, fit, line, nice_ticks, tick_texts, words

__all__ = ["Rung", "ladder"]

INTERVAL = 1.96
_ARROW = 34.0
_OUTLYING = 8.0
_SIGN = {"lower": "≥ ", "upper": "≤ "}
_IN_WORDS = {"lower": "at least ", "upper": "at most "}


@dataclass(frozen=True)
class Rung:
    """One model: mean log-likelihood per example with both errors; `direction` as in Estimate.

    `bold` sets the study's own model apart from what it is compared with.
    """

    name: str
    detail: str
    value: float
    se_mc: float
    se_total: float
    direction: str
    bold: bool


def ladder(
    rungs: Sequence[Rung], *, width: int, title: str, unit: str = "nats per example", contest: bool = True
) -> str:
    """Intervals first, then a dot; a bound is an arrow to where the truth lies: a lower one to the right.

    The thin interval is 1.96 standard errors from examples and draws together, the thick one from draws alone.
    A value far below the others is named at the left edge and not drawn to scale. contest: whether right is better, as
    it is for models and not for estimates of one.
    """
    ordered = sorted(rungs, key=lambda r: r.value, reverse=True)
    narrow = width < 560
    row, top = (54, 12) if narrow else (42, 12)
    low, high = _range(ordered)
    scale = Scale(low, high, 14 if narrow else 234, width - (_ARROW + 8 if narrow else 126 + _ARROW))
    floor = top + row * len(ordered)
    best_classic = next((r.value for r in ordered if not r.bold), None)
    body = [_axis(scale, top, floor, unit + " (right is better)" * contest)]
    if best_classic is not None and scale.holds(best_classic):
        x = scale(best_classic)
        body.append(line(x, top - 4, x, floor, stroke=SOFT, stroke_width=1, stroke_dasharray="3 4"))
    for position, rung in enumerate(ordered):
        body.append(_row(rung, scale, top + row * position, row, width, narrow))
    return document(width, floor + 44, title, _about(ordered, unit), *body)


def _range(rungs: Sequence[Rung]) -> tuple[float, float]:
    """Limits of the axis; a rung that would squeeze the others into an eighth of it is left outside."""
    values = sorted((r.value for r in rungs), reverse=True)
    kept = len(values)
    while kept > 3 and values[0] - values[kept - 1] > _OUTLYING * (values[0] - values[kept - 2]) > 0:
        kept -= 1
    inside = [r for r in rungs if r.value >= values[kept - 1]]
    reach = [r.value + s * INTERVAL * _finite(r.se_total) for r in inside for s in (-1, 1)]
    pad = 0.06 * (max(reach) - min(reach)) or 1.0
    return min(reach) - pad, max(reach) + pad


def _finite(error: float) -> float:
    return error if error == error else 0.0


def _axis(scale: Scale, top: float, floor: float, unit: str) -> str:
    ticks = nice_ticks(scale.low, scale.high, max(3, int((scale.stop - scale.start) / 80)))
    marks = [line(scale(t), top - 4, scale(t), floor, stroke_width=1) for t in ticks]
    marks += [
        words(scale(t), floor + 16, text, anchor="middle") for t, text in zip(ticks, tick_texts(ticks), strict=True)
    ]
    middle = (scale.start + scale.stop) / 2
    marks.append(words(middle, floor + 36, f"log p(x), {unit}", anchor="middle"))
    return "".join(marks)


def _row(rung: Rung, scale: Scale, y: float, row: float, width: int, narrow: bool) -> str:
    colour = ACCENT if rung.bold else INK
    middle = y + (34 if narrow else row / 2)
    number = _SIGN.get(rung.direction, "") + with_error(rung.value, rung.se_total)
    weight = 600 if rung.bold else None
    if narrow:
        text = words(0, y + 14, fit(rung.name, width - 150, 13), size=13, fill=colour, weight=weight)
        text += words(width, y + 14, number, size=13, fill=INK, anchor="end")
    else:
        text = words(0, middle - 2, fit(rung.name, 226, 13), size=13, fill=colour, weight=weight)
        text += words(0, middle + 13, fit(rung.detail, 226, 11), size=11)
        text += words(width, middle + 5, number, size=13, fill=INK, anchor="end")
    return element("g", text, _mark(rung, scale, middle, colour), class_="tabular")


def _mark(rung: Rung, scale: Scale, y: float, colour: str) -> str:
    if not scale.holds(rung.value):
        edge = scale.start
        return line(edge + 4, y, edge + 30, y, stroke=SOFT, stroke_dasharray="2 3") + arrow_head(
            edge, y, math.pi, fill=SOFT
        )
    x = scale(rung.value)
    marks = []
    for error, thickness in ((rung.se_total, 1.5), (rung.se_mc, 5.0)):
        reach = INTERVAL * _finite(error)
        ends = scale(max(rung.value - reach, scale.low)), scale(min(rung.value + reach, scale.high))
        marks.append(line(ends[0], y, ends[1], y, stroke=colour, stroke_width=thickness))
    if rung.direction in _SIGN:
        side, angle = (1, 0.0) if rung.direction == "lower" else (-1, math.pi)
        marks.append(line(x, y - 8, x, y + 8, stroke=colour, stroke_width=2))
        marks.append(line(x, y, x + side * (_ARROW - 6), y, stroke=colour, stroke_width=2, class_="bound"))
        marks.append(arrow_head(x + side * _ARROW, y, angle, fill=colour, size=9))
    else:
        marks.append(element("circle", cx=x, cy=y, r=4.5, fill=colour, class_="dot"))
    return "".join(marks)


def _about(rungs: Sequence[Rung], unit: str) -> str:
    rows = (f"{r.name}, {r.detail}: {_IN_WORDS.get(r.direction, '')}{with_error(r.value, r.se_total)}" for r in rungs)
    return f"{count(len(rungs), 'row')} in {unit}, best first. " + "; ".join(rows) + "."
