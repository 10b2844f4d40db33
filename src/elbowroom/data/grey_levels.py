"""Grey levels that were divided by their greatest, such as k/255, told from real numbers and turned back."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import Support

from .raw import Raw
from .values import blocks, is_sparse

__all__ = ["turned_back", "with_grey_levels"]

_BY_CHANCE = 20.0  # nats of evidence that so many different values do not lie on a grid by chance


def with_grey_levels(raw: Raw) -> Raw:
    """The same data with whole grey levels 0, 1, …, m where all values are k/m, or these moved to −1 … 1.

    A density over such values would grow without bound: they are a grid on another scale. Images are looked at for any
    m up to 255 and for 65,535, tables of numbers without names for 255 alone.

    Parameters
    ----------
    raw : Raw
        Data in memory whose support nobody stated.

    Returns
    -------
    Raw
        With a note, or as it was.

    Examples
    --------
    >>> scaled = with_grey_levels(Raw(np.arange(256.0).reshape(4, 8, 8) / 255))
    >>> str(scaled.support), scaled.x.dtype, int(scaled.x.max())
    ('integer grid 0…255', dtype('uint8'), 255)
    """
    x = raw.x
    if raw.support or raw.columns or is_sparse(x) or isinstance(x, np.memmap) or x.dtype.kind != "f" or not x.size:
        return raw
    sample = _distinct(x)
    if sample.size < 3 or not -1.001 < sample[0] < sample[-1] < 1.001:
        return raw
    low = 0.0 if sample[0] > -0.001 else -1.0
    for top in _tops(sample, low, len(x.shape) > 2):
        if _more_than_chance(sample, top, x.dtype) and all(_on_grid(block, low, top) for _, block in blocks(x)):
            return _turned_back(raw, low, top)
    return raw


def turned_back(x: NDArray[Any], scale: str) -> NDArray[Any] | None:
    """Values on a scale that was found before, as whole levels; None where they are not on it.

    Parameters
    ----------
    x : array
        Of any shape.
    scale : str
        As `Raw.turned` says it, such as "k/255" or "2k/255 − 1".

    Returns
    -------
    array or None
        Of the same shape.

    Examples
    --------
    >>> turned_back(np.array([[-1.0, 1.0]]), "2k/255 − 1"), turned_back(np.array([[0.5]]), "k/255")
    (array([[  0, 255]], dtype=uint8), None)
    """
    low, top = -1.0 if scale.startswith("2k") else 0.0, int(scale.partition("/")[2].partition(" ")[0])
    floats = x if x.dtype.kind == "f" else x.astype(np.float64)
    return _levels(floats, low, top) if all(_on_grid(block, low, top) for _, block in blocks(floats)) else None


def _distinct(x: NDArray[np.floating]) -> NDArray[np.float64]:
    """The different values of the first block, sorted."""
    values = next(blocks(x))[1].astype(np.float64)
    return np.unique(values[values == values])


def _tops(sample: NDArray[np.float64], low: float, image: bool) -> Iterator[int]:
    """Greatest levels that a sample leaves possible, the smallest first."""
    shares = (sample - low) / (1 - low)
    if (sample == np.round(sample)).all():
        return
    step = round(min(1 / float(np.diff(shares).min()), 1e9))
    reaches = shares[-1] > 0.999 and (low == 0 or shares[0] < 0.001)
    if image and reaches and step < 255:
        yield step
    if image or np.gcd.reduce(np.round(255 * shares).astype(int)) == 1:
        yield 255
    if image:
        yield 65_535


def _more_than_chance(sample: NDArray[np.float64], top: int, dtype: np.dtype[Any]) -> bool:
    """Whether so many different values would hardly all lie on a grid that is so fine beside their rounding."""
    return sample.size * -math.log(min(2 * _rounding(top, dtype), 1.0)) > _BY_CHANCE


def _rounding(top: int, dtype: np.dtype[Any]) -> float:
    """How far from whole numbers rounding takes levels; of 64 bits too, which are often made of 32."""
    return top * float(max(np.finfo(dtype).eps, np.finfo(np.float32).eps))


def _on_grid(block: NDArray[np.floating], low: float, top: int) -> bool:
    """Whether all values are k/top within the rounding of their type."""
    levels = top * (block[block == block].astype(np.float64) - low) / (1 - low)
    nearest = np.round(levels)
    near = np.abs(levels - nearest) <= _rounding(top, block.dtype)
    return bool((near & (nearest >= 0) & (nearest <= top)).all())


def _turned_back(raw: Raw, low: float, top: int) -> Raw:
    """The data with the levels as whole numbers."""
    x = _levels(raw.x, low, top)
    scale = f"k/{top}" if low == 0 else f"2k/{top} − 1"
    note = (
        f"All values are {scale} with whole k, and a density over these would grow without bound: x is k, on the grid "
        f'0…{top:,}; support="{"unit" if low == 0 else "real"}" keeps the values as they came.'
    )
    return replace(raw, x=x, support=Support("grid", top + 1), notes=[*raw.notes, note], turned=scale)


def _levels(values: NDArray[np.floating], low: float, top: int) -> NDArray[Any]:
    """Whole numbers, as floats where cells are missing."""
    gaps = any(np.isnan(block).any() for _, block in blocks(values))
    x = np.empty(values.shape, np.float32 if gaps else np.uint8 if top < 256 else np.uint16)
    rows = x.reshape(len(x), -1)
    for start, block in blocks(values):
        rows[start : start + len(block)] = np.round(top * (block.astype(np.float64) - low) / (1 - low))
    return x
