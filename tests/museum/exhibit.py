"""What an exhibit is: a public fault rebuilt in a few lines, the claim made for it, and its repaired twin."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import elbowroom as er

Found = list[str]
"""Sentences in which a door names what it found; none where nothing stands against the thing."""


@dataclass(frozen=True)
class Exhibit:
    """A fault and its twin.

    Parameters
    ----------
    name : str
        In a few words.
    seen : str
        Where a fault of the kind was public.
    claim : str
        What is said of the thing.
    words : str
        Words of the sentence that must name it.
    doors : dict of str to callable
        Door → what it finds, of the faulty thing (False) or its twin (True).
    """

    name: str
    seen: str
    claim: str
    words: str
    doors: dict[str, Callable[[bool], Found]]


def by_loss(make: Callable[[bool], Callable[..., Any]], **options: Any) -> dict[str, Callable[[bool], Found]]:
    """The door of losses."""
    return {"read_loss": lambda repaired: list(er.read_loss(make(repaired), **options).faults)}


@dataclass(frozen=True)
class Claimed:
    """A model, data, a printed number, and the function that printed it."""

    model: er.VAE
    data: Any
    text: str
    evaluate: Callable[..., Any] | None = None


def by_claim(make: Callable[[bool], Claimed], **options: Any) -> dict[str, Callable[[bool], Found]]:
    """The door of printed numbers."""

    def ask(repaired: bool) -> Found:
        one = make(repaired)
        found = er.check_claim(one.model, one.data, one.text, evaluate=one.evaluate, **options)
        against = [] if found.outcome in ("holds", "possible") else [found.verdict]
        return against + [mistake.sentence for mistake in found.mistakes[1:]] + [said for _, said in found.faults]

    return {"check_claim": ask}
