"""What stands on the rate–distortion plane: models in families, the frontier of each, and how large the entropy can be.

A family is what the models of a sweep have in common but for β and seed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from elbowroom.numerics import with_error

from .style import ACCENT, INK, LABELS, PAPER

__all__ = [
    "FAULTS",
    "Family",
    "Place",
    "best_entropy",
    "corners_of",
    "families_of",
    "frontier",
    "limits",
    "places_of",
    "short_label",
    "within",
]

FAULTS = LABELS[2]
"""Dark red, in which a model stands whose audit found something; no family has it."""

_COLOURS = tuple(LABELS[i] for i in (0, 1, 4, 5, 6, 8, 9, 7, 3))
_MARKERS = "os^DvPXh<>"
_FEWEST = 4  # models of which one can stand out
_FENCE = 3.0  # interquartile ranges beyond the upper quartile: Tukey's "far out"


@dataclass(frozen=True)
class Family:
    """Models that differ in β and seed alone, and how they look."""

    name: str
    colour: str
    marker: str
    members: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """Where a model stands, and how it looks there.

    Attributes
    ----------
    rate, distortion : float
        Nats per example.
    family : Family
        To which it belongs.
    calibrated : float or None
        The distortion after calibration, which leaves the rate as it is.
    fill : str
        Colour of its dot: what its audit said, paper where there was none.
    """

    rate: float
    distortion: float
    family: Family
    calibrated: float | None
    fill: str

    @property
    def best(self) -> tuple[float, float]:
        """Rate and distortion, after calibration where it was calibrated to less."""
        lower = self.distortion if self.calibrated is None else min(self.distortion, self.calibrated)
        return self.rate, lower


def frontier(rates: Sequence[float], distortions: Sequence[float]) -> list[int]:
    """Which points lie on the lower-left convex frontier, by ascending rate.

    They are those that have the least distortion + β rate for some β from 0 up. What lies between two of them is
    reached by a coin that decides between two models.

    Parameters
    ----------
    rates, distortions : sequence of float
        Finite.

    Returns
    -------
    list of int
        Places in the sequences; of equal points the first.

    Examples
    --------
    >>> frontier([0.0, 1.0, 2.0, 2.0], [10.0, 9.0, 2.0, 3.0])
    [0, 2]
    """
    points = [(float(r), float(d)) for r, d in zip(rates, distortions, strict=True)]
    hull: list[int] = []
    for i in sorted(range(len(points)), key=points.__getitem__):
        if hull and points[i][1] >= points[hull[-1]][1]:
            continue  # neither less rate nor less distortion than the last
        while len(hull) > 1 and _above_chord(points[hull[-2]], points[hull[-1]], points[i]):
            hull.pop()
        hull.append(i)
    return hull


def corners_of(shown: Mapping[int, Place]) -> dict[str, list[tuple[float, float]]]:
    """The corners of every family's frontier, after calibration, by ascending rate.

    Parameters
    ----------
    shown : mapping of int to Place
        Of models, by number.

    Returns
    -------
    dict of str to list of (float, float)
        By the family's name.
    """
    families = dict.fromkeys(one.family.name for one in shown.values())
    points = {name: [one.best for one in shown.values() if one.family.name == name] for name in families}
    return {name: [of[i] for i in frontier(*zip(*of, strict=True))] for name, of in points.items()}


def _above_chord(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b lies on or above the chord from a to c, which are to its left and right."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])


def families_of(models: Mapping[int, Any]) -> dict[int, Family]:
    """The family of every model; one for all where none would have two, and none would have a frontier.

    Parameters
    ----------
    models : mapping of int to model
        By number; a model may have a `family`, a text.

    Returns
    -------
    dict of int to Family
        By number, the families in the order of their first models.
    """
    names = {i: str(getattr(model, "family", "")) for i, model in models.items()}
    different = list(dict.fromkeys(names.values()))
    if len(different) in (1, len(names)):
        alone = Family("", INK, "o", list(names))
        return dict.fromkeys(names, alone)
    looks = {
        name: Family(name or "without such words", _COLOURS[k % len(_COLOURS)], _MARKERS[k % len(_MARKERS)])
        for k, name in enumerate(different)
    }
    for i, name in names.items():
        looks[name].members.append(i)
    return {i: looks[name] for i, name in names.items()}


def short_label(model: Any, family: Family) -> str:
    """A model's label without the words that the key says of its family.

    Parameters
    ----------
    model : Swept or Model
        With a label, "d = 8, β = 0.5".
    family : Family
        Of which the words are left out.

    Returns
    -------
    str
        As "β = 0.5"; the whole label where nothing would be left.
    """
    said = set(family.name.split(", "))
    return ", ".join(word for word in model.label.split(", ") if word not in said) or model.label


def places_of(
    models: Sequence[Any], chosen: Any, gains: Sequence[Any] | None, healthy: Sequence[bool | None] | None
) -> dict[int, Place]:
    """Where every model stands whose rate and distortion are finite, by its number.

    Parameters
    ----------
    models : sequence of Swept or Model
        With label, rate and distortion.
    chosen : one of them, or None
        Which is set apart.
    gains : sequence of values or None
        Nats that calibration wins; None where a model is not calibrated.
    healthy : sequence of bool or None
        What audits said; None where a model has none.

    Returns
    -------
    dict of int to Place
        In the order of the models.
    """
    finite = {i: m for i, m in enumerate(models) if math.isfinite(m.rate.mean + m.distortion.mean)}
    families, found = families_of(finite), {}
    for i, m in finite.items():
        won = gains[i].mean if gains is not None and gains[i] is not None else math.nan
        said = None if healthy is None else healthy[i]
        unaudited = (ACCENT if healthy is None else INK) if m is chosen else PAPER
        fill = unaudited if said is None else (ACCENT if said else FAULTS)
        calibrated = m.distortion.mean - won if math.isfinite(won) else None
        found[i] = Place(m.rate.mean, m.distortion.mean, families[i], calibrated, fill)
    return found


def within(places: Mapping[int, Place], chosen: int | None) -> dict[int, Place]:
    """Those that can be drawn without squeezing the others: left out is a rate far beyond all, at a poor ELBO.

    Parameters
    ----------
    places : mapping of int to Place
        Of all models.
    chosen : int or None
        Which stays in any case.

    Returns
    -------
    dict of int to Place
        Of those that stay.
    """
    totals = [sum(one.best) for one in places.values()]
    low, high = np.percentile([one.rate for one in places.values()], [25, 75])
    fence, usual = high + _FENCE * (high - low), np.median(totals)
    few = len(places) < _FEWEST
    return {i: one for i, one in places.items() if few or i == chosen or one.rate <= fence or sum(one.best) <= usual}


def limits(values: Iterable[tuple[float, float]], at_zero: bool = False) -> tuple[float, float]:
    """A frame around values with half their intervals; from zero where they come near it, as rates of a collapse do."""
    reach = [value + side * half for value, half in values for side in (-1, 1)]
    pad = 0.08 * (max(reach) - min(reach)) or 1.0
    low = min(reach) - pad
    return min(0.0, min(reach)) if at_zero and low < 0.3 * max(reach) else low, max(reach) + pad


def best_entropy(models: Sequence[Any], gains: Sequence[Any] | None) -> tuple[float, str] | None:
    """The least −log p̂(x) among models, of which every one lies above the entropy of x, and in words whose it is.

    Parameters
    ----------
    models : sequence of Swept or Model
        Those that have an `iwae`, or a rate and a distortion.
    gains : sequence of values or None
        Nats that calibration wins.

    Returns
    -------
    float
        Nats per example.
    str
        As "85.1 ± 0.9, by IWAE-100 of β = 0.5"; None in place of both where no model has an importance-weighted bound,
        and where they are bounds on different things or of different data, whose entropies differ.
    """
    found, of = [], set()
    for i, m in enumerate(models):
        bound = getattr(m, "iwae", None)
        if bound is None or not math.isfinite(bound.mean):
            continue
        of.add((bound.quantity, getattr(bound, "data", None)))
        found.append((-bound.mean, bound.se_total, f"{bound.estimator} of {m.label}"))
        won = gains[i] if gains is not None else None
        if won is not None and math.isfinite(won.mean):
            value = m.rate.mean + m.distortion.mean - won.mean
            found.append((value, _error_after(m, won), f"the ELBO of {m.label}, calibrated"))
    if len(of) != 1:
        return None
    value, error, words = min(found)
    return value, f"{with_error(value, error)}, by {words}"


def _error_after(model: Any, won: Any) -> float:
    """Standard error of a calibrated ELBO: what calibration wins of an example goes with what it was worth before.

    Where it is neither known nor to be had by example, the two errors are added: it cannot be greater.
    """
    parts = (model.rate, model.distortion, won)
    if (known := getattr(won, "se_after", None)) is not None:
        return float(known)
    if not all(hasattr(one, "values") for one in parts):
        return float(model.iwae.se_total + won.se_total)
    shared = np.intersect1d(won.index, model.rate.index)
    rate, distortion, gain = (one.at(shared).values for one in parts)
    return float((rate + distortion - gain).std(ddof=1) / math.sqrt(len(shared)))
