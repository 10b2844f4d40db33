"""What the stage `account` leaves: the VAE and the classics set against each other, and the verdict."""

import math
from dataclasses import dataclass

from elbowroom.numerics import count, places, rounded
from elbowroom.numerics._standard_errors import standard_errors

from .evidence import VarianceRecord

__all__ = ["AccountRecord", "DifferenceRecord", "FigureRecord", "VerdictRecord"]


@dataclass(frozen=True)
class DifferenceRecord:
    """The VAE's best bound minus the best classic, paired by test example.

    Parameters
    ----------
    against : str
        Name of the classic.
    value, se : float
        Nats per example, and the standard error.
    n : int
        Examples that both measured.
    se_seeds : float, optional
        Standard deviation of the VAE's bound between trainings that differ in their seed alone, as measured on
        validation; None where one seed was trained.
    seeds : int, default 1
        How many those are.
    """

    against: str
    value: float
    se: float
    n: int
    se_seeds: float | None = None
    seeds: int = 1

    @property
    def se_both(self) -> float:
        """Standard error over examples, and the deviation between seeds where that was measured."""
        return math.hypot(self.se, self.se_seeds or 0.0)

    @property
    def between_seeds(self) -> str:
        """What is said behind the error over examples: the deviation between seeds, where it was measured."""
        if self.se_seeds is None:
            return ""
        return f", ± {rounded(self.se_seeds, places(self.se_seeds))} between {count(self.seeds, 'seed')}"

    @property
    def tie(self) -> bool:
        """Whether the two cannot be told apart at 95 %.

        By Student's t, as a few examples hardly tell the error; with seeds by Welch's degrees of freedom.
        """
        least = standard_errors(self._freedom + 1) if self.n > 1 else math.inf
        return not abs(self.value) >= least * self.se_both

    @property
    def _freedom(self) -> float:
        parts = [(self.se**4, self.n - 1), ((self.se_seeds or 0.0) ** 4, self.seeds - 1)]
        spread = sum(fourth / free for fourth, free in parts if free and fourth)
        return self.se_both**4 / spread if spread else self.n - 1


@dataclass(frozen=True)
class FigureRecord:
    """One figure of the verdict, as it is said.

    Parameters
    ----------
    label, value, error, unit, direction : str
        "code length", "2.41", "0.03", "bits per dimension", "at most"; error, unit and direction may be empty.
    """

    label: str
    value: str
    error: str
    unit: str
    direction: str


@dataclass(frozen=True)
class VerdictRecord:
    """One sentence that a person could repeat, and what it rests on.

    Parameters
    ----------
    sentence : str
        The verdict.
    figures : tuple of FigureRecord
        At most four.
    """

    sentence: str
    figures: tuple[FigureRecord, ...]


@dataclass(frozen=True)
class AccountRecord:
    """What `account` leaves, made of the records before it alone.

    Parameters
    ----------
    difference : DifferenceRecord, optional
        The VAE against the best classic; None where there is none.
    variances : tuple of VarianceRecord
        Of every model of the sweep and every classic; empty where squares mean nothing.
    verdict : VerdictRecord
        In words.
    """

    difference: DifferenceRecord | None
    variances: tuple[VarianceRecord, ...]
    verdict: VerdictRecord
