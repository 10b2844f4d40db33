"""What a person should know about the data, said and not refused."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .repeats import Repeats
from .scan import Scan
from .values import blocks

__all__ = ["fingerprints", "hidden_grid", "notes_on"]

_LOOK = 200_000


def fingerprints(
    x: Any, wide: bool, codes: NDArray[np.int64] | None, beside: Mapping[str, Sequence[Tensor]]
) -> tuple[NDArray[np.int64], str]:
    """Hash the data: each row, and the whole.

    Parameters
    ----------
    x : array or sparse matrix
        [n, ...], hashed as 32-bit floats, or as 64-bit ones where `wide`.
    wide : bool
        Whether 32-bit floats would change a value.
    codes : array or None
        Class codes.
    beside : mapping of str to sequence of Tensor
        What else comes with x.

    Returns
    -------
    rows : array
        A number per row, equal for equal rows.
    digest : str
        The sha256 of everything.
    """
    size = int(np.prod(x.shape[1:]))
    digest = hashlib.sha256(f"{x.shape[0]} examples of {size}".encode())
    rows = np.empty(x.shape[0], np.int64)
    kind = np.dtype("<f8" if wide else "<f4")
    for start, block in blocks(x):
        chunk = np.ascontiguousarray(block, dtype=kind) + kind.type(0)
        chunk[np.isnan(chunk)] = np.nan
        digest.update(chunk.tobytes())
        rows[start : start + len(chunk)] = [hash(row.tobytes()) for row in chunk]
    if codes is not None:
        digest.update(codes.astype("<i8").tobytes())
    for name, tensors in sorted(beside.items()):
        digest.update(name.encode())
        for tensor in tensors:
            digest.update(tensor.numpy().astype("<f4").tobytes())
    return rows, digest.hexdigest()


def notes_on(
    x: Any,
    scanned: Scan,
    columns: list[str] | None,
    rows: NDArray[np.int64],
    repeats: Repeats,
    tested: int,
) -> list[str]:
    """Notes on missing cells, constant columns and repeated rows.

    Parameters
    ----------
    x : array or sparse matrix
        The data.
    scanned : Scan
        Of x.
    columns : list of str or None
        Names.
    rows : array
        A number per row, equal for equal rows.
    repeats : Repeats
        Test rows that also stand in train.
    tested : int
        How many test rows there are.

    Returns
    -------
    list of str
        A sentence each.
    """
    notes = []
    if scanned.gaps:
        cells = int(np.prod(x.shape))
        notes.append(f"Missing cells: {scanned.gaps:,} of {cells:,} ({scanned.gaps / cells:.1%}).")
    constant = np.flatnonzero(scanned.constant)
    if constant.size:
        names = [columns[i] if columns else str(i) for i in constant[:8]]
        more = ", …" if constant.size > 8 else ""
        every = len(scanned.constant)
        notes.append(f"Columns that never change: {constant.size} of {every:,} ({', '.join(names)}{more}).")
    empty = _empty_rows(x) if scanned.gaps else np.zeros(len(rows), bool)
    if empty.any():
        notes.append(f"Rows without any value: {int(empty.sum()):,} of {len(rows):,}; log p(x_seen) of each is 0.")
    told = rows[~empty]
    repeated = len(told) - len(np.unique(told))
    if repeated:
        notes.append(f"Rows that repeat an earlier one: {repeated:,} of {len(rows):,}.")
    notes += repeats.note(tested)
    return notes


def _empty_rows(x: Any) -> NDArray[np.bool_]:
    """Which rows have no value at all."""
    return np.concatenate([np.isnan(block).all(1) for _, block in blocks(x)])


def hidden_grid(x: Any) -> list[str]:
    """A note where continuous values repeat so much that they must lie on a grid, such as grey levels over 255.

    Parameters
    ----------
    x : array or sparse matrix
        The rows that a model learns from or chooses by.

    Returns
    -------
    list of str
        One sentence, or none.
    """
    values = np.empty(0)
    for _, block in blocks(x):
        values = np.concatenate([values, block[block == block]])[:_LOOK]
        if values.size == _LOOK:
            break
    distinct = np.unique(values)
    if not 1 < distinct.size <= min(257, values.size // 10):
        return []
    step = float(np.diff(distinct).min())
    return [
        f"Ties: only {distinct.size} different values, {step:.4g} apart at the closest. Densities on a grid grow "
        "without limit: give whole numbers 0, 1, 2, …, which are dequantised."
    ]
