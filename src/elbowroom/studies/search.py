"""A search along ladders of settings: it moves until the best is inside, or says what stopped it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from .candidates import Family

__all__ = ["Search", "edges", "search"]

Place = tuple[int, ...]  # where on each ladder

_CLIMBS = 2  # of the starts, from the best
_PATIENCE = 2  # steps that may be worse before a walk along a ladder ends: held-out scores are noisy


@dataclass
class Search:
    """What was tried of a family.

    Parameters
    ----------
    family : Family
        The family.
    score : callable
        A setting to its held-out score, the more the better; minus infinity where it cannot be had.
    budget : float
        Billions of multiplications that all fits together may be estimated to take; the starts are tried whatever they
        cost.
    tried : dict
        Place on the ladders → score.
    spent : float
        Billions of multiplications.
    """

    family: Family
    score: Callable[[Any], float]
    budget: float
    tried: dict[Place, float] = field(default_factory=dict)
    spent: float = 0.0

    @property
    def best(self) -> Place:
        """The place with the highest score."""
        return max(self.tried, key=lambda place: self.tried[place])

    def setting(self, place: Place) -> tuple[Any, ...]:
        """The values at a place."""
        return tuple(axis.values[at] for axis, at in zip(self.family.axes, place, strict=True))

    def at(self, place: Place, *, free: bool = False) -> float | None:
        """The score at a place; None where it is beyond a ladder's end, or where the budget does not reach."""
        if any(not 0 <= at < len(axis.values) for axis, at in zip(self.family.axes, place, strict=True)):
            return None
        if place not in self.tried:
            setting = self.setting(place)
            cost = self.family.cost(setting)
            if not free and self.spent + cost > self.budget:
                return None
            self.spent += cost
            self.tried[place] = self.score(setting)
        return self.tried[place]


def search(family: Family, score: Callable[[Any], float], budget: float, begin: Sequence[Any] = ()) -> Search:
    """Walk along every ladder in turn, from the two best starts, until no step is better.

    Parameters
    ----------
    family : Family
        Its ladders and starts.
    score : callable
        A setting to its held-out score.
    budget : float
        Billions of multiplications.
    begin : sequence of tuple, default ()
        Settings to set out from instead of the family's starts.

    Returns
    -------
    Search
        All that was tried.

    References
    ----------
    Hooke & Jeeves, "Direct search solution of numerical and statistical problems" (1961).
    """
    found = Search(family, score, budget)
    starts = list(dict.fromkeys(_place(family, setting) for setting in begin or family.starts))
    for start in starts:
        found.at(start, free=True)
    for start in sorted(starts, key=lambda place: -found.tried[place])[:_CLIMBS]:
        _climb(found, start)
    return found


def _place(family: Family, setting: tuple[Any, ...]) -> Place:
    """The place nearest below a setting."""
    return tuple(
        max(int(sum(value <= wanted for value in axis.values)) - 1, 0)
        for axis, wanted in zip(family.axes, setting, strict=True)
    )


def _climb(found: Search, place: Place) -> None:
    """Move the place one ladder after the other until a round moves nothing."""
    moved = True
    while moved:
        moved = False
        for axis in reversed(range(len(place))):  # the first is the size of the model, whose steps cost most
            for step in (1, -1):
                better = _walk(found, place, axis, step)
                moved, place = moved or better != place, better


def _walk(found: Search, place: Place, axis: int, step: int) -> Place:
    """The best place in one direction along a ladder, by strides that double while they lead to better ones."""
    best, stride, worse = place, 1, 0
    while worse < _PATIENCE:
        at = (*best[:axis], best[axis] + step * (stride + worse), *best[axis + 1 :])
        score = found.at(at)
        if score is not None and score > found.tried[best]:
            best, stride, worse = at, 2 * stride, 0
        elif stride > 1:
            stride = 1
        elif score is None:
            break
        else:
            worse += 1
    return best


def edges(found: Search, before: Collection[Place] = ()) -> list[str]:
    """In what directions the best setting is not inside what was tried, in words.

    Parameters
    ----------
    found : Search
        What was tried.
    before : collection of tuple, default ()
        Places that were tried before, on less data.

    Returns
    -------
    list of str
        Sentences.
    """
    best, said, untried = found.best, [], []
    for number, axis in enumerate(found.family.axes):
        for step, end in zip((-1, 1), axis.ends, strict=True):
            beside = (*best[:number], best[number] + step, *best[number + 1 :])
            if 0 <= beside[number] < len(axis.values):
                if beside not in found.tried and beside not in before:
                    untried.append(
                        f"{axis.name} {'above' if step > 0 else 'below'} {_short(axis.values[best[number]])}"
                    )
            elif end is not None:
                at = f"{axis.name} {_short(axis.values[best[number]])}"
                said.append(f"The best {found.family.name} stands at the edge of what is tried ({at}): {end}.")
    if untried:
        said.append(f"Its budget ended the search for the best {found.family.name} before {', '.join(untried)}.")
    return said


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
