"""Sizes that are checked before they are allocated."""

import math
import os
from collections.abc import Sequence

import numpy as np

from elbowroom.numerics import InputError

__all__ = ["refuse_what_exceeds_memory"]


def refuse_what_exceeds_memory(what: str, shape: Sequence[int], dtype: np.dtype, way_out: str) -> None:
    """Refuse to make an array that this machine cannot hold.

    Parameters
    ----------
    what : str
        What the sentence calls it.
    shape : sequence of int
        Of the array.
    dtype : dtype
        Of its values.
    way_out : str
        What helps.

    Raises
    ------
    InputError
        Where the array is larger than the memory.
    """
    needed, there = math.prod(map(int, shape)) * dtype.itemsize, _memory()
    if there and needed > there:
        sides = " × ".join(f"{side:,}" for side in shape)
        raise InputError(
            f"{what} need {needed / 1e9:,.0f} GB ({sides} of {dtype}), and this machine has {there / 1e9:,.0f}: "
            f"{way_out}."
        )


def _memory() -> int:
    """Bytes of memory of the machine, 0 where it does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0
