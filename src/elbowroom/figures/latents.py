"""What the latents do: the map of the latent space and the KL that each latent carries."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .numbers import count
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
    label_colour,
    line,
    nice_ticks,
    text_width,
    tick_texts,
    words,
)

__all__ = ["MAP_LIMIT", "kl_per_latent", "latent_map"]

MAP_LIMIT = 2000
"""Points drawn at most, so that the page stays small: the first of the draw."""

_NAMED_AT_MOST = 20
_KL_FLOOR = 1e-5
_PITCH = 80.0


def latent_map(
    points: ArrayLike, labels: ArrayLike, names: Sequence[str] | None, axes: str, *, width: int, title: str
) -> str:
    """Encoder means [N, 2] coloured by label [N] (−1: none), each label's name at its median.

    `axes` says what the two directions are. Both have the same scale, so that distances can be read.
    """
    spots = np.asarray(points, dtype=np.float64)[:MAP_LIMIT]
    marks = np.asarray(labels).astype(int)[:MAP_LIMIT]
    narrow = width < 560
    height = 360 if narrow else 480
    kinds = sorted(set(marks.tolist()))
    texts = {k: names[k] if names and 0 <= k < len(names) else str(k) for k in kinds if k >= 0}
    key = not narrow and 0 < len(texts) <= _NAMED_AT_MOST
    x, y = _equal_scales(spots, (36, width - (170 if key else 10)), (height - 40, 12))
    drawn = [_axes(x, y, axes)]
    for kind in kinds:
        steps = "".join(f"M{x(a):.1f} {y(b):.1f}h0" for a, b in spots[marks == kind])
        style = {"stroke": label_colour(kind), "stroke_width": 5, "stroke_linecap": "round", "stroke_opacity": 0.8}
        drawn.append(element("path", d=steps, fill="none", **style))
    if key:
        drawn.append(_key(marks, texts, x.stop + 24))
    if len(texts) <= _NAMED_AT_MOST:
        drawn.extend(_names(spots, marks, texts, x, y))
    about = f"{count(len(spots), 'point')}; labels: {', '.join(texts.values()) or 'none'}; axes: {axes}."
    return document(width, height, title, about, *drawn)


def _equal_scales(
    spots: NDArray[np.float64], across: tuple[float, float], up: tuple[float, float]
) -> tuple[Scale, Scale]:
    low, high = np.nanmin(spots, axis=0), np.nanmax(spots, axis=0)
    pixels = np.array([across[1] - across[0], up[0] - up[1]])
    unit = float(np.max(1.1 * np.maximum(high - low, 1e-9) / pixels))
    middle, half = (low + high) / 2, unit * pixels / 2
    (x0, y0), (x1, y1) = middle - half, middle + half
    return Scale(float(x0), float(x1), *across), Scale(float(y0), float(y1), *up)


def _axes(x: Scale, y: Scale, axes: str) -> str:
    marks = []
    across, ups = nice_ticks(x.low, x.high, 6), nice_ticks(y.low, y.high, 5)
    for tick, text in zip(across, tick_texts(across), strict=True):
        marks.append(line(x(tick), y.start, x(tick), y.stop, stroke_width=1))
        marks.append(words(x(tick), y.start + 16, text, size=11, anchor="middle"))
    for tick, text in zip(ups, tick_texts(ups), strict=True):
        marks.append(line(x.start, y(tick), x.stop, y(tick), stroke_width=1))
        marks.append(words(x.start - 6, y(tick) + 4, text, size=11, anchor="end"))
    marks.append(words(x.stop, y.start + 34, axes, anchor="end"))
    return element("g", *marks, class_="tabular")


def _key(marks: NDArray[np.int64], texts: dict[int, str], left: float) -> str:
    rows = []
    for row, (kind, text) in enumerate(texts.items()):
        level = 24.0 + 21 * row
        rows.append(element("circle", cx=left, cy=level - 4, r=5, fill=label_colour(kind)))
        rows.append(words(left + 14, level, fit(text, 84), fill=INK))
        rows.append(words(left + 136, level, count(int((marks == kind).sum())), anchor="end"))
    return element("g", *rows, class_="tabular")


def _names(
    spots: NDArray[np.float64], marks: NDArray[np.int64], texts: dict[int, str], x: Scale, y: Scale
) -> list[str]:
    """Names at the medians, moved down where one would cover another."""
    placed: list[tuple[float, float, float]] = []
    drawn = []
    for kind, text in texts.items():
        short = fit(text, 120, 14)
        a, b = np.median(spots[marks == kind], axis=0)
        half = text_width(short, 14) / 2
        px = min(max(x(float(a)), x.start + half), x.stop - half)
        py = y(float(b)) + 5
        while any(abs(py - other) < 16 and abs(px - left) < half + room for left, other, room in placed):
            py += 4
        placed.append((px, py, half))
        drawn.append(words(px, py, short, size=14, fill=INK, anchor="middle", weight=700, halo=True))
    return drawn


def kl_per_latent(
    kl: Sequence[float], active: Sequence[bool], threshold: float | None, *, width: int, title: str
) -> str:
    """KL to the prior of every latent in nats, sorted, on a logarithmic axis; filled: active, hollow: not.

    A dashed line marks `threshold` (nats); None where what counts as active is not decided by the KL.
    Y. Burda et al., "Importance Weighted Autoencoders" (2016), for active units.
    """
    order = sorted(range(len(kl)), key=lambda i: -kl[i])
    height = 240
    seen = [v for v in kl if v > _KL_FLOOR] + ([threshold] if threshold else [])
    low, high = math.floor(math.log10(min(seen, default=1e-3))), math.ceil(math.log10(max(seen, default=1.0)) + 0.05)
    x = Scale(0.5, len(kl) + 0.5, 52, min(width - 8, 52 + _PITCH * len(kl)))
    y = Scale(low - 0.25, max(high, low + 1), height - 42, 28)
    body = [_kl_axes(x, y, low, max(high, low + 1), order)]
    for place, unit in enumerate(order, start=1):
        body.append(_kl_mark(x(place), kl[unit], active[unit], y))
    if threshold:
        level = y(math.log10(threshold))
        body.append(line(x.start, level, x.stop, level, stroke=ACCENT, stroke_dasharray="4 3"))
        body.append(line(166, 10, 188, 10, stroke=ACCENT, stroke_dasharray="4 3"))
        body.append(words(194, 14, f"threshold {threshold:g} nats", fill=ACCENT))
    about = "; ".join(f"latent {i + 1}: {kl[i]:.3g}" for i in order)
    return document(width, height, title, f"{sum(active)} of {len(kl)} active. KL in nats: {about}.", *body)


def _kl_axes(x: Scale, y: Scale, low: int, high: int, order: Sequence[int]) -> str:
    marks = [words(0, 14, "KL, nats (logarithmic)")]
    for power in range(low, high + 1):
        marks.append(line(x.start, y(power), x.stop, y(power), stroke_width=1))
        marks.append(words(x.start - 8, y(power) + 4, f"{10.0**power:g}", anchor="end"))
    every = max(1, math.ceil(18 * len(order) / (x.stop - x.start)))
    for place, unit in enumerate(order, start=1):
        if (place - 1) % every == 0:
            marks.append(words(x(place), y.start + 16, unit + 1, size=11, anchor="middle"))
    marks.append(words(x.start, y.start + 34, "latent, sorted by its KL"))
    return element("g", *marks, class_="tabular")


def _kl_mark(x: float, value: float, active: bool, y: Scale) -> str:
    if value <= _KL_FLOOR:
        return arrow_head(x, y.start, math.pi / 2, fill=SOFT)
    colour = INK if active else SOFT
    level = y(max(math.log10(value), y.low))
    stem = line(x, y.start, x, level, stroke=colour, stroke_width=1)
    return stem + element(
        "circle", cx=x, cy=level, r=4.5, fill=INK if active else PAPER, stroke=colour, stroke_width=1.5
    )
