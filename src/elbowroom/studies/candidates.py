"""What a classic is made of: the rows it learns from, a family with ladders of settings, and a fitted density."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError

__all__ = [
    "WIDE",
    "Array",
    "Axis",
    "Family",
    "Fitted",
    "Learned",
    "Moments",
    "Scores",
    "Setting",
    "common_floor",
    "floor_words",
    "floors",
    "hardly_varies",
    "once",
    "sizes",
]

Array = Any  # rows [n, columns] as floats, dense or sparse
Scores = Callable[[Array], NDArray[np.float64]]
Split = tuple[float, float]  # Var E[x | z], E Var[x | z]
Setting = tuple[Any, ...]

WIDE = 1_000
"""Columns, beyond which what needs a columns × columns matrix, or many copies of the data, is done by blocks."""

_ALIKE, _APART = 10.0, 1e4  # the greatest variance of a column by the least: alike up to here, next to none from here
_COMMON = (0.0, 1e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


@dataclass(frozen=True)
class Fitted:
    """A fitted density.

    Attributes
    ----------
    scores : callable
        Rows [n, dimensions] to log-densities [n], in nats.
    split : (float, float)
        Var E[x | z] and E Var[x | z], summed over dimensions.
    floored : callable, optional
        A least variance to the scores of the same density with no smaller one; None where there is none to shrink.
    """

    scores: Scores
    split: Split
    floored: Callable[[float], Scores] | None = None


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of some rows, all that a normal is fitted to.

    Attributes
    ----------
    rows : int
        How many there were.
    mean : array
        [columns].
    covariance : array
        [columns, columns], divisor n − 1.
    """

    rows: int
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Array, noise: NDArray[np.float64] | float = 0.0) -> "Moments":
        """Those of rows [n, columns] to each column of which independent noise of a known variance is added."""
        mean = rows.mean(0, dtype=np.float64)
        away = rows - mean
        covariance = away.T @ away / max(len(rows) - 1, 1)
        return cls(len(rows), mean, covariance + np.diag(np.broadcast_to(noise, mean.shape)))


@dataclass(frozen=True, eq=False)
class Learned:
    """The rows that a classic learns from.

    Attributes
    ----------
    rows : array or CSR matrix
        [copies · n, dimensions]: all rows, and then all again with other noise of dequantisation.
    copies : int
        How often.
    centres : array, optional
        The rows with that noise at its mean, [n, dimensions], where it is added to what is known before.
    noise : array, optional
        The variance that it adds to each column, [dimensions].
    whole : Moments, optional
        Mean and covariance of all training rows, where they are more than `rows`.
    """

    rows: Array
    copies: int = 1
    centres: NDArray[np.float64] | None = None
    noise: NDArray[np.float64] | None = None
    whole: Moments | None = None

    @property
    def n(self) -> int:
        """How many different rows there are."""
        return int(self.rows.shape[0]) // self.copies

    @property
    def dimensions(self) -> int:
        """How many columns."""
        return int(self.rows.shape[1])

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance, in which the noise of dequantisation is exact where its variance is known."""
        if self.whole is not None:
            return self.whole
        if self.centres is None or self.noise is None:
            return Moments.of(self.rows)
        return Moments.of(self.centres, self.noise)

    @property
    def single(self) -> "Learned":
        """One copy of the rows."""
        return Learned(self.rows[: self.n], 1, self.centres, self.noise, self.whole)

    def fold(self, fold: int, folds: int) -> tuple["Learned", Array]:
        """The rows outside one of several equal parts, and those of it with every noise."""
        held_out = np.arange(self.n) % folds == fold
        every = np.tile(held_out, self.copies)
        centres = None if self.centres is None else self.centres[~held_out]
        return Learned(self.rows[~every], self.copies, centres, self.noise), self.rows[every]


@dataclass(frozen=True)
class Axis:
    """A direction in which the setting of a family moves.

    Attributes
    ----------
    name : str
        In words, such as "components".
    values : sequence
        The ladder, in rising order.
    ends : (str or None, str or None)
        Why the ladder ends below and above, in words that go on from "the fewest …, as" or "the most …, as"; None
        where nothing lies beyond.
    """

    name: str
    values: Sequence[Any]
    ends: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True)
class Family:
    """A family of densities and the settings that can be tried.

    Attributes
    ----------
    name : str
        In words.
    axes : tuple of Axis
        In which its setting moves; none for a family of one setting.
    starts : tuple of tuple
        Settings, a value per axis, from which the search sets out.
    fit : callable
        A setting and `Learned` rows to a `Fitted`.
    words : callable
        A setting to its words.
    cost : callable
        A setting to the billions of multiplications that one fit is estimated to take.
    by_folds : bool, default True
        Whether a setting may be judged by cross-validation, where validation has few rows.
    halved : bool, default False
        Whether every column has a variance of its own, whose floor only rare rows can judge where a column hardly
        varies, so that all rows are asked: those of training by a fit to the other half.
    copied : bool, default True
        Whether a fit takes longer to more copies of the rows, so that settings are judged on one of them first.
    """

    name: str
    axes: tuple[Axis, ...]
    starts: tuple[Setting, ...]
    fit: Callable[[Setting, Learned], Fitted]
    words: Callable[[Setting], str]
    cost: Callable[[Setting], float] = lambda setting: 0.0
    by_folds: bool = True
    halved: bool = False
    copied: bool = True


def floors(train: Learned, share: float, common: float) -> NDArray[np.float64]:
    """Least variances of the columns: a share of their own and a share of the mean of all, [columns].

    Parameters
    ----------
    train : Learned
        The rows.
    share : float
        Of each column's own variance.
    common : float
        Of the mean variance of the columns: what a column needs that hardly varies among the training rows, where it
        does elsewhere.

    Returns
    -------
    array
        [columns].

    Raises
    ------
    InputError
        For a column without variance, whose floor alone would be its density.
    """
    own = np.diag(train.moments.covariance)
    if not bool((own > 1e-30 * own.sum()).all()):
        raise InputError("a column has no variance, so there is no density")
    return np.asarray(share * own + common * own.mean())


def common_floor(train: Learned) -> Axis:
    """The ladder of the floor that all columns have; a single rung where columns vary alike."""
    own = np.diag(train.moments.covariance)
    alike = own.max() <= _ALIKE * own.min()
    return Axis("common floor", (0.0,) if alike else _COMMON, (None, None if alike else "a higher one is not tried"))


def hardly_varies(train: Learned) -> bool:
    """Whether a column hardly varies among the training rows, so that rare rows decide what a floor is worth.

    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> hardly_varies(Learned(x)), hardly_varies(Learned(x * [1.0, 1e-3]))
    (False, True)
    """
    own = np.diag(train.moments.covariance)
    return bool(own.max() > _APART * own.min())


def floor_words(share: float, common: float) -> str:
    """A floor in words.

    >>> floor_words(0.01, 0.0), floor_words(0.01, 0.001)
    ("0.01 of a column's variance", "0.01 of a column's variance and 0.001 of the columns' mean variance")
    """
    own = f"{share:g} of a column's variance"
    return f"{own} and {common:g} of the columns' mean variance" if common else own


def sizes(most: int, least: int = 1) -> list[int]:
    """Whole numbers that rise by a sixth or so: every one to 6, then 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, …

    >>> sizes(30)
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28]
    """
    found, step = [least], 1
    while found[-1] + step <= most:
        found.append(found[-1] + step)
        while found[-1] >= 8 * step:
            step *= 2
    return found


def once(made_of: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What all settings of a family share, made when the first of them asks; the last few are kept."""
    kept: list[tuple[Any, Any]] = []

    def of(train: Any) -> Any:
        for one, made in kept:
            if one is train:
                return made
        kept.append((train, made_of(train)))
        del kept[:-8]
        return kept[-1][1]

    return of
