"""Who is how far behind, over examples and seeds, and which of those that cannot be told apart is the smallest."""

import math
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Entry", "Standing", "of_whole_settings", "smallest", "standings"]


@dataclass(frozen=True)
class Entry:
    """The score of one training.

    Parameters
    ----------
    label : str
        What it is, its seed left out.
    setting : hashable
        What trainings have in common that differ in their seed alone.
    size : tuple of int
        Latent dimensions, then parameters: of two models the smaller has the lesser one.
    value, se : float
        The score, of which more is better, and its standard error over examples.
    seed : int, optional
        Of the training; None where seeds were not varied.
    by_example : array, optional
        [n], whose mean is the score.
    """

    label: str
    setting: Hashable
    size: tuple[int, ...]
    value: float
    se: float
    seed: int | None = None
    by_example: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Standing:
    """One setting among those of a sweep: its score, and how far it is behind the best.

    Parameters
    ----------
    label : str
        What it is, its seed left out.
    size : tuple of int
        Latent dimensions, then parameters.
    value, se : float
        The score, a mean over seeds, and its standard error over examples and seeds. Of a setting that was trained by
        one seed beside others that were by several, the error over seeds is how far those lie apart.
    behind, se_behind : float
        What it lacks of the best score, and the standard error of that difference, which pairs examples, and seeds.
    seeds : int
        How many were trained.
    best_entry : int
        Which of the entries of this setting has the greatest score, by its place among all.
    """

    label: str
    size: tuple[int, ...]
    value: float
    se: float
    behind: float
    se_behind: float
    seeds: int
    best_entry: int

    @property
    def within(self) -> bool:
        """Whether it is behind the best by no more than one standard error."""
        return self.behind <= self.se_behind


def standings(entries: Sequence[Entry]) -> list[Standing]:
    """Every setting, in the order of the entries, beside the one with the best score.

    Parameters
    ----------
    entries : sequence of Entry
        At least one; scores are finite.

    Returns
    -------
    list of Standing
        One per setting.

    Examples
    --------
    >>> found = standings([Entry("d = 2", 2, (2,), -1.0, 0.1), Entry("d = 8", 8, (8,), -0.95, 0.1)])
    >>> [(one.label, round(one.behind, 2), one.within) for one in found], smallest(found).label
    ([('d = 2', 0.05, True), ('d = 8', 0.0, True)], 'd = 2')
    """
    groups: dict[Hashable, list[int]] = {}
    for place, one in enumerate(entries):
        groups.setdefault(one.setting, []).append(place)
    sets = [[entries[place] for place in places] for places in groups.values()]
    best, apart = max(sets, key=_mean), _apart(sets)
    found = []
    for mine, places in zip(sets, groups.values(), strict=True):
        behind, se_behind = (0.0, 0.0) if mine is best else _difference(best, mine, apart)
        top = max(places, key=lambda place: entries[place].value)
        se = math.hypot(_points(mine), _between([one.value for one in mine], apart))
        found.append(Standing(mine[0].label, mine[0].size, _mean(mine), se, behind, se_behind, len(mine), top))
    return found


def of_whole_settings(settings: Sequence[Hashable], kept: Collection[int]) -> list[int]:
    """Of the trainings that can be judged, those of settings that lost none: without its hard seeds one is flattered.

    Parameters
    ----------
    settings : sequence of hashable
        Of every training, what it has in common with those that differ in their seed alone.
    kept : collection of int
        Places of those that can be judged.

    Returns
    -------
    list of int
        Their places, in order; where every setting lost some, all of `kept`.

    Examples
    --------
    >>> of_whole_settings(["β = 1", "β = 1", "β = 4", "β = 4"], [1, 2, 3])
    [2, 3]
    """
    lost = {setting for place, setting in enumerate(settings) if place not in kept}
    return [place for place in sorted(kept) if settings[place] not in lost] or sorted(kept)


def smallest(found: Sequence[Standing]) -> Standing:
    """The smallest of those within one standard error of the best; of equal ones that with the best score."""
    within = [one for one in found if one.within]
    least = min(one.size for one in within)
    return max((one for one in within if one.size == least), key=lambda one: one.value)


def _mean(group: Sequence[Entry]) -> float:
    return sum(one.value for one in group) / len(group)


def _points(group: Sequence[Entry]) -> float:
    """Standard error over examples of the mean over seeds."""
    rows = _over_seeds(group)
    return group[0].se if rows is None else float(rows.std(ddof=1) / math.sqrt(len(rows))) if len(rows) > 1 else 0.0


def _over_seeds(group: Sequence[Entry]) -> NDArray[np.float64] | None:
    rows = [one.by_example for one in group if one.by_example is not None]
    return np.mean(rows, axis=0) if len(rows) == len(group) else None


def _apart(sets: Sequence[Sequence[Entry]]) -> float:
    """The deviation of one seed, pooled over the settings that have several; 0 where none has: nothing is known."""
    several = [[one.value for one in group] for group in sets if len(group) > 1]
    squares = sum(float(np.var(values)) * len(values) for values in several)
    return math.sqrt(squares / sum(len(values) - 1 for values in several)) if several else 0.0


def _between(values: Sequence[float], apart: float) -> float:
    """Standard error of a mean over seeds; of one seed the deviation of others."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else apart


def _difference(best: Sequence[Entry], other: Sequence[Entry], apart: float) -> tuple[float, float]:
    """The difference of two means, and its standard error over examples and seeds, paired where they can be."""
    mine, theirs = _over_seeds(best), _over_seeds(other)
    if mine is None or theirs is None or len(mine) != len(theirs):
        points = math.hypot(_points(best), _points(other))
    else:
        points = float((mine - theirs).std(ddof=1) / math.sqrt(len(mine))) if len(mine) > 1 else math.inf
    first, second = ({one.seed: one.value for one in group} for group in (best, other))
    if len(best) > 1 and first.keys() == second.keys():
        between = _between([value - second[seed] for seed, value in first.items()], apart)
    else:
        between = math.hypot(*(_between([one.value for one in group], apart) for group in (best, other)))
    return _mean(best) - _mean(other), math.hypot(points, between)
