"""Rows of pictures for the page, few enough that the page stays under two megabytes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from elbowroom.plots import grey_range, mosaic, to_bytes
from elbowroom.records import FixedRun, ModelPictures, StudyRecord

__all__ = ["Strip", "decoded_grid", "model_strip", "picture_rows"]

_Pictured: TypeAlias = StudyRecord | FixedRun

_ACROSS = 8  # pictures; fewer would waste a page, more could not be seen on a telephone
_GALLERY, _BUDGET, _LARGEST = 16, 600_000, 64


@dataclass(frozen=True)
class Strip:
    """One row of pictures.

    Attributes
    ----------
    source : str
        A data address.
    alt : str
        What it shows, for those who cannot see it.
    names : tuple of str
        Of its rows from above, where it has several.
    share : float
        Percent of the page's width that it fills.
    """

    source: str
    alt: str
    names: tuple[str, ...] = ()
    share: float = 100.0


def _bytes(study: _Pictured, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Pictures of one array, large ones shrunk by a whole factor."""
    limits = grey_range(study.pictures.held_out, study.data.levels)
    return _shrunk(to_bytes(values, _shape(study), limits), _factor(study))


def _shape(study: _Pictured) -> tuple[int, ...]:
    """Of an image; it is asked for where the data are images."""
    assert study.data.image_shape is not None
    return study.data.image_shape


def _factor(study: _Pictured) -> int:
    return math.ceil(max(_shape(study)[-2:]) / _LARGEST)


def _shrunk(pictures: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Means over squares of `factor` × `factor` pixels; what is left over at the edges is cut."""
    if factor == 1:
        return pictures
    n, height, width, channels = pictures.shape
    h, w = height // factor, width // factor
    squares = pictures[:, : h * factor, : w * factor].reshape(n, h, factor, w, factor, channels)
    return squares.mean(axis=(2, 4)).round().astype(np.uint8)


def _affordable(study: _Pictured, arrays: int, most: int) -> int:
    """How many pictures of each of `arrays` fit into the budget; PNG of photographs hardly shrinks."""
    cost = 2.2 * min(math.prod(_shape(study)), 3 * _LARGEST**2)
    return max(2, min(most, int(_BUDGET / (cost * arrays))))


def _gap(study: _Pictured) -> int:
    return max(1, round(min(_shape(study)[-1], _LARGEST) / 14))


def picture_rows(
    study: _Pictured, arrays: Sequence[NDArray[Any]], names: tuple[str, ...]
) -> tuple[list[Strip], int, str]:
    """Pictures of several arrays, those of each below those of the one before.

    Parameters
    ----------
    study : StudyRecord or FixedRun
        Of images.
    arrays : sequence of array [n, *event]
        On the user's scale, two or three.
    names : tuple of str
        What one picture of each is called.

    Returns
    -------
    list of Strip
        The first of all.
    int
        How many of each.
    str
        Notes where they are shrunk or have channels of another number than pictures have.
    """
    shown = min(_affordable(study, 2 * len(arrays), _GALLERY), *map(len, arrays))
    if shown > _ACROSS:
        shown -= shown % _ACROSS
    rows = [_bytes(study, values[:shown]) for values in arrays]
    strips = []
    for start in range(0, shown, _ACROSS):
        part = [row[start : start + _ACROSS] for row in rows]
        alt = f"{' over '.join(names)}, numbers {start + 1} to {start + len(part[0])} of the draw"
        strips.append(Strip(mosaic(part, _gap(study)), alt, names, 100 * len(part[0]) / _ACROSS))
    return strips, shown, _how_shown(study)


def _how_shown(study: _Pictured) -> str:
    """Sentences on pictures that are not shown as they are, each after a space."""
    factor, shape = _factor(study), _shape(study)
    notes = f" Pictures are shown at 1/{factor} of their size." if factor > 1 else ""
    beside = len(shape) == 3 and shape[0] not in (1, 3)
    return notes + f" The {shape[0]} channels of a picture stand side by side, in grey." * beside


def model_strip(study: StudyRecord, pictures: ModelPictures, label: str) -> Strip:
    """Held-out pictures, one model's reconstructions of them, and its samples.

    Parameters
    ----------
    study : StudyRecord
        Of images.
    pictures : ModelPictures
        Of the model.
    label : str
        What it is called.

    Returns
    -------
    Strip
        As many of each as all models of the sweep can show.
    """
    arrays = (study.pictures.held_out, pictures.reconstructions, pictures.samples)
    most = min(_ACROSS, *map(len, arrays))
    shown = min(_affordable(study, len(arrays) * len(study.sweep.models), _ACROSS), most)
    alt = f"{label}: {shown} held-out examples, the model's reconstructions of them, and {shown} samples of the model"
    rows = [_bytes(study, values[:shown]) for values in arrays]
    names = ("held out", "reconstruction", "sample")
    return Strip(mosaic(rows, _gap(study)), alt, names, 100 * shown / _ACROSS)


def decoded_grid(study: StudyRecord) -> Strip | None:
    """The pictures that the decoder makes of a grid of two latents, z2 upwards; None where there are not two."""
    grid = study.pictures.decoded_grid
    if grid is None or study.data.image_shape is None:
        return None
    every = math.ceil(len(grid) / math.isqrt(_affordable(study, 1, len(grid) ** 2)))
    grid = grid[::every, ::every]
    rows = [_bytes(study, row) for row in grid[::-1]]
    return Strip(mosaic(rows, 0), f"decoder means on a grid of {len(grid)} by {len(grid)} values of z")
