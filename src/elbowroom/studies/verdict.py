"""The verdict: one sentence a person could repeat, at most four figures, and what to do next."""

from elbowroom.numerics import Estimate, with_error
from elbowroom.records import (
    ClassicRecord,
    DataRecord,
    DifferenceRecord,
    EvidenceRecord,
    FigureRecord,
    ModelRecord,
    VerdictRecord,
)

__all__ = ["difference_to", "verdict"]

_TOLD_APART = 2.0
_LOOSE = 1.0


def difference_to(best: Estimate, rival: ClassicRecord) -> DifferenceRecord:
    """The VAE's best bound minus the best classic, paired by test example.

    Parameters
    ----------
    best : Estimate
        The VAE's.
    rival : ClassicRecord
        The best of the classics.

    Returns
    -------
    DifferenceRecord
        In nats per example.
    """
    difference = best - rival.estimate
    return DifferenceRecord(rival.name, difference.mean, difference.se_total, len(difference))


def verdict(
    data: DataRecord, chosen: ModelRecord, evidence: EvidenceRecord, difference: DifferenceRecord
) -> VerdictRecord:
    """Sentence, figures and what to do next, from the numbers on test.

    Parameters
    ----------
    data, chosen, evidence : DataRecord, ModelRecord, EvidenceRecord
        What was measured of which model on which data.
    difference : DifferenceRecord
        To the best classic.

    Returns
    -------
    VerdictRecord
        In words.
    """
    gap = evidence.best - evidence.bounds["ELBO"]
    contest = _contest(difference, data.name)
    return VerdictRecord(
        sentence=f"This VAE uses {chosen.active} of its {chosen.latents} latents and {contest}.",
        figures=tuple(_figures(data, chosen, evidence.best, gap)),
        next=_next_step(chosen, gap, difference),
    )


def _figures(data: DataRecord, chosen: ModelRecord, best: Estimate, gap: Estimate) -> list[FigureRecord]:
    per_example = "nats per example"
    figures = [_figure("held-out log-likelihood", best.mean, best.se_total, per_example, f"at least; {best.estimator}")]
    if data.in_bits:
        bits = best.bits_per_dimension(data.dimensions)
        figures.append(_figure("compression", bits.mean, bits.se_total, "bits per dimension", "at most"))
    figures.append(_figure("rate", chosen.rate.mean, chosen.rate.se_total, per_example, "on validation"))
    figures.append(_figure("lost by the encoder", gap.mean, gap.se_total, per_example, "at least"))
    return figures


def _contest(difference: DifferenceRecord, name: str) -> str:
    value, error = difference.value, difference.se
    rival = f"the best classic, {_article(difference.against)}"
    if abs(value) < _TOLD_APART * error:
        return f"cannot be told apart from {rival}, on held-out {name} ({with_error(value, error)} nats)"
    verb = "beats" if value > 0 else "loses to"
    return f"{verb} {rival}, by {with_error(abs(value), error)} nats on held-out {name}"


def _article(name: str) -> str:
    if name.endswith(("PCA", "analysis", "s")):
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _figure(label: str, value: float, error: float, unit: str, direction: str) -> FigureRecord:
    shown, half = with_error(value, error).split(" ± ")
    return FigureRecord(label, shown, half, unit, direction)


def _next_step(chosen: ModelRecord, gap: Estimate, difference: DifferenceRecord) -> str | None:
    """Advice that follows from a measured number, or none."""
    if difference.value < -_TOLD_APART * difference.se:
        return (
            f"The {difference.against} is the better density of these data: use it, or give the VAE more latents, "
            f"wider networks or more epochs and study again."
        )
    if chosen.best_epoch == chosen.epochs:
        return "The best epoch was the last: train for more epochs."
    if gap.mean > _LOOSE:
        return (
            f"The encoder's bound is loose by at least {gap.mean:.1f} nats per example: a wider encoder or a richer "
            f"posterior can win some of that back."
        )
    return None
