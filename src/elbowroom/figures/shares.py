"""Shares of classes: how often each stands in the data and in samples, column by column."""

from collections.abc import Sequence
from dataclasses import dataclass

from .numbers import rounded
from .svg import ACCENT, INK, Scale, document, element, fit, key_places, words

__all__ = ["Share", "class_shares"]

_TALL = 6.0
_ROW = 22.0
_SHADES: tuple[dict[str, object], ...] = ({"fill": ACCENT}, {"fill": INK, "fill_opacity": 0.45})


@dataclass(frozen=True)
class Share:
    """One class of a column: its `name` and its share of each series, 0 to 1."""

    name: str
    parts: tuple[float, ...]


def class_shares(
    columns: Sequence[tuple[str, Sequence[Share]]], series: Sequence[str], *, width: int, title: str
) -> str:
    """For each column its classes, each with a bar per series from 0 to 100 %, and the shares as numbers beside it."""
    narrow = width < 560
    x0, x1 = (110.0, width - 96.0) if narrow else (260.0, width - 120.0)
    scale, (keys, y) = Scale(0.0, 1.0, x0, x1), _key(series, width)
    body = [keys]
    for name, shares in columns:
        body.append(words(0, y + 16, fit(name, width - 10, 13), size=13, fill=INK, weight=600))
        body += [_row(share, y + 26 + _ROW * number, scale, width) for number, share in enumerate(shares)]
        y += 36 + _ROW * len(shares)
    about = "; ".join(f"{name}: {', '.join(map(_said, shares))}" for name, shares in columns)
    return document(width, y, title, f"Shares in {' / '.join(series)}. {about}.", *body)


def _key(series: Sequence[str], width: int) -> tuple[str, float]:
    places, marks = key_places(series, width), []
    for (x, y), name, shade in zip(places, series, _SHADES, strict=True):
        marks.append(element("rect", x=x, y=y - 3, width=18.0, height=_TALL, **shade))
        marks.append(words(x + 23, y + 4, name, size=11, fill=INK))
    return "".join(marks), places[-1][1] + 10


def _row(share: Share, y: float, scale: Scale, width: int) -> str:
    marks = [words(14, y + 11, fit(share.name, scale.start - 24, 12), size=12, fill=INK)]
    for number, (part, shade) in enumerate(zip(share.parts, _SHADES, strict=True)):
        place = {"x": scale.start, "y": y + 1 + number * (_TALL + 1), "width": scale(part) - scale.start}
        marks.append(element("rect", **place, height=_TALL, **shade, class_="share"))
    marks.append(words(width, y + 11, _numbers(share), size=11, anchor="end"))
    return element("g", *marks, class_="tabular")


def _numbers(share: Share) -> str:
    return " / ".join(f"{rounded(100 * part, 1)} %" for part in share.parts)


def _said(share: Share) -> str:
    return f"{share.name} {_numbers(share)}"
