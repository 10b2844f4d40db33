"""A part of a file: rows that are decoded together."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chunk"]


@dataclass(frozen=True)
class Chunk:
    """Some rows, coded.

    Parameters
    ----------
    words : array
        32-bit words, the top of the stack last.
    initial : int
        How many of them, at the bottom, are the fixed initial words that a first row needs.
    rows : int
        How many rows.
    outputs : bytes
        Check word over what the networks returned, 8 bytes.
    values : bytes
        Check word over the cells, 8 bytes.
    mask_bits : float
        Bits that say which cells are missing.
    """

    words: NDArray[np.uint32]
    initial: int
    rows: int
    outputs: bytes
    values: bytes
    mask_bits: float = 0.0
