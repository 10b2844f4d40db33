"""The verdict in plain text: what the terminal prints and what the page's words are made of."""

import math
from collections.abc import Sequence
from pathlib import Path

from elbowroom.numerics import count, rounded, with_error
from elbowroom.records import DifferenceRecord, FigureRecord, StudyRecord, read_study

from .records import Record

__all__ = [
    "contest",
    "decibels",
    "examples",
    "figure_text",
    "reconstruction_text",
    "seconds",
    "sentence",
    "share",
    "significant",
    "still_to_come",
    "verdict_table",
]

_TOLD_APART = 2.0
_MOST_FIGURES = 4


def verdict_table(folder: str | Path) -> list[tuple[str, str]]:
    """At most ten (label, text) rows for the terminal: the page's verdict and what it rests on.

    Parameters
    ----------
    folder : str or Path
        Of a study that has got as far as `measure`.

    Returns
    -------
    list of (str, str)
        Labels and texts.

    Raises
    ------
    InputError
        As `report` does.
    """
    study = read_study(folder)
    chosen, verdict = study.chosen, study.account.verdict if study.account else None
    rows = [("verdict", sentence(study))]
    rows += [(figure.label, figure_text(figure)) for figure in (verdict.figures if verdict else ())[:_MOST_FIGURES]]
    if verdict:
        rows.append(("contest", contest(study.difference, study.direction)))
    rows.append(("chosen", f"{chosen.label}, {chosen.active} of {chosen.latents} latents active"))
    rows.append(("reconstruction", reconstruction_text(study)))
    rows.append(("computing", seconds(study.seconds["total"])))
    if verdict and verdict.next:
        rows.append(("next", verdict.next))
    return rows


def sentence(study: StudyRecord) -> str:
    """The verdict in one sentence, or which stages are missing for one and how to go on."""
    if study.account:
        return study.account.verdict.sentence
    return f"There is no verdict yet: {still_to_come(study.not_run)}; resume the study, which goes on there."


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


def contest(difference: DifferenceRecord | None, direction: str = "exact") -> str:
    """The VAE against the best classic, in one plain sentence that owns up where the VAE loses.

    `direction` is that of the VAE's own estimate: with a lower bound a lead can only grow and a deficit shrink.

    >>> contest(DifferenceRecord("Gaussian mixture", value=-5.12, se=0.81, n=397))
    'The VAE loses to the Gaussian mixture by 5.12 ± 0.81 nats per test example'
    """
    if difference is None:
        return "The VAE has been set beside no classic"
    value, error, rival = difference.value, difference.se, f"the {difference.against}"
    if not abs(value) >= _TOLD_APART * error:
        gap = with_error(value, error)
        return f"The VAE and {rival} cannot be told apart: they differ by {gap} nats per test example"
    lead, deficit = ("at least ", "at most ") if direction == "lower" else ("", "")
    size = f"{with_error(abs(value), error)} nats per test example"
    return f"The VAE beats {rival} by {lead}{size}" if value > 0 else f"The VAE loses to {rival} by {deficit}{size}"


def reconstruction_text(study: StudyRecord | Record) -> str:
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
    """A number without an error, to three significant digits."""
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
    """A proportion of n as a percentage with its binomial standard error."""
    return with_error(100 * value, 100 * math.sqrt(value * (1 - value) / n) if n else None) + " %"


def examples(n: int, what: str) -> str:
    """n in words."""
    return f"n = {count(n, f'{what} example')}"
