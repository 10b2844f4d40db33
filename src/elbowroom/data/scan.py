"""One pass over all values before anything is made of them: what they are, and what may not be among them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, Limits

from .values import blocks, is_sparse

__all__ = ["Scan", "scan"]

_EXACT = 2.0**53  # from here on floats of 64 bits merge whole numbers
_SPARSE_ROWS = 4_000
_BEYOND = np.float64(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Scan:
    """What a pass over the data found.

    Parameters
    ----------
    limits : Limits
        Least and greatest value, and whether all are whole numbers.
    wide : bool
        Whether 32-bit floats would change a value.
    constant : array
        [values of an example], whether a value is the same in all rows before the official test part.
    gaps : int
        How many cells are missing (NaN).
    empty : array
        [values of an example], whether a value is missing in all rows.
    """

    limits: Limits
    wide: bool
    constant: NDArray[np.bool_]
    gaps: int
    empty: NDArray[np.bool_]


def scan(
    x: Any, columns: list[str] | None = None, official_test: int = 0, row: Callable[[int], str] = "row {}".format
) -> Scan:
    """Look at every value once, before anything is made of them.

    Parameters
    ----------
    x : array or sparse matrix
        [n, ...].
    columns : list of str, optional
        Names, for the sentences of errors.
    official_test : int, default 0
        How many of the last rows are an official test part.
    row : callable, optional
        Number of a row of a table → where it stands, as "line 5", for the sentences of errors.

    Returns
    -------
    Scan
        What was found.

    Raises
    ------
    InputError
        For too few examples, infinity, and data of which every cell is missing.
    """
    size = int(np.prod(x.shape))
    if size == 0:
        raise InputError(f"The data are empty (shape {x.shape}); give at least two examples of one value or more.")
    if x.shape[0] < 2:
        raise InputError("The data hold one example; give at least two, of which a model can learn.")
    bad, first, gaps, wide = 0, (0, 0), 0, False
    empty = np.ones(size // x.shape[0], bool)
    found: list[Limits] = []
    low, high = np.full(size // x.shape[0], np.inf), np.full(size // x.shape[0], -np.inf)
    for start, block in _blocks(x):
        learned = block[: max(x.shape[0] - official_test - start, 0)]
        if is_sparse(block):
            empty[:] = False
            values = np.append(block.data, block.dtype.type(0)) if block.nnz < np.prod(block.shape) else block.data
            found.append(Limits.of(values))
            wide = wide or not bool((_in_32_bits(values) == values).all())
            if learned.shape[0]:
                low = np.fmin(low, learned.min(0).toarray().ravel())
                high = np.fmax(high, learned.max(0).toarray().ravel())
            continue
        missing = block != block
        wrong = np.abs(block) > _BEYOND
        if block.dtype.kind == "f" and wrong.any():
            at, place = np.argwhere(wrong)[0]
            first = first if bad else (start + int(at), int(place))
            bad += int(wrong.sum())
        gaps += int(missing.sum())
        empty &= missing.all(0)
        if not missing.all():
            found.append(Limits.of(block))
        wide = wide or not bool(((_in_32_bits(block) == block) | missing).all())
        if len(learned):
            low, high = np.fmin(low, np.fmin.reduce(learned)), np.fmax(high, np.fmax.reduce(learned))
    if bad:
        raise InputError(_not_finite(x.shape, columns, bad, row(first[0]), *first))
    if not found:
        raise InputError("Every cell of the data is missing; give at least two examples with values.")
    limits = found[0]
    for one in found[1:]:
        limits = limits.joined(one)
    if x.dtype.kind in "iu" and max(-limits.low, limits.high) > _EXACT:
        raise InputError("The data hold whole numbers beyond 2^53, which floats merge: take an offset away from them.")
    return Scan(limits, wide, low == high, gaps, empty)


def _blocks(x: Any) -> Iterator[tuple[int, Any]]:
    """Rows in turn, each block with its first row: a sparse one as it is where every value is finite, else dense."""
    if not is_sparse(x):
        yield from blocks(x)
        return
    for start in range(0, x.shape[0], _SPARSE_ROWS):
        block = x[start : start + _SPARSE_ROWS]
        if bool((np.abs(block.data) <= _BEYOND).all()):
            yield start, block
        else:
            yield from ((start + place, part) for place, part in blocks(block))


def _in_32_bits(block: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        return block.astype(np.float32).astype(np.float64)


def _not_finite(shape: tuple[int, ...], columns: list[str] | None, bad: int, stands: str, row: int, place: int) -> str:
    if len(shape) == 2:
        where = f"first in {stands}, column {columns[place]!r}" if columns else f"first in {stands}, column {place}"
    else:
        at = tuple(int(i) for i in np.unravel_index(place, shape[1:]))
        where = f"first in example {row}, at {at}"
    which = "a value that is" if bad == 1 else f"{bad:,} values that are"
    return (
        f"The data hold {which} infinite or beyond 32-bit floats, {where}: drop those rows, or give NaN where a cell "
        f"is missing."
    )
