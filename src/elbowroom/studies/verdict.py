"""The verdict: one sentence a person could repeat, and at most four figures."""

import math
from dataclasses import replace

import numpy as np

from elbowroom.numerics import Estimate, count, with_error
from elbowroom.records import (
    ClassicRecord,
    DataRecord,
    DifferenceRecord,
    EvidenceRecord,
    FigureRecord,
    LatentRecord,
    ModelRecord,
    SeedSpread,
    VerdictRecord,
)

__all__ = ["difference_to", "verdict"]

_FEW_NEW = 2


def difference_to(best: Estimate, rival: ClassicRecord, spread: SeedSpread | None = None) -> DifferenceRecord:
    """The VAE's best bound minus the best baseline, paired by test example.

    Parameters
    ----------
    best : Estimate
        The VAE's.
    rival : ClassicRecord
        The best of the baselines.
    spread : SeedSpread, optional
        Of the VAE's trainings, where several seeds were trained.

    Returns
    -------
    DifferenceRecord
        In nats per example.
    """
    difference = best - rival.estimate
    between = (spread.deviation, spread.seeds) if spread else (None, 1)
    return DifferenceRecord(rival.name, difference.mean, difference.se_total, len(difference), *between)


def verdict(
    data: DataRecord,
    chosen: ModelRecord,
    evidence: EvidenceRecord,
    difference: DifferenceRecord | None,
    rival: ClassicRecord | None,
) -> VerdictRecord:
    """Sentence and figures, from the numbers on test.

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
        _compared(difference, evidence.best.direction, f" on held-out {data.name}")
        if difference
        else f"has no baseline beside it on held-out {data.name}: none could be fitted"
    )
    on_new = _on_new_rows(data, evidence.best, rival, difference)
    return VerdictRecord(
        sentence=f"This VAE uses {_used(evidence.latents)} and {compared}.{on_new}{_given(data, evidence.best, rival)}",
        figures=tuple(_figures(data, chosen, evidence.best, gap)),
    )


def _used(latents: LatentRecord) -> str:
    """How many latents do the work: an active one may carry next to nothing.

    >>> _used(LatentRecord((3.0, 0.02, 2.0), (True, True, True), 0.01, 9, "z1, z2", None))
    '2 of its 3 latents for 99 % of its rate'
    """
    active, carriers = sum(latents.active), latents.carriers
    many = f"its {count(len(latents.active), 'latent')}"
    if not active:
        return f"none of {many}"
    rate = "its rate" if latents.size is None else "the rate that its size factor leaves"
    return f"{active} of {many}" if not carriers else f"{carriers} of {many} for 99 % of {rate}"


def _given(data: DataRecord, best: Estimate, rival: ClassicRecord | None) -> str:
    """What the VAE is told and the baselines are not, and how much of the difference that can be."""
    if rival is None or rival.estimate.quantity == best.quantity:
        return ""
    scored, between, contexts = best.quantity.rstrip(")").partition(" | ")
    if not between:
        _, also, blocks = scored.partition("(x, ")
        what = f"its score is {best.quantity}, and that of the baselines {rival.estimate.quantity}"
        return f" What {blocks.removesuffix(' where known')} costs is in the difference: {what}." * bool(also)
    names = contexts.split(", ")
    known = [data.entropies[name] for name in names if name in data.entropies]
    share = "what that tells of x is in the difference"
    if len(known) == len(names):
        whose = "its entropy" if len(names) == 1 else "their entropies"
        share += f", at most {sum(known):.2f} nats of it ({whose})"
    return f" It is given {' and '.join(names)}, and the baselines are of {rival.estimate.quantity}: {share}."


def _on_new_rows(
    data: DataRecord, best: Estimate, rival: ClassicRecord | None, all_rows: DifferenceRecord | None
) -> str:
    """The score without the test rows that also stand in train, where these are more than chance would have."""
    repeated, expected = len(data.repeats), data.repeats_expected or 0.0
    if not data.repeats_more_than_chance:
        return ""
    by_chance = f" ({expected:,.0f} would by chance, were the columns independent)" if expected else ""
    said = f" {repeated:,} of the {count(data.sizes['test'], 'test example')} also stand in train{by_chance}"
    others = np.setdiff1d(best.index, np.array(data.repeats))
    if len(others) < _FEW_NEW:
        return f"{said}, so these numbers say what it remembers, and nothing of new examples."
    new = best.at(others)
    score = f"it scores {with_error(new.mean, new.se_total)} nats"
    if rival is None or all_rows is None:
        return f"{said}: without them {score}."
    left = replace(difference_to(new, rival), se_seeds=all_rows.se_seeds, seeds=all_rows.seeds)
    return f"{said}: without them {score} and {_compared(left, best.direction)}."


def _figures(data: DataRecord, chosen: ModelRecord, best: Estimate, gap: Estimate) -> list[FigureRecord]:
    per_example = "nats per example"
    figures = [_figure("held-out log-likelihood", best.mean, best.se_total, per_example, f"at least; {best.estimator}")]
    if data.in_bits and "(x, " not in best.quantity:  # what a known class costs is no length of x
        bits = best.bits_per_dimension(data.dimensions)
        of = f"at most{_of_what(data, best)}"
        figures.append(_figure("code length", bits.mean, bits.se_total, "bits per dimension", of))
    figures.append(_figure("rate", chosen.rate.mean, chosen.rate.se_total, per_example, "on validation"))
    figures.append(_figure("lost by inference", gap.mean, gap.se_total, per_example, "at least"))
    return figures


def _of_what(data: DataRecord, best: Estimate) -> str:
    """Bits of what: those of a binarised image are not those of the image."""
    if best.quantity == "log p(binarised x)":
        return f", of {'the image' if data.image_shape else 'x'} binarised"
    return ", of zeros and ones" if data.kind == "binary" else ""


def _compared(difference: DifferenceRecord, direction: str, where: str = "") -> str:
    """Of a lower bound a lead can only grow and a deficit shrink."""
    value, error, between = difference.value, difference.se, difference.between_seeds
    if not math.isfinite(value):
        return "cannot be set beside a baseline: some held-out examples have no finite score"
    rival = f"the best baseline, {_article(difference.against)}"
    if difference.tie:
        return f"cannot be told apart from {rival}{where and f',{where}'} ({with_error(value, error)} nats{between})"
    lead, deficit = ("at least ", "at most ") if direction == "lower" else ("", "")
    verb, bound = ("beats", lead) if value > 0 else ("loses to", deficit)
    size = f"{with_error(abs(value), error)} nats{between}{',' if between and where else ''}"
    return f"{verb} {rival}, by {bound}{size}{where}"


def _article(name: str) -> str:
    if name.endswith(("PCA", "analysis", "s")) and not name.startswith("mixture"):
        return name
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _figure(label: str, value: float, error: float, unit: str, direction: str) -> FigureRecord:
    shown, _, half = with_error(value, error).partition(" ± ")
    return FigureRecord(label, shown, half, unit, direction)
