"""Records and numbers in plain words, as the page and the terminal say them."""

import math
from collections.abc import Sequence

from elbowroom.numerics import Estimate, count, places, rounded, with_error
from elbowroom.numerics._standard_errors import share_error
from elbowroom.records import AuditRecord, DifferenceRecord, FigureRecord, LatentRecord, SeedSpread, StudyRecord

__all__ = [
    "contest",
    "decibels",
    "direction_words",
    "estimate_words",
    "examples",
    "figure_text",
    "latents_text",
    "leak_words",
    "no_audit",
    "reconstruction_text",
    "seconds",
    "sentence",
    "share",
    "significant",
    "spread_notes",
    "still_to_come",
    "the",
    "trained_on",
]

_WORTH_SAYING = 0.001  # of the likelihood's mass


def sentence(study: StudyRecord) -> str:
    """The verdict of a study with that of its audit behind it, or which stages are missing for one and how to go on.

    Parameters
    ----------
    study : StudyRecord
        That has got as far as `measure`.

    Returns
    -------
    str
        A sentence or two.

    Examples
    --------
    >>> from elbowroom.records import read_study
    >>> sentence(read_study("no-such-folder"))
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: There is no study folder no-such-folder: give the folder that \
`elbowroom study` wrote.
    """
    if study.account:
        return f"{study.account.verdict.sentence} {_audited(study.audit)}".rstrip()
    missing = [stage for stage in study.not_run if stage in ("contest", "account")]
    return f"There is no verdict yet: {still_to_come(missing)}; resume the study, which goes on there."


def _audited(audit: AuditRecord | None) -> str:
    return "" if audit is None or not audit.findings else f"Its audit: {audit.verdict[0].lower()}{audit.verdict[1:]}"


def no_audit(study: StudyRecord) -> str:
    """How to have the audit that a study lacks; nothing where it has one."""
    return "" if study.audit else "The chosen model has not been audited: resume the study, which does that last."


def trained_on(study: StudyRecord) -> list[str]:
    """That the run of the chosen model holds other weights now than those that this study measured, where it does."""
    if not study.trained_on:
        return []
    return [
        f"{study.run} holds other weights now than those that were measured here: it was trained on. What stands here "
        f"is of the model as it was, but for the curves of training; elbowroom report {study.run} measures it as it is."
    ]


def still_to_come(stages: Sequence[str]) -> str:
    """Which stages have not been run.

    >>> still_to_come(["contest", "account"]), still_to_come(["account"])
    ('the stages contest and account have not been run', 'the stage account has not been run')
    """
    if len(stages) == 1:
        return f"the stage {stages[0]} has not been run"
    return f"the stages {', '.join(stages[:-1])} and {stages[-1]} have not been run"


def figure_text(figure: FigureRecord) -> str:
    """One figure of the verdict as text: value ± error unit, direction."""
    error = f" ± {figure.error}" if figure.error else ""
    tail = f", {figure.direction}" if figure.direction else ""
    return f"{figure.value}{error} {figure.unit}".rstrip() + tail


def the(name: str) -> str:
    """A baseline with its article, where it takes one.

    Parameters
    ----------
    name : str
        Of the baseline.

    Returns
    -------
    str
        In the middle of a sentence.

    Examples
    --------
    >>> the("Gaussian mixture"), the("probabilistic PCA")
    ('the Gaussian mixture', 'probabilistic PCA')
    """
    return name if name.endswith(("PCA", "analysis")) else f"the {name}"


def contest(difference: DifferenceRecord | None, direction: str = "exact") -> str:
    """The VAE against the best baseline, in one plain sentence that owns up where the VAE loses.

    Parameters
    ----------
    difference : DifferenceRecord or None
        In nats per test example; None: the two have not been compared.
    direction : str, default "exact"
        That of the VAE's own estimate: with a "lower" bound a lead can only grow and a deficit shrink.

    Returns
    -------
    str
        Without a full stop.

    Examples
    --------
    >>> contest(DifferenceRecord("Gaussian mixture", value=-5.12, se=0.81, n=397))
    'The VAE loses to the Gaussian mixture by 5.12 ± 0.81 nats per test example'
    """
    if difference is None:
        return "The VAE has been set beside no baseline"
    value, error, rival = difference.value, difference.se, the(difference.against)
    if difference.tie:
        gap = f"{with_error(value, error)} nats per test example{difference.between_seeds}"
        return f"The VAE and {rival} cannot be told apart: they differ by {gap}"
    lead, deficit = ("at least ", "at most ") if direction == "lower" else ("", "")
    size = f"{with_error(abs(value), error)} nats per test example{difference.between_seeds}"
    return f"The VAE beats {rival} by {lead}{size}" if value > 0 else f"The VAE loses to {rival} by {deficit}{size}"


def latents_text(latents: LatentRecord) -> str:
    """How many latents are active, and how many carry nearly all of the KL.

    >>> latents_text(LatentRecord((3.0, 0.02, 2.0), (True, True, True), 0.01, 9, "z1, z2", None))
    '2 of 3 latents carry 99 % of the KL, 3 are active'
    """
    active, size = sum(latents.active), count(len(latents.active), "latent")
    if not latents.carriers:
        return f"{active} of {size} {'is' if active == 1 else 'are'} active"
    verb = "carries" if latents.carriers == 1 else "carry"
    return f"{latents.carriers} of {size} {verb} 99 % of the KL, {active} {'is' if active == 1 else 'are'} active"


def spread_notes(study: StudyRecord) -> list[str]:
    """What trainings that differ in their seed alone score on validation, a sentence for each setting."""
    return [_spread(one, study) for one in study.sweep.spreads]


def _spread(one: SeedSpread, study: StudyRecord) -> str:
    mean = rounded(one.mean, places(one.deviation))
    said = (
        f"Over {count(one.seeds, 'seed')}{f' at {one.label}' if one.label else ''}: {one.estimator} {mean} nats on "
        f"validation, standard deviation from training to training {rounded(one.deviation, places(one.deviation))}, "
        f"beside a standard error over examples of {rounded(one.se_points, places(one.se_points))}."
    )
    chosen = study.chosen
    if study.sweep.spread_of(chosen) != one:
        return said
    ahead = rounded(chosen.iwae.mean - one.mean, places(one.deviation))
    return f"{said} The chosen one, {chosen.label}, lies {ahead} above their mean."


def reconstruction_text(study: StudyRecord) -> str:
    """Squared error and PSNR of the held-out reconstructions, or the sentence that says why there are none."""
    found = study.reconstruction
    if found.why_none:
        return found.why_none
    return f"squared error {significant(found.squared_error)} per example, {decibels(found.psnr)}"


def decibels(psnr: float | None) -> str:
    """PSNR in dB, or why there is none."""
    if psnr is None or not math.isfinite(psnr):
        return "no PSNR (the data have no fixed range)"
    return f"PSNR {psnr:.1f} dB"


def significant(value: float | None, digits: int = 3) -> str:
    """A number without an error.

    Parameters
    ----------
    value : float or None
        The number.
    digits : int, default 3
        Significant ones.

    Returns
    -------
    str
        "not available" for None.

    Examples
    --------
    >>> significant(0.012345), significant(1234.5), significant(None)
    ('0.0123', '1,234', 'not available')
    """
    if value is None or not math.isfinite(value) or value == 0:
        return rounded(value, 0)
    return rounded(value, max(digits - 1 - math.floor(math.log10(abs(value))), 0))


def seconds(value: float) -> str:
    """A duration in words.

    >>> seconds(0.42), seconds(41.2), seconds(153.0)
    ('0.4 s', '41 s', '2 min 33 s')
    """
    if value < 120:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    return f"{int(value) // 60} min {int(value) % 60:02d} s"


def share(value: float, n: int) -> str:
    """A proportion as a percentage with its binomial standard error, by Laplace's rule: of none or all it is not 0.

    Parameters
    ----------
    value : float
        Between 0 and 1.
    n : int
        What it is a proportion of.

    Returns
    -------
    str
        In percent.

    Examples
    --------
    >>> share(0.5, 100), share(1.0, 6)
    ('50.0 ± 5.0 %', '100 ± 14 %')
    """
    return with_error(100 * value, 100 * share_error(value, n) if n else None) + " %"


def examples(n: int, what: str) -> str:
    """A number of examples in words.

    Parameters
    ----------
    n : int
        How many.
    what : str
        Which, as "validation".

    Returns
    -------
    str
        With its noun.

    Examples
    --------
    >>> examples(1200, "validation")
    'n = 1,200 validation examples'
    """
    return f"n = {count(n, f'{what} example')}"


def estimate_words(name: str, estimate: Estimate) -> str:
    """Estimator and direction of an estimate, each said once.

    Parameters
    ----------
    name : str
        What the estimate is called already.
    estimate : Estimate
        Of any quantity.

    Returns
    -------
    str
        The direction alone where the name is the estimator's.

    Examples
    --------
    >>> one = Estimate.of([-5.0, -6.0], quantity="log p(x)", estimator="IWAE-10", direction="lower")
    >>> estimate_words("VAE", one), estimate_words("IWAE-10", one)
    ('IWAE-10, lower bound', 'lower bound')
    """
    direction = direction_words(estimate.direction)
    if estimate.estimator == name:
        return direction
    return estimate.estimator if direction in estimate.estimator else f"{estimate.estimator}, {direction}"


def direction_words(direction: str) -> str:
    """A direction of an estimate in words."""
    words = {"lower": "lower bound", "upper": "upper bound", "upper if mixed": "upper bound if mixed"}
    return {**words, "none": "no direction"}.get(direction, direction)


def leak_words(study: StudyRecord) -> str:
    """How much of the likelihood lies outside the data's range, where that is worth saying."""
    leak = study.evidence.leak
    if not leak or leak < _WORTH_SAYING:
        return ""
    return f" The likelihood puts {100 * leak:.2g} % of its mass outside the range of the data."
