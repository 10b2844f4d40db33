"""One look at what should be counts: their range, totals, and what in them is no count."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError

from .raw import Raw
from .values import is_sparse

__all__ = ["Look", "look_at", "refuse_no_counts"]

_CELLS_AT_ONCE = 2**22


@dataclass(frozen=True)
class Look:
    """What one pass over counts finds.

    Attributes
    ----------
    low, high : float
        Least and greatest value.
    fraction : float or None
        The first value that is no whole number.
    totals : array
        Of the rows.
    gaps : int
        Cells without a value.
    """

    low: float
    high: float
    fraction: float | None
    totals: NDArray[np.float64]
    gaps: int


def look_at(x: Any) -> Look:
    """Look at a table in blocks of rows.

    Parameters
    ----------
    x : array or CSR matrix
        [rows, columns], in memory or on the disk.

    Returns
    -------
    Look
        What is in it.
    """
    low, high, fraction, gaps = np.inf, -np.inf, None, 0
    totals = np.zeros(x.shape[0])
    step = max(_CELLS_AT_ONCE // max(x.shape[1], 1), 1) * (10 if is_sparse(x) else 1)
    for start in range(0, x.shape[0], step):
        block = x[start : start + step]
        values = block.data if is_sparse(block) else np.asarray(block).ravel()
        totals[start : start + step] = np.asarray(block.sum(1), np.float64).ravel()
        if not values.size:
            continue
        values = values.astype(np.float64)
        gaps += int(np.isnan(values).sum())
        low, high = min(low, float(np.nanmin(values))), max(high, float(np.nanmax(values)))
        odd = values[(values % 1 != 0) & ~np.isnan(values)]
        fraction = float(odd[0]) if fraction is None and len(odd) else fraction
    if is_sparse(x):
        low, high = min(low, 0.0), max(high, 0.0)
    return Look(low, high, fraction, totals, gaps)


def refuse_no_counts(raw: Raw, look: Look, words: list[str]) -> None:
    """Refuse fractions, negative values and gaps, and say where counts are.

    Parameters
    ----------
    raw : Raw
        The table, by its own word for itself.
    look : Look
        What is in it.
    words : list of str
        The arguments for which counts are needed.

    Raises
    ------
    InputError
        For what are no counts, and for zeros alone.
    """
    why = ""
    if look.fraction is not None:
        why = f"holds fractions, such as {look.fraction:.6g}, so no counts (normalised or log-transformed values?)"
    if not np.isfinite([look.low, look.high]).all():
        why = "holds infinite values"
    elif look.low < 0:
        why = f"holds negative values, down to {look.low:.6g}, so no counts (scaled values?)"
    if look.gaps:
        why = f"holds {look.gaps:,} cells without a value, and counts have none: 0 says that nothing was counted"
    if not why and not look.high:
        raise InputError(
            f"{raw.what} holds zeros alone, so that nothing was counted in it: give another table or layer."
        )
    if not why:
        return
    others = raw.counts_elsewhere() if raw.counts_elsewhere else []
    ways = [f"say {' or '.join(others)}, which hold{'s' * (len(others) == 1)} counts"] if others else []
    if raw.counts_elsewhere and not words:
        ways.append("say support='real' to model the values as they are")
    if words and not others:
        ways.append(f"give the counts, or leave {words[0].partition('=')[0]}= out")
    if not others and raw.counts_elsewhere:
        why += "; no other layer of it holds counts"
    raise InputError(f"{raw.what} {why}: {', or '.join(ways)}.")
