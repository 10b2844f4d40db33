"""What the stage `account` leaves: the VAE and the classics set against each other, and the verdict."""

import math
from dataclasses import dataclass

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
    """

    against: str
    value: float
    se: float
    n: int

    @property
    def tie(self) -> bool:
        """Whether the two cannot be told apart, at 95 % by Student's t, as a few examples hardly tell the error."""
        from scipy.special import stdtrit

        least = float(stdtrit(self.n - 1, 0.975)) if self.n > 1 else math.inf
        return not abs(self.value) >= least * self.se


@dataclass(frozen=True)
class FigureRecord:
    """One figure of the verdict, as it is said.

    Parameters
    ----------
    label, value, error, unit, direction : str
        "compression", "2.41", "0.03", "bits per dimension", "at most"; error, unit and direction may be empty.
    """

    label: str
    value: str
    error: str
    unit: str
    direction: str


@dataclass(frozen=True)
class VerdictRecord:
    """One sentence that a person could repeat, what it rests on, and what to do next.

    Parameters
    ----------
    sentence : str
        The verdict.
    figures : tuple of FigureRecord
        At most four.
    next : str, optional
        Advice that follows from a measured number; None where none does.
    """

    sentence: str
    figures: tuple[FigureRecord, ...]
    next: str | None


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
