"""What serves some rows of the data, by what holds them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.numerics import for_torch

from .csr_on_disk import CsrOnDisk
from .on_disk import OnDisk
from .values import Dense, InPlace, Mapped, Sparse, Values, is_sparse

__all__ = ["values_of"]

_COPIED = 2**27  # bytes of an array, up to which its parts are copied


def values_of(x: Any, rows: NDArray[np.int64], event: tuple[int, ...], wide: bool) -> Values:
    """The values of some rows of the data.

    Parameters
    ----------
    x : array, memory-mapped array, CSR matrix or CsrOnDisk
        All rows.
    rows : array
        Row numbers.
    event : tuple of int
        Shape of one example.
    wide : bool
        Whether they need 64-bit floats.

    Returns
    -------
    Values
        In memory, where a large array stays where it is, or read as they are taken.
    """
    if isinstance(x, CsrOnDisk):
        return OnDisk(x, rows, event, wide)
    if is_sparse(x):
        return Sparse(x, rows, event, wide)
    if isinstance(x, np.memmap):
        return Mapped(x, rows, event, wide)
    if x.nbytes > _COPIED:
        return InPlace(x, rows, event, wide)
    return Dense(torch.from_numpy(for_torch(x[rows]).reshape(len(rows), *event)), wide)
