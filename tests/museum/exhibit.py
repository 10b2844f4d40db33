"""What an exhibit is: a public fault rebuilt in a few lines, the claim made for it, and its repaired twin."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import elbowroom as er
from elbowroom.ledger.budgets import QUICK

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
    words : str or dict of str to str
        Words of the sentence that must name it, by door where they differ.
    doors : dict of str to callable
        Door → what it finds, of the faulty thing (False) or its twin (True).
    """

    name: str
    seen: str
    claim: str
    words: str | dict[str, str]
    doors: dict[str, Callable[[bool], Found]]

    def named(self, door: str) -> str:
        """Words by which a door names it."""
        return self.words if isinstance(self.words, str) else self.words[door]


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
        sound = found.outcome in ("holds", "possible")
        named = [] if sound else [found.verdict, *(mistake.sentence for mistake in found.mistakes)]
        return named + [said for _, said in found.faults]

    return {"check_claim": ask}


SMALL = QUICK._replace(
    n=8,
    identity={**QUICK.identity, "anneal": False, "steps": 40, "refine_draws": 2, "draws": 32},
    context=QUICK.context._replace(bounds=200, draws=4, units=200),
    symptoms=QUICK.symptoms._replace(annealed=40, temperatures=8, chains=4, leapfrog=2, steps=30, refine_draws=2),
    prices=QUICK.prices._replace(train=50, validation=20, test=20, draws=2),
)
"""What an audit spends on models of three latents."""


def by_audit(make: Callable[[bool], tuple[er.VAE, Any]]) -> dict[str, Callable[[bool], Found]]:
    """The door of models."""

    def ask(repaired: bool) -> Found:
        vae, data = make(repaired)
        if vae not in _AUDITED:  # the twin that several exhibits share, once
            _AUDITED[vae] = _audited(vae, data)
        return _AUDITED[vae]

    return {"audit": ask}


_AUDITED: dict[er.VAE, Found] = {}


def _audited(vae: er.VAE, data: Any) -> Found:
    with mock.patch("elbowroom.ledger._audit.QUICK", SMALL):
        record = er.audit(vae, data, quick=True, progress=False)
    return [finding.sentence for finding in record.findings if finding.found]
