"""Choosing among the settings of a family of densities, and refusing what has no best one."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError
from elbowroom.progress import Progress

from .classics import Array, Candidate, Fitted

__all__ = ["FAILURES", "finite", "in_words", "quietly", "tuned"]

FAILURES = (ValueError, ArithmeticError, MemoryError)
"""What a fit or a score may raise on data that it does not suit."""
_LEAST_VARIANCES = (1e-10, 1e-12)  # of the data's: far above what rounding leaves, far below what data have
_GROWS = 0.05  # dimensions in which the density has no width, per row


def tuned(name: str, candidates: list[Candidate], train: Array, validation: Array, bar: Progress) -> tuple[str, Fitted]:
    """The setting of a family with the best mean log-density on validation.

    Parameters
    ----------
    name : str
        Of the family.
    candidates : list of Candidate
        Its settings; one that cannot be fitted is passed over.
    train, validation : array
        Rows [n, dimensions].
    bar : Progress
        Says what is fitted, and counts the settings.

    Returns
    -------
    str, Fitted
        The setting in words, and the density.

    Raises
    ------
    InputError
        Where none can be fitted, or the best has no maximum on such data; the sentence goes on from the family's name.
    """
    best, said = -np.inf, ""
    kept: tuple[str, Fitted] | None = None
    for candidate in candidates:
        bar.doing(f"{name}, {candidate.setting}")
        try:
            fitted = candidate.fit(train)
            value = float(finite(fitted.scores(validation)).mean())
        except FAILURES as error:
            said = said or in_words(error)
            bar.advance()
            continue
        bar.advance(validation=value)
        if value > best:
            best, kept = value, (candidate.setting, fitted)
    if kept is None:
        raise InputError(f"no setting of it can be fitted to these data ({said})")
    _check_bounded(kept[1], train, validation)
    return kept


def _check_bounded(fitted: Fitted, train: Array, validation: Array) -> None:
    """Refuse a density whose held-out score grows for as long as its variances may shrink.

    On data whose density is bounded the score stays as it is from some variance on, and far above rounding. Where a
    share π of the rows lies, for the model, in a set with c dimensions fewer, it grows by ½ π c nats for every e-fold
    of the least variance.
    """
    if fitted.floored is None:
        return
    scale = sum(fitted.split) / train.shape[1] or 1.0
    try:
        wide, narrow = (float(fitted.floored(least * scale)(validation).mean()) for least in _LEAST_VARIANCES)
    except FAILURES:  # nothing to be learned from what cannot be computed
        return
    if narrow - wide > _GROWS * math.log(_LEAST_VARIANCES[0] / _LEAST_VARIANCES[1]) / 2:
        raise InputError(
            f"its held-out log-likelihood still grows by {narrow - wide:.2g} nats as the least variance it may have "
            f"shrinks from {_LEAST_VARIANCES[0]:.0e} to {_LEAST_VARIANCES[1]:.0e} of the data's, as it does where "
            "values repeat or columns determine each other, so that floor and not the data would decide its score"
        )


def finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same log-densities; InputError where one is not finite."""
    if not np.isfinite(values).all():
        raise InputError("its log-densities are not finite")
    return values


def in_words(error: BaseException) -> str:
    """The first sentence of an error, without its full stop."""
    return str(error).split("\n")[0].split(". ")[0].rstrip(".") or type(error).__name__


@contextmanager
def quietly() -> Iterator[None]:
    """What a fit warns of is told by its score."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
