"""How well a score tells examples of one kind from those of another."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elbowroom.numerics import InputError

from .score import Score

__all__ = ["auroc"]


def auroc(inside: ArrayLike, outside: ArrayLike) -> Score:
    """Area under the ROC curve: P(score of an inside example > that of an outside one) + ½ P(equal).

    inside [n], outside [m]: scores that are to be higher inside, such as log p(x) of the kind of data a model was
    trained on and of another; ½ is guessing, below it the score says the opposite. The standard error is DeLong's:
    over examples of both kinds, the model and its scores as they are; 0 where nothing overlaps. −inf is a score, NaN
    is not. Raises InputError for NaN and for fewer than two scores of a kind.
    Source: DeLong, DeLong, Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves: a nonparametric approach", 1988.

    >>> print(auroc([3.0, 2.0, 5.0, 4.0], [1.0, 0.0, 2.5, 2.0]))
    0.9062 ± 0.11 (n = 8)
    """
    above, below = _scores(inside, "inside"), _scores(outside, "outside")
    share_below, share_above = _placements(above, below), 1 - _placements(below, above)
    variance = share_below.var(ddof=1) / len(above) + share_above.var(ddof=1) / len(below)
    return Score(float(share_below.mean()), math.sqrt(variance), len(above) + len(below))


def _scores(values: ArrayLike, name: str) -> NDArray[np.float64]:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or len(scores) < 2:
        raise InputError(f"The {name} scores must be a list of two numbers or more; they have shape {scores.shape}.")
    if np.isnan(scores).any():
        raise InputError(f"The {name} scores hold NaN; leave these examples out.")
    return scores


def _placements(scores: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """For every score, the share of the others below it, equal ones by half."""
    ordered = np.sort(others)
    low, high = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    return np.asarray((low + high) / (2 * len(ordered)), dtype=np.float64)
