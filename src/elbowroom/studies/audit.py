"""The stage `audit`: where the nats of the chosen model go, quickly."""

from dataclasses import replace
from typing import Any

from elbowroom import ledger
from elbowroom.data import Dataset
from elbowroom.numerics import CapabilityError, InputError
from elbowroom.records import AuditRecord, ChoiceRecord, DataRecord
from elbowroom.records.weights import weights_digest

from ._audit_run import objective_of
from .measure import annealed_by
from .train import Models

__all__ = ["audit"]


def audit(
    data: Dataset, about: DataRecord, models: Models, choice: ChoiceRecord, *, seed: int, progress: bool
) -> AuditRecord:
    """Audit the chosen model on test examples; where that cannot be done, a record that says why.

    Parameters
    ----------
    data : Dataset
        Of the study.
    about : DataRecord
        The record of `load`.
    models : Models
        Those of the sweep.
    choice : ChoiceRecord
        The record of `choose`.
    seed : int
        Of all noise.
    progress : bool
        Whether a line says how far it is.

    Returns
    -------
    AuditRecord
        The record of the stage.
    """
    vae, run = models[choice.name], models.runs / choice.name
    known: dict[str, Any] = {"objective": objective_of(run), "log_p": annealed_by(run, seed)}
    try:
        found = ledger.audit(vae, data, **known, quick=True, seed=seed, progress=progress)
    except (CapabilityError, InputError) as error:  # an audit less is no reason to lose the study
        why = f"The audit was not made: {error}"
        found = AuditRecord("log p(x)", 0, about.name, about.sha256, seed, missing=(why,), quick=True)
    return replace(found, model=weights_digest(run))
