"""A number with its standard error."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Score", "mean_score"]


@dataclass(frozen=True)
class Score:
    """A number measured on n examples, with its standard error.

    Parameters
    ----------
    value : float
        The number.
    se : float
        Its standard error.
    n : int
        Examples.
    """

    value: float
    se: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.4g} ± {self.se:.2g} (n = {self.n:,})"


def mean_score(values: NDArray[np.float64]) -> Score:
    """The mean of one number per example, with its standard error.

    Parameters
    ----------
    values : array
        [n].

    Returns
    -------
    Score
        Its error is NaN for a single example, and where a value is not finite.

    Examples
    --------
    >>> print(mean_score(np.array([1.0, 2.0, 3.0])))
    2 ± 0.58 (n = 3)
    """
    n = len(values)
    finite = n > 1 and np.isfinite(values).all()
    return Score(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(n) if finite else math.nan, n)
