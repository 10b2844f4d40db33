"""How good predicted probabilities of classes are: two proper scores, and whether they say how often they are right."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from elbowroom.numerics import InputError, one_of, plain_arguments

from .score import Score, mean_score

__all__ = ["Reliability", "brier_score", "doubtful_labels", "log_score", "reliability"]

Floats = NDArray[np.float64]

_SIMULATIONS = 200


def log_score(probabilities: ArrayLike, labels: ArrayLike) -> Score:
    """Mean of −log p(class) of the true classes: the cross-entropy, and infinite where one of them was held impossible.

    Parameters
    ----------
    probabilities : array
        [n, classes], rows that add to 1.
    labels : array
        Class codes [n], 0, 1, …

    Returns
    -------
    Score
        In nats; smaller is better, and 0 is the best.

    Raises
    ------
    InputError
        For what are no probabilities, and for codes that are no column of them.

    References
    ----------
    Gneiting & Raftery, "Strictly proper scoring rules, prediction, and estimation" (2007).

    Examples
    --------
    >>> print(log_score([[0.5, 0.5], [0.25, 0.75]], [0, 1]))
    0.4904 ± 0.2 (n = 2)
    """
    p, codes = _read(probabilities, labels)
    with np.errstate(divide="ignore"):
        return mean_score(-np.log(p[np.arange(len(p)), codes]))


def brier_score(probabilities: ArrayLike, labels: ArrayLike) -> Score:
    """Mean squared distance of the probabilities from 1 for the true class and 0 for the others, over all classes.

    Parameters
    ----------
    probabilities : array
        [n, classes], rows that add to 1.
    labels : array
        Class codes [n], 0, 1, …

    Returns
    -------
    Score
        Between 0, the best, and 2: with two classes twice the square of the error of one of them.

    Raises
    ------
    InputError
        As for `log_score`.

    References
    ----------
    Brier, "Verification of forecasts expressed in terms of probability" (1950).

    Examples
    --------
    >>> print(brier_score([[0.5, 0.5], [0.0, 1.0]], [0, 1]))
    0.25 ± 0.25 (n = 2)
    """
    p, codes = _read(probabilities, labels)
    return mean_score(np.square(p - np.eye(p.shape[1])[codes]).sum(1))


@dataclass(frozen=True)
class Reliability:
    """How often the predicted class was right, by how probable it was said to be.

    Parameters
    ----------
    confidence : tuple of float
        Mean probability of the predicted class in each bin that holds examples.
    accuracy : tuple of float
        Share of these that were right.
    n : tuple of int
        How many there are.
    error : float
        Expected calibration error: the mean distance of the two, weighted by n.
    by_chance : float
        The same, on average, of labels drawn from these very probabilities: what a calibrated classifier would show.
    p_value : float
        Share of such draws whose error is as large, of 200 and the one measured.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    n: tuple[int, ...]
    error: float
    by_chance: float
    p_value: float

    def __str__(self) -> str:
        said = "more than chance" if self.p_value < 0.05 else "no more than chance"
        return f"calibration error {self.error:.3f} (a calibrated one would show {self.by_chance:.3f}: {said})"


@plain_arguments
def reliability(
    probabilities: ArrayLike, labels: ArrayLike, *, bins: int = 10, by: str = "width", seed: int = 0
) -> Reliability:
    """The reliability curve of the predicted class, and the expected calibration error.

    Parameters
    ----------
    probabilities : array
        [n, classes], rows that add to 1.
    labels : array
        Class codes [n], 0, 1, …
    bins : int, default 10
        Bins of the probability of the predicted class.
    by : {"width", "count"}, default "width"
        Whether bins are equally wide or hold equally many examples, as nearly as equal probabilities in one bin allow.
    seed : int, default 0
        Draws the labels of `Reliability.by_chance`.

    Returns
    -------
    Reliability
        The curve, its error, and what chance alone gives.

    Raises
    ------
    InputError
        As for `log_score`, and for fewer than one bin.

    References
    ----------
    Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks" (2017).

    Examples
    --------
    >>> found = reliability([[0.9, 0.1]] * 10, [0] * 6 + [1] * 4)
    >>> found.confidence, found.accuracy, round(found.error, 3)
    ((0.9,), (0.6,), 0.3)
    """
    one_of("by", by, ("width", "count"))
    if bins < 1:
        raise InputError(f"A reliability curve needs bins of 1 or more; got {bins}.")
    p, codes = _read(probabilities, labels)
    top, right = p.max(1), p.argmax(1) == codes
    if by == "width":
        places = np.minimum(np.ceil(top * bins).astype(int) - 1, bins - 1).clip(0)
    else:
        _, of_value, below = np.unique(top, return_inverse=True, return_counts=True)
        middle = np.cumsum(below) - (below + 1) / 2  # rank of those that are as sure, who stay in one bin
        places = (middle[of_value] * bins // len(top)).astype(int)
    error = _calibration_error(places, top, right, bins)
    drawn = np.random.default_rng(seed).random((_SIMULATIONS, len(top))) < top
    chance = np.array([_calibration_error(places, top, one, bins) for one in drawn])
    counts = np.bincount(places, minlength=bins)
    held = counts > 0
    confidence, accuracy = (np.bincount(places, v, bins)[held] / counts[held] for v in (top, right))
    return Reliability(
        tuple(confidence.round(12).tolist()),
        tuple(accuracy.tolist()),
        tuple(counts[held].tolist()),
        error,
        float(chance.mean()),
        float((1 + (chance >= error).sum()) / (1 + _SIMULATIONS)),
    )


@plain_arguments
def doubtful_labels(probabilities: ArrayLike, labels: ArrayLike, *, sure: float = 0.95) -> list[int]:
    """Examples whose label a classifier contradicts and is sure of: where labels may be wrong, or the classifier is.

    Parameters
    ----------
    probabilities : array
        [n, classes], by a classifier that has not seen these labels.
    labels : array
        Class codes [n], 0, 1, …; −1 where there is none.
    sure : float, default 0.95
        Least probability of the other class.

    Returns
    -------
    list of int
        Positions, the surest first.

    Raises
    ------
    InputError
        As for `log_score`, and for `sure` outside ½ to 1.

    Examples
    --------
    >>> doubtful_labels([[0.99, 0.01], [0.6, 0.4], [0.97, 0.03]], [1, 1, -1])
    [0]
    """
    if not 0.5 <= sure <= 1:
        raise InputError(f"sure is a probability from 0.5 to 1; got {sure}.")
    codes = np.asarray(labels)
    known = np.flatnonzero(codes != -1)
    if not len(known):
        return []
    p, codes = _read(np.asarray(probabilities)[known], codes[known])
    contradicts = (p.argmax(1) != codes) & (p.max(1) >= sure)
    order = np.argsort(-p.max(1), kind="stable")
    return [int(known[place]) for place in order if contradicts[place]]


def _calibration_error(places: NDArray[np.int64], top: Floats, right: NDArray[np.bool_], bins: int) -> float:
    apart = np.bincount(places, top - right, bins)
    return float(np.abs(apart).sum() / len(top))


def _read(probabilities: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.int64]]:
    """Probabilities [n, classes] and codes [n], or a sentence."""
    p, given = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if p.ndim != 2 or not len(p) or p.shape[1] < 2:
        raise InputError(f"Probabilities are rows of two classes or more, [n, classes]; they have shape {p.shape}.")
    if not (np.isfinite(p).all() and (p >= 0).all() and np.abs(p.sum(1) - 1).max() < 1e-3):
        raise InputError("Probabilities are not negative and each row adds to 1: normalise them first.")
    if given.shape != p.shape[:1]:
        raise InputError(
            f"There are {len(p):,} rows of probabilities and labels of shape {given.shape}: give one each."
        )
    if given.dtype.kind not in "buif" or (given != np.round(given)).any():
        raise InputError("Labels are codes here, 0, 1, …, the places of the columns: encode words first.")
    codes = given.astype(np.int64)
    if codes.min() < 0 or codes.max() >= p.shape[1]:
        raise InputError(
            f"The labels hold class {codes.min() if codes.min() < 0 else codes.max()} and there are columns for 0 … "
            f"{p.shape[1] - 1}: leave out rows of classes that the classifier does not know, or that have no label."
        )
    return p, codes
