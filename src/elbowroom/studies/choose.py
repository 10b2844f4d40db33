"""The stage `choose`: the smallest model that is not behind the best bound on validation by more than an error."""

import math
from collections.abc import Sequence
from statistics import fmean

from elbowroom.records import ChoiceRecord, ModelRecord, SweepRecord
from elbowroom.records.sweep import SEED
from elbowroom.sweeps._choose import comparable, left_out, reason_of, setting_of
from elbowroom.sweeps.goals import GOALS
from elbowroom.sweeps.standings import Standing, of_whole_settings, smallest

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
    comparable(sweep.models)
    settings = [setting_of(one) for one in sweep.models]
    finite = [place for place, one in enumerate(sweep.models) if math.isfinite(one.iwae.mean)]
    kept = of_whole_settings(settings, finite)
    groups: dict[str, list[int]] = {}
    for place in kept:
        groups.setdefault(settings[place], []).append(place)
    means = [fmean(sweep.models[place].iwae.mean for place in places) for places in groups.values()]
    found = [
        _standing(sweep.models, places, mean, max(means)) for places, mean in zip(groups.values(), means, strict=True)
    ]
    chosen = smallest(found)
    one = sweep.models[chosen.best_entry]
    reason = reason_of(found, chosen, GOALS["density"].words, left_out(settings, kept, finite))
    by = f"IWAE-{one.iwae.budget.draws} on validation"
    return ChoiceRecord(one.name, one.label, by, len(sweep.models), reason)


def _standing(every: Sequence[ModelRecord], places: Sequence[int], mean: float, best: float) -> Standing:
    """The standing that `train` found; of a record without one, how far its bound is below the best, taken as sure."""
    one = every[places[0]]
    behind, error = (one.behind.value, one.behind.se or 0.0) if one.behind else (best - mean, 0.0)
    se = one.bound.se if one.bound and one.bound.se is not None else one.iwae.se_total
    top = max(places, key=lambda place: every[place].iwae.mean)
    said = (setting_of(one) or "the only setting") if SEED in one.settings else one.label
    size = one.latents, one.parameters
    return Standing(said, size, mean, se, behind, error, seeds=len(places), best_entry=top)
