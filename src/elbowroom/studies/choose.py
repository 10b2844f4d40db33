"""The stage `choose`: the smallest model that is not behind the best bound on validation by more than an error."""

from collections.abc import Sequence
from statistics import fmean

from elbowroom.models import label
from elbowroom.records import ChoiceRecord, ModelRecord, SweepRecord
from elbowroom.records.sweep import SEED
from elbowroom.sweeps._choose import comparable, reason_of
from elbowroom.sweeps.goals import GOALS
from elbowroom.sweeps.standings import Standing, smallest

__all__ = ["choose"]


def choose(sweep: SweepRecord) -> ChoiceRecord:
    """The smallest model within one standard error of the best importance-weighted bound; of one size the best.

    As `sweeps.choose` does: bounds are means over seeds, and of the chosen setting the best training is taken.

    Parameters
    ----------
    sweep : SweepRecord
        The record of `train`.

    Returns
    -------
    ChoiceRecord
        The record of the stage.

    Raises
    ------
    InputError
        Where no model has a finite bound, or where they are bounds on different things.
    """
    finite = comparable(sweep.models)
    settings: dict[str, list[int]] = {}
    for place, one in enumerate(finite):
        settings.setdefault(_setting(one) if SEED in one.settings else one.name, []).append(place)
    means = [fmean(finite[place].iwae.mean for place in places) for places in settings.values()]
    found = [
        _standing([finite[place] for place in places], places, mean, max(means))
        for places, mean in zip(settings.values(), means, strict=True)
    ]
    chosen = smallest(found)
    one, left_out = finite[chosen.best_entry], len(sweep.models) - len(finite)
    reason = reason_of(found, chosen, GOALS["density"].words, left_out)
    by = f"IWAE-{one.iwae.budget.draws} on validation"
    return ChoiceRecord(one.name, one.label, by, len(sweep.models), reason)


def _setting(one: ModelRecord) -> str:
    return label({name: value for name, value in one.settings.items() if name != SEED}) or "the only setting"


def _standing(seeds: Sequence[ModelRecord], places: Sequence[int], mean: float, best: float) -> Standing:
    """The standing that `train` found; of a record without one, how far its bound is below the best, taken as sure."""
    one = seeds[0]
    behind, error = (one.behind.value, one.behind.se or 0.0) if one.behind else (best - mean, 0.0)
    se = one.bound.se if one.bound and one.bound.se is not None else one.iwae.se_total
    top = max(places, key=lambda place: seeds[places.index(place)].iwae.mean)
    said, size = _setting(one) if SEED in one.settings else one.label, (one.latents, one.parameters)
    return Standing(said, size, mean, se, behind, error, seeds=len(seeds), best_entry=top)
