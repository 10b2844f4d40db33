"""The verdict: one sentence a person could repeat, at most four figures, and what to do next."""

import math

import numpy as np

from elbowroom.numerics import Estimate, count, with_error
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

_LOOSE = 1.0
_MANY = 0.1  # of the examples
_SURPRISING = 3.0  # standard deviations of a Poisson count
_FEW_NEW = 2


def difference_to(best: Estimate, rival: ClassicRecord) -> DifferenceRecord:
    """The VAE's best bound minus the best baseline, paired by test example.

    Parameters
    ----------
    best : Estimate
        The VAE's.
    rival : ClassicRecord
        The best of the baselines.

    Returns
    -------
    DifferenceRecord
        In nats per example.
    """
    difference = best - rival.estimate
    return DifferenceRecord(rival.name, difference.mean, difference.se_total, len(difference))


def verdict(
    data: DataRecord,
    chosen: ModelRecord,
    evidence: EvidenceRecord,
    difference: DifferenceRecord | None,
    rival: ClassicRecord | None,
) -> VerdictRecord:
    """Sentence, figures and what to do next, from the numbers on test.

    Parameters
    ----------
    data, chosen, evidence : DataRecord, ModelRecord, EvidenceRecord
        What was measured of which model on which data.
    difference : DifferenceRecord or None
        To the best baseline, where there is one.
    rival : ClassicRecord or None
        That baseline.

    Returns
    -------
    VerdictRecord
        In words.
    """
    gap = evidence.best - evidence.bounds["ELBO"]
    compared = (
        _compared(difference, evidence.best.direction, data.name)
        if difference
        else f"has no baseline beside it on held-out {data.name}: none could be fitted"
    )
    return VerdictRecord(
        sentence=f"This VAE uses {chosen.active} of its {chosen.latents} latents and {compared}."
        + _on_new_rows(data, evidence.best, rival),
        figures=tuple(_figures(data, chosen, evidence.best, gap)),
        next=_next_step(chosen, evidence, gap, difference),
    )


def _on_new_rows(data: DataRecord, best: Estimate, rival: ClassicRecord | None) -> str:
    """The score without the test rows that also stand in train, where these are more than chance would have."""
    repeated, expected = len(data.repeats), data.repeats_expected or 0.0
    if repeated <= expected + _SURPRISING * math.sqrt(expected):
        return ""
    by_chance = f" ({expected:,.0f} would by chance, were the columns independent)" if expected else ""
    said = f" {repeated:,} of the {count(data.sizes['test'], 'test example')} also stand in train{by_chance}"
    others = np.setdiff1d(best.index, np.array(data.repeats))
    if len(others) < _FEW_NEW:
        return f"{said}, so these numbers say what it remembers, and nothing of new examples."
    new = best.at(others)
    score = f"it scores {with_error(new.mean, new.se_total)} nats"
    if rival is None:
        return f"{said}: without them {score}."
    left = difference_to(new, rival)
    return f"{said}: without them {score} and {_compared(left, best.direction, data.name)}."


def _figures(data: DataRecord, chosen: ModelRecord, best: Estimate, gap: Estimate) -> list[FigureRecord]:
    per_example = "nats per example"
    figures = [_figure("held-out log-likelihood", best.mean, best.se_total, per_example, f"at least; {best.estimator}")]
    if data.in_bits:
        bits = best.bits_per_dimension(data.dimensions)
        figures.append(_figure("compression", bits.mean, bits.se_total, "bits per dimension", "at most"))
    figures.append(_figure("rate", chosen.rate.mean, chosen.rate.se_total, per_example, "on validation"))
    figures.append(_figure("lost by the encoder", gap.mean, gap.se_total, per_example, "at least"))
    return figures


def _compared(difference: DifferenceRecord, direction: str, name: str) -> str:
    """Of a lower bound a lead can only grow and a deficit shrink."""
    value, error = difference.value, difference.se
    if not math.isfinite(value):
        return f"cannot be set beside a baseline: some held-out examples of {name} have no finite score"
    rival = f"the best baseline, {_article(difference.against)}"
    if difference.tie:
        return f"cannot be told apart from {rival}, on held-out {name} ({with_error(value, error)} nats)"
    lead, deficit = ("at least ", "at most ") if direction == "lower" else ("", "")
    verb, bound = ("beats", lead) if value > 0 else ("loses to", deficit)
    return f"{verb} {rival}, by {bound}{with_error(abs(value), error)} nats on held-out {name}"


def _article(name: str) -> str:
    if name.endswith(("PCA", "analysis", "s")):
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _figure(label: str, value: float, error: float, unit: str, direction: str) -> FigureRecord:
    shown, _, half = with_error(value, error).partition(" ± ")
    return FigureRecord(label, shown, half, unit, direction)


def _next_step(
    chosen: ModelRecord, evidence: EvidenceRecord, gap: Estimate, difference: DifferenceRecord | None
) -> str | None:
    """Advice that follows from a measured number, or none: what training leaves open comes first."""
    if chosen.best_epoch == chosen.epochs:
        return "The best epoch was the last: train for more epochs."
    if difference and difference.value < 0 and not difference.tie:
        return _behind(chosen, evidence, difference)
    if gap.mean > _LOOSE:
        return (
            f"The encoder's bound is loose by at least {gap.mean:.1f} nats per example: a wider encoder or a richer "
            f"posterior can win some of that back."
        )
    return None


def _behind(chosen: ModelRecord, evidence: EvidenceRecord, difference: DifferenceRecord) -> str:
    """What to do where a baseline is ahead: first find out how much of that is the bound's slack."""
    lower = evidence.best.direction == "lower"
    said = f"By these bounds the {difference.against} is" if lower else f"The {difference.against} is"
    if lower and (why := _why_loose(evidence)):
        return (
            f"{said} the better density of these data, but the VAE's bound is loose ({why}): measure it by AIS, or "
            f"give it a richer posterior, before anything else."
        )
    more = "wider networks" if chosen.active < chosen.latents else "wider networks or more latents"
    return f"{said} the better density of these data: use it, or give the VAE {more} and study again."


def _why_loose(evidence: EvidenceRecord) -> str:
    """What the importance weights say against the bounds; nothing where they say little."""
    n = len(evidence.best)
    collapsed, missed = (max(getattr(e, one) for e in evidence.bounds.values()) for one in ("collapsed", "missed"))
    said = {"its effective sample size collapsed": collapsed, "k̂ above 0.7": missed}
    return ", ".join(f"{name} on {many:,} of {n:,} examples" for name, many in said.items() if many > _MANY * n)
