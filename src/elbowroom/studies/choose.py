"""The stage `choose`: the model with the best bound on validation."""

from elbowroom import sweeps
from elbowroom.records import ChoiceRecord, SweepRecord

__all__ = ["choose"]


def choose(sweep: SweepRecord) -> ChoiceRecord:
    """The model with the best importance-weighted bound on validation; of equal ones the first.

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
    best = sweeps.choose(sweep.models)
    return ChoiceRecord(best.name, best.label, f"IWAE-{best.iwae.budget.draws} on validation", len(sweep.models))
