"""Rows of pictures for the page, few enough that the page stays under two megabytes."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elbowroom.plots import grey_range, mosaic, to_bytes

from .records import Record

__all__ = ["ACROSS", "Strip", "decoded_grid", "model_strip", "picture_pairs"]

ACROSS = 8
"""Pictures side by side; fewer would waste a page, more could not be seen on a telephone."""

_GALLERY, _BUDGET, _LARGEST = 16, 600_000, 64


@dataclass(frozen=True)
class Strip:
    """One row of pictures: `source` is a data address, `share` the part of the row's width that it fills."""

    source: str
    alt: str
    names: tuple[str, ...] = ()
    share: float = 100.0


def _pictures(record: Record, name: str, count: int) -> NDArray[np.uint8]:
    """The first `count` pictures of an array, large ones shrunk by a whole factor."""
    data = record.study["data"]
    limits = grey_range(record.pictures["held_out"], data.get("levels"))
    values = record.pictures[name][:count]
    return _shrunk(to_bytes(values, data["image_shape"], limits), _factor(record))


def _factor(record: Record) -> int:
    return math.ceil(max(record.study["data"]["image_shape"][-2:]) / _LARGEST)


def _shrunk(pictures: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Means over squares of `factor` × `factor` pixels; what is left over at the edges is cut."""
    if factor == 1:
        return pictures
    n, height, width, channels = pictures.shape
    h, w = height // factor, width // factor
    squares = pictures[:, : h * factor, : w * factor].reshape(n, h, factor, w, factor, channels)
    return squares.mean(axis=(2, 4)).round().astype(np.uint8)


def _affordable(record: Record, arrays: int, most: int) -> int:
    """How many pictures of each of `arrays` fit into the budget; PNG of photographs hardly shrinks."""
    cost = 2.2 * min(math.prod(record.study["data"]["image_shape"]), 3 * _LARGEST**2)
    return max(2, min(most, int(_BUDGET / (cost * arrays))))


def _gap(record: Record) -> int:
    return max(1, round(min(record.study["data"]["image_shape"][-1], _LARGEST) / 14))


def picture_pairs(record: Record, above: tuple[str, str], below: tuple[str, str]) -> tuple[list[Strip], int, str]:
    """Pictures of one array over those of another (each: array, name); with how many, and a note if shrunk."""
    shown = min(_affordable(record, 4, _GALLERY), len(record.pictures[above[0]]))
    if shown > ACROSS:
        shown -= shown % ACROSS
    rows = [_pictures(record, name, shown) for name, _ in (above, below)]
    strips = []
    for start in range(0, shown, ACROSS):
        part = [row[start : start + ACROSS] for row in rows]
        alt = f"{above[1]} over {below[1]}, numbers {start + 1} to {start + len(part[0])} of the draw"
        names = (above[1], below[1])
        strips.append(Strip(mosaic(part, _gap(record)), alt, names, 100 * len(part[0]) / ACROSS))
    factor = _factor(record)
    return strips, shown, f" Pictures are shown at 1/{factor} of their size." if factor > 1 else ""


def model_strip(record: Record, model: str, name: str) -> Strip:
    """Held-out pictures, one model's reconstructions of them, and its samples."""
    keys = ("held_out", f"models.{model}.reconstructions", f"models.{model}.samples")
    most = min(ACROSS, *(len(record.pictures[key]) for key in keys))
    shown = min(_affordable(record, len(keys) * len(record.study["models"]), ACROSS), most)
    rows = [_pictures(record, key, shown) for key in keys]
    alt = f"{name}: {shown} held-out examples, the model's reconstructions of them, and {shown} samples of the model"
    names = ("held out", "reconstruction", "sample")
    return Strip(mosaic(rows, _gap(record)), alt, names, 100 * shown / ACROSS)


def decoded_grid(record: Record) -> Strip | None:
    """The pictures that the decoder makes of a grid of two latents, z2 upwards; None where there are not two."""
    if "decoded_grid" not in record.pictures or not record.study["data"].get("image_shape"):
        return None
    grid = record.pictures["decoded_grid"]
    every = math.ceil(len(grid) / math.isqrt(_affordable(record, 1, len(grid) ** 2)))
    grid = grid[::every, ::every]
    data = record.study["data"]
    limits = grey_range(record.pictures["held_out"], data.get("levels"))
    rows = [_shrunk(to_bytes(row, data["image_shape"], limits), _factor(record)) for row in grid[::-1]]
    return Strip(mosaic(rows, 0), f"decoder means on a grid of {len(grid)} by {len(grid)} values of z")
