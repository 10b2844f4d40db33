"""Learning curves: objective, rate and distortion over epochs, training beside validation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .svg import ACCENT, INK, SOFT, Scale, document, element, key_places, line, nice_ticks, path, tick_texts, words

__all__ = ["learning_curves"]

_BAND = "var(--band,#eceff2)"
_PANELS = (("objective", "objective (minimised)"), ("rate", "rate (the KL)"), ("distortion", "distortion"))


def learning_curves(history: Sequence[Mapping[str, Any]], best_epoch: int, *, width: int, title: str) -> str:
    """Three panels in nats per example; a dashed line marks the epoch whose parameters were kept.

    `history`: one record per epoch with `epoch`, `beta`, `train` and `validation`. Grey: β still rising. The
    first epochs may run out of the panel at the top, so that the rest can be read.
    """
    narrow = width < 560
    across, tall, gap = (1, 170, 0) if narrow else (3, 226, 26)
    key, top = _key(history, best_epoch, width)
    panel = (width - gap * (across - 1)) / across
    body = [key]
    for number, (part, name) in enumerate(_PANELS):
        x0, y0 = (0, top + tall * number) if narrow else ((panel + gap) * number, top)
        body.append(element("g", *_panel(history, part, name, best_epoch, x0, y0, panel, tall), class_="tabular"))
    about = _about(history, best_epoch)
    return document(width, top + tall * (len(_PANELS) if narrow else 1) + 4, title, about, *body)


def _panel(
    history: Sequence[Mapping[str, Any]], key: str, name: str, best: int, x0: float, y0: float, wide: float, tall: float
) -> list[str]:
    epochs = [float(h["epoch"]) for h in history]
    series = {part: np.array([_value(h, part, key) for h in history]) for part in ("train", "validation")}
    x = Scale(min(epochs) - 0.5, max(epochs) + 0.5, x0 + 44, x0 + wide - 16)
    y = Scale(*_limits(list(series.values())), y0 + tall - 40, y0 + 28)
    parts = [words(x0, y0 + 14, name, size=13, fill=INK, weight=600)]
    warm = _rising(history)
    if warm:
        end = x(min(warm, x.high))
        parts.append(element("rect", x=x.start, y=y.stop, width=end - x.start, height=y.start - y.stop, fill=_BAND))
    ups = nice_ticks(y.low, y.high, 4)
    for tick, text in zip(ups, tick_texts(ups), strict=True):
        parts.append(line(x.start, y(tick), x.stop, y(tick), stroke_width=1))
        parts.append(words(x.start - 6, y(tick) + 4, text, size=11, anchor="end"))
    across = [t for t in nice_ticks(x.low, x.high, 4) if t == int(t)]
    for tick, text in zip(across, tick_texts(across), strict=True):
        parts.append(words(x(tick), y.start + 16, text, size=11, anchor="middle"))
    parts.append(words(x.stop, y.start + 32, "epoch", size=11, anchor="end"))
    if x.holds(best):
        parts.append(line(x(best), y.stop, x(best), y.start, stroke=ACCENT, stroke_width=1, stroke_dasharray="3 3"))
    parts.append(_curves(series, epochs, x, y))
    return parts


def _curves(series: Mapping[str, np.ndarray], epochs: Sequence[float], x: Scale, y: Scale) -> str:
    """Both lines inside a nested svg, which cuts what runs out of the panel without needing an id."""
    left, top = x.start, y.stop - 2
    drawn = []
    for part, colour, thickness, dash in (("train", SOFT, 1.4, "5 3"), ("validation", ACCENT, 2.0, None)):
        points = [(x(e) - left, y(v) - top) for e, v in zip(epochs, series[part], strict=True) if np.isfinite(v)]
        if len(points) == 1:
            drawn.append(element("circle", cx=points[0][0], cy=points[0][1], r=3, fill=colour))
        elif points:
            drawn.append(path(points, stroke=colour, stroke_width=thickness, stroke_dasharray=dash))
    frame = {"x": left, "y": top, "width": x.stop - left, "height": y.start - top + 2, "overflow": "hidden"}
    return element("svg", *drawn, **frame)


def _key(history: Sequence[Mapping[str, Any]], best: int, width: int) -> tuple[str, float]:
    """The key above the panels, in as many rows as it takes; and its height."""
    entries = [
        ("validation", ACCENT, 2.0, None),
        ("training", SOFT, 1.4, "5 3"),
        (f"kept: epoch {best}", ACCENT, 1.0, "3 3"),
    ]
    if _rising(history):
        entries.append(("β rising", _BAND, 12.0, None))
    places, parts = key_places([name for name, *_ in entries], width), []
    for (x, y), (name, colour, thickness, dash) in zip(places, entries, strict=True):
        parts.append(line(x, y, x + 18, y, stroke=colour, stroke_width=thickness, stroke_dasharray=dash))
        parts.append(words(x + 23, y + 4, name, size=11))
    return "".join(parts), places[-1][1] + 14


def _value(record: Mapping[str, Any], part: str, key: str) -> float:
    value = (record.get(part) or {}).get(key)
    return float("nan") if value is None else float(value)


def _limits(series: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits that hold every value but the steep start: what the first twentieth of the epochs alone reaches."""
    values = np.concatenate([s[len(s) // 20 :] for s in series])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low = min(float(np.nanmin(s)) if np.isfinite(s).any() else np.inf for s in series)
    high = float(values.max())
    pad = 0.06 * (high - low) or 1.0
    return low - pad, high + pad


def _rising(history: Sequence[Mapping[str, Any]]) -> float | None:
    """The last epoch before β reached its final value; None where it never changed."""
    weights = [h["train"].get("beta", h.get("beta")) for h in history]
    rising = [float(h["epoch"]) for h, beta in zip(history, weights, strict=True) if beta != weights[-1]]
    return max(rising, default=None)


def _about(history: Sequence[Mapping[str, Any]], best: int) -> str:
    kept = next((h for h in history if h["epoch"] == best), history[-1])
    ends = [f"{key} {_value(kept, 'validation', key):.1f}" for key, _ in _PANELS]
    return f"{len(history)} epochs; at the kept epoch {best}, on validation: {', '.join(ends)} nats per example."
