"""What a person should know about the data, said and not refused."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import Support

__all__ = ["fingerprints", "notes_on"]

_CHUNK = 4096
_LOOK = 200_000


def fingerprints(x: NDArray[Any], codes: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], str]:
    """A number per row, equal for equal rows, and the sha256 of all of x (as 32-bit floats) and the labels."""
    digest = hashlib.sha256(f"{len(x)} examples of {x[0].size}".encode())
    rows = np.empty(len(x), np.int64)
    for start in range(0, len(x), _CHUNK):
        chunk = np.ascontiguousarray(x[start : start + _CHUNK], dtype="<f4").reshape(-1, x[0].size) + np.float32(0)
        digest.update(chunk.tobytes())
        rows[start : start + len(chunk)] = [hash(row.tobytes()) for row in chunk]
    if codes is not None:
        digest.update(codes.astype("<i8").tobytes())
    return rows, digest.hexdigest()


def notes_on(
    x: NDArray[Any],
    columns: list[str] | None,
    support: Support,
    rows: NDArray[np.int64],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    official_test: int,
) -> list[str]:
    """Notes on constant columns, repeated rows, and values that lie on a grid though their support is continuous."""
    learned = x[: len(x) - official_test].reshape(len(x) - official_test, -1)
    notes = []
    constant = np.flatnonzero(learned.min(axis=0) == learned.max(axis=0))
    if constant.size:
        names = [columns[i] if columns else str(i) for i in constant[:8]]
        more = ", …" if constant.size > 8 else ""
        notes.append(f"Columns that never change: {constant.size} of {learned.shape[1]:,} ({', '.join(names)}{more}).")
    repeated = len(rows) - len(np.unique(rows))
    if repeated:
        notes.append(f"Rows that repeat an earlier one: {repeated:,} of {len(rows):,}.")
    leaked = int(np.isin(rows[test], rows[train]).sum())
    if leaked:
        notes.append(f"Test rows that also stand in train: {leaked:,} of {len(test):,}.")
    if support.kind in ("unit", "real"):
        notes += _hidden_grid(learned)
    return notes


def _hidden_grid(x: NDArray[Any]) -> list[str]:
    """A note where continuous values repeat so much that they must lie on a grid, such as grey levels over 255."""
    values = x.ravel()[:_LOOK]
    distinct = np.unique(values)
    if not 2 < distinct.size <= min(257, values.size // 10):
        return []
    step = float(np.diff(distinct).min())
    return [
        f"Ties: only {distinct.size} different values, {step:.4g} apart at the closest. Densities on a grid grow "
        "without limit: give whole numbers 0, 1, 2, …, which are dequantised."
    ]
