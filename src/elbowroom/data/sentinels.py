"""Numbers that may be no values: -9999 for a missing cell, far from all others, and a last row of totals."""

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics.text import name_list

from .raw import Raw
from .values import is_sparse

__all__ = ["sentinels"]

_NINES = [sign * float("9" * digits) for digits in range(3, 8) for sign in (1, -1)]
_CODES = np.array(
    [*_NINES, -99.0, -999.9, -9999.9, -999.25, -32768.0, -(2.0**31), 2.0**31 - 1, 1e20, 9.969209968386869e36]
)

_FEWEST = 5  # rows, of whose sum it can be told from chance


def sentinels(raw: Raw) -> list[str]:
    """Name the numbers of a table that may stand for missing cells, or for the sums of columns; nothing is changed.

    Parameters
    ----------
    raw : Raw
        Any data; only tables in memory are looked at.

    Returns
    -------
    list of str
        A sentence for each such number, and one for a row of totals.
    """
    x = raw.x
    if is_sparse(x) or isinstance(x, np.memmap) or x.ndim != 2 or x.dtype.kind not in "if":
        return []
    names = raw.columns or [str(i) for i in range(x.shape[1])]
    found: dict[float, list[str]] = {}
    low, high = np.fmin.reduce(x, axis=0), np.fmax.reduce(x, axis=0)
    for edges in (low, high):
        for place in np.flatnonzero(np.isin(edges, _CODES)):
            if names[place] not in raw.classes and _is_far(x[:, place], float(edges[place])):
                found.setdefault(float(edges[place]), []).append(names[place])
    codes = [
        f"{code:.10g} is far from all other values of {name_list(them)}: where it stands for no value, write NA."
        for code, them in sorted(found.items())
    ]
    extreme = np.flatnonzero((x[-1] == low) | (x[-1] == high))
    totals = [names[place] for place in extreme if names[place] not in raw.classes and _is_total(x[:, place])]
    said = f"The last row holds the sums of the others in {name_list(totals)}: where it is one of totals, leave it out."
    return [*codes, said] if totals else codes


def _is_total(column: NDArray[np.generic]) -> bool:
    """Whether the last value is the sum of the others to what these were rounded to, and beyond all of them."""
    others, last = column[:-1].astype(np.float64), float(column[-1])
    seen = others[~np.isnan(others)]
    if len(seen) < _FEWEST:
        return False
    return bool(np.isclose(last, seen.sum(), rtol=1e-5)) and bool(np.abs(last) > 2 * np.abs(seen).max())


def _is_far(column: NDArray[np.generic], code: float) -> bool:
    """Whether the gap between this value and the others is wider than all that these span."""
    values = column.astype(np.float64)
    others = values[~np.isin(values, _CODES) & ~np.isnan(values)]
    return len(others) > 0 and bool(np.abs(others - code).min() > others.max() - others.min())
