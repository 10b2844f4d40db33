"""The stage `choose`: the smallest model that is not behind the best bound on validation by more than an error."""

from elbowroom.records import ChoiceRecord, ModelRecord, SweepRecord
from elbowroom.sweeps._choose import comparable, reason_of
from elbowroom.sweeps.goals import GOALS
from elbowroom.sweeps.standings import Standing, smallest

__all__ = ["choose"]


def choose(sweep: SweepRecord) -> ChoiceRecord:
    """The smallest model within one standard error of the best importance-weighted bound; of one size the best.

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
    best = max(one.iwae.mean for one in finite)
    found = [_standing(one, place, best) for place, one in enumerate(finite)]
    chosen = smallest(found)
    one, left_out = finite[chosen.best_entry], len(sweep.models) - len(finite)
    reason = reason_of(found, chosen, GOALS["density"].words, left_out)
    by = f"IWAE-{one.iwae.budget.draws} on validation"
    return ChoiceRecord(one.name, one.label, by, len(sweep.models), reason)


def _standing(one: ModelRecord, place: int, best: float) -> Standing:
    """The standing that `train` found; of a record without one, how far its bound is below the best, taken as sure."""
    behind, error = (one.behind.value, one.behind.se or 0.0) if one.behind else (best - one.iwae.mean, 0.0)
    size = one.latents, one.parameters
    return Standing(one.label, size, one.iwae.mean, one.iwae.se_total, behind, error, seeds=1, best_entry=place)
