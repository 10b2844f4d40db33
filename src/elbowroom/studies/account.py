"""The stage `account`: the VAE and the classics set against each other, from the records before it alone."""

from elbowroom.records import (
    AccountRecord,
    ChoiceRecord,
    ClassicRecord,
    ContestRecord,
    DataRecord,
    EvidenceRecord,
    Number,
    SweepRecord,
    VarianceRecord,
)

from .verdict import difference_to, verdict

__all__ = ["account"]


def account(
    data: DataRecord, sweep: SweepRecord, choice: ChoiceRecord, evidence: EvidenceRecord, contest: ContestRecord
) -> AccountRecord:
    """Set the VAE against the best classic, lay the variances side by side, and say the verdict.

    Parameters
    ----------
    data : DataRecord
        The record of `load`.
    sweep, choice : SweepRecord, ChoiceRecord
        The records of `train` and `choose`.
    evidence : EvidenceRecord
        The record of `measure`.
    contest : ContestRecord
        The record of `contest`.

    Returns
    -------
    AccountRecord
        The record of the stage.
    """
    best, chosen = contest.best, sweep.model(choice.name)
    difference = None if best is None else difference_to(evidence.best, best, sweep.spread_of(chosen))
    classics = tuple(_of_classic(one, contest.variance) for one in contest.classics)
    return AccountRecord(
        difference=difference,
        variances=() if evidence.reconstruction.why_none else (*evidence.variances, *classics),
        verdict=verdict(data, chosen, evidence, difference, best),
    )


def _of_classic(one: ClassicRecord, variance: float) -> VarianceRecord:
    share = Number(one.latent / (one.latent + one.noise), None)
    return VarianceRecord(one.name, "classic", one.latent, one.noise, share, variance, draws=0)
