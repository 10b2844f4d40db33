"""How many numbers make up most of a sum."""

from collections.abc import Sequence

import numpy as np

__all__ = ["most_of"]

_ROUNDING = 1e-12


def most_of(values: Sequence[float], *, share: float = 0.99, among: Sequence[bool] | None = None) -> int | None:
    """How many values, the greatest first, it takes for a share of the sum of all.

    Parameters
    ----------
    values : sequence of float
        None below 0.
    share : float, default 0.99
        Of the sum, between 0 and 1.
    among : sequence of bool, optional
        Which values may be counted; all by default.

    Returns
    -------
    int or None
        None where those do not reach it, the values add up to nothing, or one of them is not finite.

    Examples
    --------
    >>> most_of([5.0, 0.04, 4.0, 0.0]), most_of([5.0, 4.0], share=0.5), most_of([5.0, 4.0], among=[True, False])
    (2, 1, None)
    """
    every = np.asarray(values, dtype=np.float64)
    need = share * every.sum() * (1 - _ROUNDING)
    counted = every if among is None else every[np.asarray(among, dtype=bool)]
    reached = np.cumsum(np.sort(counted)[::-1])
    if not need > 0 or not np.isfinite(need) or not reached.size or reached[-1] < need:
        return None
    return int(np.searchsorted(reached, need) + 1)
