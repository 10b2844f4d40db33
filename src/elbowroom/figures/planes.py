"""The rate–distortion plane with lines of equal ELBO."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .numbers import rounded, with_error
from .svg import (
    ACCENT,
    INK,
    PAPER,
    SOFT,
    Scale,
    document,
    element,
    escape,
    line,
    nice_ticks,
    path,
    text_width,
    tick_texts,
    words,
)

__all__ = ["Tradeoff", "rate_distortion"]

INTERVAL = 1.96
_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Tradeoff:
    """One model of the sweep: held-out rate and distortion in nats per example, each (value, standard error).

    A model whose rate or distortion is not finite keeps its number and is not drawn.
    """

    label: str
    rate: tuple[float, float]
    distortion: tuple[float, float]
    chosen: bool = False


def rate_distortion(models: Sequence[Tradeoff], *, width: int, title: str, joined: bool = True) -> str:
    """Rate across, distortion up; ELBO = −(rate + distortion), so lines of equal ELBO fall from left to right.

    joined: with a line from model to model by their rates, for a sweep along one number. Each model is a group of class
    `point` with its number in `data-model`; the page's style and script mark it.
    A. Alemi et al., "Fixing a Broken ELBO" (2018).
    """
    drawn = [m for m in models if math.isfinite(m.rate[0]) and math.isfinite(m.distortion[0])]
    height = 340 if width < 560 else 440
    left, right, top, bottom = 52, width - 38, 30, height - 44
    x = _scale([m.rate for m in drawn], left, right, at_zero=True)
    y = _scale([m.distortion for m in drawn], bottom, top)
    lines, names = _equal_elbo(x, y)
    body = [_axes(x, y), lines]
    ordered = sorted((i for i, m in enumerate(models) if m in drawn), key=lambda i: models[i].rate[0])
    if joined:
        points = [(x(models[i].rate[0]), y(models[i].distortion[0])) for i in ordered]
        body.append(path(points, stroke=SOFT, stroke_width=1))
    spots = _label_spots(models, x, y, names)
    for i in sorted(ordered, key=lambda i: models[i].chosen):
        body.append(_point(i, models[i], x, y, spots[i]))
    return document(width, height, title, _about(models), *body, role="group")


def _scale(pairs: Sequence[tuple[float, float]], start: float, stop: float, at_zero: bool = False) -> Scale:
    reach = [v + s * INTERVAL * (e if e == e else 0.0) for v, e in pairs for s in (-1, 1)]
    pad = 0.08 * (max(reach) - min(reach)) or 1.0
    low = min(reach) - pad
    # A rate near zero means collapse: where the sweep comes near it, show how near.
    return Scale(min(0.0, min(reach)) if at_zero and low < 0.3 * max(reach) else low, max(reach) + pad, start, stop)


def _axes(x: Scale, y: Scale) -> str:
    marks = []
    across, up = nice_ticks(x.low, x.high, int((x.stop - x.start) / 64)), nice_ticks(y.low, y.high, 5)
    for tick, text in zip(up, tick_texts(up), strict=True):
        marks.append(line(x.start, y(tick), x.stop, y(tick), stroke_width=1))
        marks.append(words(x.start - 8, y(tick) + 4, text, anchor="end"))
    for tick, text in zip(across, tick_texts(across), strict=True):
        marks.append(line(x(tick), y.start, x(tick), y.start + 5, stroke=SOFT))
        marks.append(words(x(tick), y.start + 18, text, anchor="middle"))
    marks.append(line(x.start, y.start, x.stop, y.start, stroke=SOFT, stroke_width=1))
    marks.append(words(0, 14, "distortion, nats per example", size=12))
    marks.append(words(x.stop, y.start + 38, "rate, nats per example", anchor="end"))
    return element("g", *marks, class_="tabular")


def _equal_elbo(x: Scale, y: Scale) -> tuple[str, list[_Box]]:
    """Lines rate + distortion = −ELBO inside the frame, each named where it leaves it; and where names stand."""
    marks, names, boxes = [], [], []
    ticks = nice_ticks(-(x.high + y.high), -(x.low + y.low), 9)
    for elbo, text in zip(ticks, tick_texts(ticks), strict=True):
        (x1, y1), (x2, y2) = _crossing(-elbo, x, y)
        if x(x2) - x(x1) < 12:
            continue
        marks.append(line(x(x1), y(y1), x(x2), y(y2), stroke=SOFT, stroke_width=1, stroke_dasharray="2 5"))
        if y2 - y.low > 1e-6 * (y.high - y.low):
            names.append(words(x.stop + 5, y(y2) + 4, text, size=11))
        elif x(x2) - x.start > 40:
            names.append(words(x(x2) - 8, y.start - 5, text, size=11, anchor="end", halo=True))
            boxes.append((x(x2) - 8 - text_width(text, 11), y.start - 14, x(x2) - 8, y.start - 4))
    names.append(words(x.stop + 5, y.stop - 16, "ELBO", size=11))
    return "".join(marks + names), boxes


def _crossing(total: float, x: Scale, y: Scale) -> tuple[tuple[float, float], tuple[float, float]]:
    """Ends of the line rate + distortion = total inside the frame."""
    first = max(x.low, total - y.high)
    last = min(x.high, total - y.low)
    return (first, total - first), (last, total - last)


def _point(index: int, model: Tradeoff, x: Scale, y: Scale, spot: tuple[float, float, str] | None) -> str:
    colour = ACCENT if model.chosen else INK
    px, py = x(model.rate[0]), y(model.distortion[0])
    ends = [INTERVAL * (e if e == e else 0.0) for e in (model.rate[1], model.distortion[1])]
    name = f"{model.label}{' (chosen)' if model.chosen else ''}"
    parts = [
        element("title", escape(_said(model))),
        element("circle", cx=px, cy=py, r=16.0, fill=PAPER, fill_opacity=0.01),
        element("circle", cx=px, cy=py, r=10.0, fill="none", stroke=colour, stroke_width=1.5, class_="halo"),
        line(x(model.rate[0] - ends[0]), py, x(model.rate[0] + ends[0]), py, stroke=colour, stroke_width=1.5),
        line(
            px, y(model.distortion[0] - ends[1]), px, y(model.distortion[0] + ends[1]), stroke=colour, stroke_width=1.5
        ),
        element(
            "circle",
            cx=px,
            cy=py,
            r=6.0 if model.chosen else 4.5,
            fill=colour if model.chosen else PAPER,
            stroke=colour,
            stroke_width=2,
        ),
    ]
    if spot:
        weight = 600 if model.chosen else None
        parts.append(words(spot[0], spot[1], name, fill=colour, anchor=spot[2], weight=weight, halo=True))
    return element("g", *parts, class_=f"point point-{index}", data_model=index)


def _label_spots(
    models: Sequence[Tradeoff], x: Scale, y: Scale, names: Sequence[_Box]
) -> list[tuple[float, float, str] | None]:
    """Where each label goes so that none covers another or a dot; the chosen model is served first."""
    dots = [(x(m.rate[0]), y(m.distortion[0])) for m in models]
    taken: list[_Box] = [*names, *((a - 7, b - 7, a + 7, b + 7) for a, b in dots)]
    spots: list[tuple[float, float, str] | None] = [None] * len(models)
    for i in sorted(range(len(models)), key=lambda i: not models[i].chosen):
        wide = text_width(models[i].label + (" (chosen)" if models[i].chosen else ""))
        a, b = dots[i]
        for sx, sy, anchor in (
            (13, -9, "start"),
            (13, 17, "start"),
            (-13, 17, "end"),
            (-13, -9, "end"),
            (18, 4, "start"),
            (13, -24, "start"),
            (13, 32, "start"),
            (-13, -24, "end"),
            (-13, 32, "end"),
        ):
            x1 = a + sx - (wide if anchor == "end" else 0)
            box = (x1, b + sy - 11, x1 + wide, b + sy + 3)
            inside = box[0] > x.start and box[2] < x.stop + 4 and box[1] > y.stop and box[3] < y.start
            if inside and not any(_overlap(box, other) for other in taken):
                spots[i] = (a + sx, b + sy, anchor)
                taken.append(box)
                break
    return spots


def _overlap(a: _Box, b: _Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _said(model: Tradeoff) -> str:
    elbo = -(model.rate[0] + model.distortion[0])
    return (
        f"{model.label}: rate {with_error(*model.rate)}, distortion {with_error(*model.distortion)}, "
        f"ELBO {rounded(elbo, 1)} nats"
    )


def _about(models: Sequence[Tradeoff]) -> str:
    chosen = "".join(f" Chosen: {m.label}." for m in models if m.chosen)
    return "; ".join(_said(m) for m in models) + "." + chosen
