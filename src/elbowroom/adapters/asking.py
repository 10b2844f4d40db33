"""What a module is asked with: x in [0, 1] or rows of its user, and random x far beyond; and what it answers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from elbowroom.numerics import InputError

from .listening import FAILURES, Heard, Listener

__all__ = [
    "Answer",
    "Answers",
    "Asked",
    "Questions",
    "Verdict",
    "agree",
    "best",
    "enough",
    "hear",
    "judged",
    "listening",
    "questions",
]

T = TypeVar("T")

_EXAMPLES = 32
_SIZES = (1.0, 10.0, 100.0)
_KNOWN = 0.5  # of all numbers that are finite, so that an answer counts as one


@dataclass(frozen=True)
class Asked:
    """x [32, *event] at random, or rows of the user's own.

    Attributes
    ----------
    x : Tensor
        The rows.
    words : str
        Which they are.
    low, high : float
        Between which random ones lie.
    """

    x: Tensor
    words: str = "rows that were given"
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Questions:
    """All that a module is asked with.

    Attributes
    ----------
    near : Tensor
        [2, 32, *event], of which it must take both.
    own : list of Asked
        All rows of the user's own, the last ones filled up.
    far : list of Asked
        Random x, which it may refuse.
    rows : int
        How many rows of the user's own there are.
    """

    near: Tensor
    own: list[Asked]
    far: list[Asked]
    rows: int = 0

    def to(self, like: Tensor) -> "Questions":
        """The same on a device and in a type; none are far where a refusal could break the device for good."""
        own, far = ([replace(one, x=one.x.to(like)) for one in several] for several in (self.own, self.far))
        return Questions(self.near.to(like), own, far if like.device.type == "cpu" else [], self.rows)

    def words(self, held: Sequence[Asked]) -> str:
        """At which x something held."""
        low, high = min((one.low for one in held), default=0.0), max((one.high for one in held), default=0.0)
        wide = f" and {'random x ' * bool(self.rows)}from {low:g} to {high:g}"
        first = f"the {self.rows} rows given" if self.rows else "random x in [0, 1]"
        return first + (wide if low < 0 or high > 1 else " alone, as it answers no larger ones" * (not self.rows))


def questions(event: Sequence[int], rows: Tensor | None = None) -> Questions:
    """Questions for a module of x of this shape.

    Parameters
    ----------
    event : sequence of int
        Shape of one x.
    rows : Tensor, optional
        [n, *event], rows of the user's own, which stand first then.

    Returns
    -------
    Questions
        In 64 bits.
    """
    generator = torch.Generator().manual_seed(0)
    near = torch.rand(2, _EXAMPLES, *event, generator=generator, dtype=torch.float64)
    far = list(_far(near[0], generator))
    if rows is None:
        return Questions(near, [], far)
    every = torch.arange(-(-len(rows) // _EXAMPLES) * _EXAMPLES) % len(rows)
    own = [Asked(rows[places]) for places in every.split(_EXAMPLES)]
    both = torch.stack([own[0].x, rows.flip(0)[every[:_EXAMPLES]]])
    return Questions(both, own, [_between(0.0, 1.0, near[0]), *far], len(rows))


def _far(uniform: Tensor, generator: torch.Generator) -> Iterator[Asked]:
    """Bits, and then larger and larger x, first above 0 and then of both signs."""
    level = torch.rand(_EXAMPLES, *[1] * (uniform.dim() - 1), generator=generator, dtype=torch.float64)
    yield Asked((uniform < level).double(), "random bits", 0.0, 1.0)
    for size in _SIZES:
        normal = torch.randn(uniform.shape, generator=generator, dtype=torch.float64) * (size / 3)
        if size > 1:
            yield _between(0.0, size, size * uniform)
        yield _between(-size, size, torch.cat([-size * uniform[::2], normal[1::2].clamp(-size, size)]))


def _between(low: float, high: float, x: Tensor) -> Asked:
    return Asked(x, f"random x from {low:g} to {high:g}", low, high)


def listening(
    model: nn.Module, asked: Questions, like: Tensor, make: Callable[[nn.Module], Listener]
) -> tuple[Listener, Questions]:
    """On the CPU and in 64 bits where the module can, and what to ask it with.

    Parameters
    ----------
    model : nn.Module
        The module.
    asked : Questions
        As `questions` makes them.
    like : Tensor
        Of the module's type and device.
    make : callable
        Module → its listener.

    Returns
    -------
    tuple
        The listener and the questions, in the type and on the device of the module that it listens to.
    """
    error: Exception | None = None
    for place in (torch.empty(0, dtype=torch.float64), like.cpu(), like):
        listener, there = make(model), asked.to(place)
        try:
            listener.model.to(place if place.dtype == torch.float64 else place.device)
            listener.hear(there.near[0], 0)
            return listener, there
        except FAILURES as raised:
            error = raised
    reason, event = str(error).split("\n")[0].rstrip("."), tuple(asked.near.shape[2:])
    raise InputError(
        f"The {type(model).__name__} does not take x of the likelihood's event {event} ({reason})."
    ) from error


@dataclass(frozen=True)
class Answer:
    """What a module returned for x, with the noise of all others."""

    asked: Asked
    heard: Heard


@dataclass(frozen=True)
class Answers:
    """What a module returned for all that it was asked.

    Attributes
    ----------
    first, again, other : Heard
        For the first x at two seeds, and for the second x at the first seed.
    own, far : list of Answer
        For the others, without what it refused.
    """

    first: Heard
    again: Heard
    other: Heard
    own: list[Answer]
    far: list[Answer]

    def doubts(self, verdict: "Verdict", what: str, why: str, instead: str) -> list[str]:
        """Where else something does not hold; InputError where it does not for x that count.

        Parameters
        ----------
        verdict : Verdict
            Where it holds.
        what, why, instead : str
            What does not hold, what the forward must do that it does not, and what to do about it.

        Returns
        -------
        list of str
            One sentence, or none.
        """
        if not any(verdict.broken):
            return []
        there = (verdict.own or verdict.far)[0].words
        if self.own and not verdict.own:
            return [f"{what} for the rows given and not for {there}: {why}."]
        known = "other x" if self.own else "random x in [0, 1]"
        data = "" if self.own else ", or give rows of your data by x= where they stay within"
        raise InputError(f"{what} for {known} and not for {there}: {why}. {instead}{data}.")


def hear(listener: Listener, asked: Questions) -> Answers:
    """All answers of a module.

    Parameters
    ----------
    listener : Listener
        To the module.
    asked : Questions
        In its type and on its device.

    Returns
    -------
    Answers
        Of the same noise at the same seed, as all x have one shape.
    """
    first, again, other = (listener.hear(asked.near[i], seed) for i, seed in ((0, 0), (0, 1), (1, 0)))
    own = [Answer(one, listener.hear(one.x, 0)) for one in asked.own]
    return Answers(first, again, other, own, list(_taken(listener, asked.far, first)))


def _taken(listener: Listener, far: Sequence[Asked], first: Heard) -> Iterator[Answer]:
    for one in far:
        try:
            heard = listener.hear(one.x, 0)
        except FAILURES:
            continue
        if _alike(first, heard):
            yield Answer(one, heard)


def _alike(first: Heard, other: Heard) -> bool:
    """Whether outputs and calls are the same ones, whatever their values."""
    names = [(name, value.shape) for name, value in first.out.items()]
    return names == [(name, value.shape) for name, value in other.out.items()] and (
        [call.name for call in first.calls] == [call.name for call in other.calls]
    )


@dataclass(frozen=True)
class Verdict:
    """Where something held, and where it did not; what could not be judged is in neither."""

    held: list[Asked]
    own: list[Asked]
    far: list[Asked]

    @property
    def broken(self) -> tuple[bool, bool]:
        """Whether it did not hold for rows of the user's own, and for random x."""
        return bool(self.own), bool(self.far)


def judged(answers: Answers, holds: Callable[[Answer], bool | None]) -> Verdict:
    """Where something holds.

    Parameters
    ----------
    answers : Answers
        Of a module.
    holds : callable
        Answer → whether it holds; None where too little is finite.

    Returns
    -------
    Verdict
        The smallest x first.
    """
    own, far = ([(one.asked, holds(one)) for one in several] for several in (answers.own, answers.far))
    broken = ([asked for asked, held in several if held is False] for several in (own, far))
    return Verdict([asked for asked, held in far if held], *broken)


def best(candidates: Sequence[T], ask: Callable[[T], Verdict]) -> tuple[T, Verdict]:
    """The first candidate that holds for all x, with the verdict; else for all of the user's own; else the first.

    Parameters
    ----------
    candidates : sequence
        One at least.
    ask : callable
        Candidate → verdict.

    Returns
    -------
    tuple
        The candidate and its verdict.
    """
    return min(((one, ask(one)) for one in candidates), key=lambda found: found[1].broken)


def agree(*pairs: tuple[Tensor, Tensor]) -> bool | None:
    """Whether pairs of tensors hold the same numbers where both are finite; None where most are not.

    Parameters
    ----------
    *pairs : tuple of two Tensors
        With a row per example and as many numbers each, in any shape.

    Returns
    -------
    bool or None
        Whether they do.
    """
    one, other = (torch.cat([pair[i].flatten(1).double() for pair in pairs], 1) for i in (0, 1))
    known = one.isfinite() & other.isfinite()
    return torch.allclose(one[known], other[known], rtol=1e-5, atol=2e-6) if enough(known) else None


def enough(known: Tensor) -> bool:
    """Whether so much is known that an answer counts."""
    return bool(known.double().mean() >= _KNOWN)
