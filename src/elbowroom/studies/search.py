"""A search along ladders of settings: it moves until the best is inside, or says what stopped it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elbowroom.records import SearchRecord

from .candidates import Family

__all__ = ["Search", "ending", "search"]

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


def ending(found: Search, before: Mapping[Place, float] | None = None) -> SearchRecord:
    """Where a search ended: with its best inside what was tried, at the edge of that, or on its budget.

    Parameters
    ----------
    found : Search
        What was tried.
    before : mapping of tuple to float, optional
        Places that were tried before, on less data, and their scores.

    Returns
    -------
    SearchRecord
        In a sentence, and with what the last step in such a direction won.
    """
    best, name, at_edges, untried, won = found.best, found.family.name, [], [], []
    for number, axis in enumerate(found.family.axes):
        for step, end in zip((-1, 1), axis.ends, strict=True):
            place = best[number] + step
            if 0 <= place < len(axis.values):
                if _moved(best, number, step) in found.tried.keys() | (before or {}).keys():
                    continue
                untried.append(f"{axis.name} {'above' if step > 0 else 'below'} {_short(axis.values[best[number]])}")
            elif end is not None:
                at_edges.append(f"{axis.name} {_short(axis.values[best[number]])}, as {end}")
            else:
                continue
            won += _won(best, _moved(best, number, -step), found.tried, before or {})
    said = [f"The best {name} is at the edge of what is tried ({'; '.join(at_edges)})."] if at_edges else []
    said += (
        [f"The search for the best {name} spent its budget before {', '.join(untried)} could be tried."]
        if untried
        else []
    )
    inside = f"The best {name} is inside what was tried."
    return SearchRecord(" ".join(said) or inside, inside=not said, won=max(won, default=None))


def _moved(place: Place, axis: int, step: int) -> Place:
    return (*place[:axis], place[axis] + step, *place[axis + 1 :])


def _won(best: Place, inner: Place, *scores: Mapping[Place, float]) -> list[float]:
    """By how much the best is better than the place beside it, where both were tried."""
    apart = [tried[best] - tried[inner] for tried in scores if best in tried and inner in tried]
    return [one for one in apart if math.isfinite(one)][:1]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
