"""How many numbers make up most of a sum."""

from collections.abc import Sequence

import numpy as np

__all__ = ["MOST", "most_of"]

MOST = 0.99
"""The share that counts as nearly all."""


def most_of(values: Sequence[float], share: float = MOST) -> int:
    """How many of the greatest values it takes for a share of their sum.

    Parameters
    ----------
    values : sequence of float
        None below 0.
    share : float, default 0.99
        Of the sum, between 0 and 1.

    Returns
    -------
    int
        0 where the values add up to nothing, and where one of them is not finite.

    Examples
    --------
    >>> most_of([5.0, 0.04, 4.0, 0.0]), most_of([5.0, 4.0], share=0.5), most_of([0.0, 0.0])
    (2, 1, 0)
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))[::-1]
    total = ordered.sum()
    if not np.isfinite(total) or total <= 0:
        return 0
    return int(np.searchsorted(np.cumsum(ordered), share * total * (1 - 1e-12)) + 1)
