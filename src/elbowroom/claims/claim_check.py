"""What became of a claim."""

from dataclasses import dataclass
from typing import Literal

from elbowroom.numerics import Estimate
from elbowroom.records.values import Number

from .claim_text import Claim
from .mistakes import Mistake

__all__ = ["ClaimCheck"]


@dataclass(frozen=True)
class ClaimCheck:
    """What a printed number is and what it is not, from `check_claim`; printed, a few lines.

    Parameters
    ----------
    claim : Claim
        The number and what it was said to be.
    outcome : {"holds", "possible", "mistaken", "too high", "unexplained", "no bound"}
        Whether it is what it was said to be; may be, as it lies between the model's bound and log p(x); is what a
        simple mistake prints; stands above what the model can have; is none of these; or can be none, as the model has
        no bound.
    verdict : str
        The sentence.
    measured : Estimate or None
        What the claim is about, measured; None where the model has no bound.
    mistakes : tuple of Mistake
        Mistakes that print the number, the likeliest first.
    upper : Number or None
        log p(x) from above, if its chains have mixed, in nats per example; None where it was not needed.
    faults : tuple of (str, str)
        Of the evaluation function, where one was given: a name and a sentence each.
    """

    claim: Claim
    outcome: Literal["holds", "possible", "mistaken", "too high", "unexplained", "no bound"]
    verdict: str
    measured: Estimate | None
    mistakes: tuple[Mistake, ...] = ()
    upper: Number | None = None
    faults: tuple[tuple[str, str], ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing stands against the number or the function that made it."""
        return self.outcome in ("holds", "possible") and not self.faults

    @property
    def names(self) -> tuple[str, ...]:
        """Of all mistakes and faults."""
        return (*(one.name for one in self.mistakes), *(name for name, _ in self.faults))

    def __str__(self) -> str:
        first = 1 if self.outcome == "mistaken" else 0  # which the verdict names
        others = [f"Or: {one.sentence}" for one in self.mistakes[first:]]
        return "\n".join([self.verdict, *others, *(f"evaluate: {sentence}" for _, sentence in self.faults)])
