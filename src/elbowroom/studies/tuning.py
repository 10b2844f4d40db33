"""Choosing among the settings of a family of densities, and refusing what has no best one."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError
from elbowroom.progress import Progress
from elbowroom.records import SearchRecord

from .candidates import Array, Family, Fitted, Learned, Setting, hardly_varies
from .search import ending, search

__all__ = ["FAILURES", "FEW", "FOLDS", "Tuned", "finite", "in_words", "quietly", "tuned"]

FAILURES = (ValueError, ArithmeticError, MemoryError)
"""What a fit or a score may raise on data that it does not suit."""
FEW, FOLDS = 100, 5
"""Rows of validation, below which settings are judged by cross-validation too, and into how many parts."""
_HALVES = 2  # in which all rows are judged where a column hardly varies, at twice the budget
_FEWEST = 4 * FOLDS  # training rows that are parted
_LEAST_VARIANCES = (1e-10, 1e-12)  # of the data's: far above what rounding leaves, far below what data have
_GROWS = 0.05  # dimensions in which the density has no width, per row


@dataclass(frozen=True)
class Tuned:
    """The best density of a family.

    Attributes
    ----------
    setting : str
        In words.
    fitted : Fitted
        Fitted to the training rows.
    tried : int
        How many settings were.
    search : SearchRecord
        Whether the best is inside what was tried.
    """

    setting: str
    fitted: Fitted
    tried: int
    search: SearchRecord


class _Judge:
    """Held-out scores of the settings of a family; it keeps the best fit to all training rows."""

    def __init__(self, family: Family, train: Learned, validation: Array, validated: int, bar: Progress) -> None:
        self.family, self.train, self.validation, self.bar = family, train, validation, bar
        self.few = _by_folds(family, train, validated)
        self.folds = FOLDS if self.few else _HALVES * (family.halved and hardly_varies(train))
        self.parts = [train.fold(one, self.folds) for one in range(self.folds)]
        self.best, self.said = -np.inf, ""
        self.kept: Fitted | None = None

    def __call__(self, setting: Setting) -> float:
        """The mean log-density of the rows that are held out; minus infinity where there is none."""
        self.bar.doing(f"{self.family.name}, {self.family.words(setting)}")
        try:
            fitted = self.family.fit(setting, self.train)
            held_out = [finite(fitted.scores(self.validation))]
            held_out += [finite(self.family.fit(setting, train).scores(rows)) for train, rows in self.parts]
            value = float(np.concatenate(held_out).mean())
        except FAILURES as error:
            self.said = self.said or in_words(error)
            value = -np.inf
        else:
            if value > self.best:
                self.best, self.kept = value, fitted
        self.bar.advance(validation=value)
        return value


def _by_folds(family: Family, train: Learned, validated: int) -> bool:
    """Whether the settings of a family are judged by cross-validation too."""
    return family.by_folds and validated < FEW and train.n >= _FEWEST and not hasattr(train.rows, "indptr")


def tuned(
    family: Family, train: Learned, validation: Array, bar: Progress, *, budget: float, validated: int | None = None
) -> Tuned:
    """The setting of a family with the best mean log-density on rows that are held out.

    These are the validation rows and, where they are fewer than 100, the training rows too, each scored by a fit to
    four fifths of the others. Where a column hardly varies among the training rows, families whose columns have
    variances of their own are judged by both halves of them too, each by a fit to the other.

    Parameters
    ----------
    family : Family
        Its ladders; a setting that cannot be fitted is passed over.
    train : Learned
        The training rows.
    validation : array
        Rows [n, dimensions].
    bar : Progress
        Says what is fitted, and counts the settings.
    budget : float
        Billions of multiplications that all fits may be estimated to take.
    validated : int, optional
        How many different rows `validation` has, where it holds them with several noises.

    Returns
    -------
    Tuned
        The setting in words, and the density.

    Raises
    ------
    InputError
        Where none can be fitted, or the best has no maximum on such data; the sentence goes on from the family's name.
    """
    n = validation.shape[0] if validated is None else validated
    before: dict[tuple[int, ...], float] = {}
    begin: tuple[Setting, ...] = ()
    if family.copied and train.copies > 1:
        first = search(family, _Judge(family, train.single, validation[:n], n, bar), budget)
        before, begin = first.tried, (first.setting(first.best),)
    judge = _Judge(family, train, validation, n, bar)
    fits = (1 + judge.folds * judge.few) * (
        1 + 0.2 * (train.copies - 1) * family.copied
    )  # copies take a fifth of the steps
    found = search(family, judge, budget / fits, begin)
    if judge.kept is None:
        raise InputError(f"no setting of it can be fitted to these data ({judge.said})")
    _check_bounded(judge.kept, train, validation)
    tried = len(found.tried.keys() | before.keys())
    return Tuned(family.words(found.setting(found.best)), judge.kept, tried, ending(found, before))


def _check_bounded(fitted: Fitted, train: Learned, validation: Array) -> None:
    """Refuse a density whose held-out score grows for as long as its variances may shrink.

    On data whose density is bounded the score stays as it is from some variance on, and far above rounding. Where a
    share π of the rows lies, for the model, in a set with c dimensions fewer, it grows by ½ π c nats for every e-fold
    of the least variance.
    """
    if fitted.floored is None:
        return
    scale = sum(fitted.split) / train.dimensions or 1.0
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
