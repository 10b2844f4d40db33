"""Before and after: what remedies won on a run, in numbers and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

from elbowroom import plots
from elbowroom.numerics import Estimate, count, with_error
from elbowroom.plots import Model, Value
from elbowroom.plots.style import Sheet
from elbowroom.records import AuditRecord, FixedRun, FixRecord, IdentityRecord, Number, StepRecord

from . import words
from .audit import number
from .embedding import both_widths
from .figure import Figure
from .strips import picture_rows

__all__ = ["FixView", "fix_sentence", "fix_view"]

_COLUMNS = 12  # of a table, in the figure of its samples
_NONE = "none"


@dataclass(frozen=True)
class FixView:
    """What a template shows of a fixed run.

    Attributes
    ----------
    caption : str
        What stands above the rows.
    rows, steps : sequence of dict
        Cells of tables, by the names of their columns.
    about_steps : str
        What stands above the steps.
    untried : sequence of str
        A sentence for each remedy that could not be tried.
    figures : sequence of Figure
        Pictures before and after, and the rate–distortion plane.
    """

    caption: str
    rows: Sequence[dict[str, str]]
    steps: Sequence[dict[str, object]]
    about_steps: str
    untried: Sequence[str]
    figures: Sequence[Figure]


def fix_view(fixed: FixedRun) -> FixView:
    """A fixed run for a template.

    Parameters
    ----------
    fixed : FixedRun
        As `read_fix` returns it.

    Returns
    -------
    FixView
        Tables and figures.
    """
    record = fixed.record
    tried = [one for one in record.steps if one.gain is not None]
    kept = sum(one.kept for one in tried)
    return FixView(
        caption="Before and after on the same test examples, used neither to choose remedies nor to fit them; nats per "
        "example, ± one standard error, changes paired by example.",
        rows=_rows(record),
        steps=[_step(one) for one in tried],
        about_steps=f"What was tried, in this order: {kept} of {count(len(tried), 'step')} paid on validation and "
        f"{'was' if kept == 1 else 'were'} kept. Nats per validation example won over the model before the step. All "
        f"took {words.seconds(record.seconds)}, audits included.",
        untried=[f"{one.remedy}: {one.said}" for one in record.steps if one.gain is None],
        figures=[figure for figure in (*_looks(fixed), _plane(record)) if figure],
    )


def fix_sentence(record: FixRecord) -> str:
    """What fixing won, in a sentence.

    Parameters
    ----------
    record : FixRecord
        Of `elbowroom fix`.

    Returns
    -------
    str
        With the verdicts of both audits.
    """
    kept = [one.remedy for one in record.steps if one.kept]
    by = f"by {', '.join(kept)}" if kept else "because no remedy paid on validation"
    said = f"Fixing won {_size(record.won)} nats of ELBO per test example" if kept else "Fixing changed nothing"
    return f"{said}, {by}. Before: {_lowered(record.before.verdict)} After: {_lowered(record.after.verdict)}"


def _lowered(verdict: str) -> str:
    return verdict[:1].lower() + verdict[1:]


def _size(e: Estimate) -> str:
    return with_error(e.mean, e.se_total)


def _rows(record: FixRecord) -> list[dict[str, str]]:
    before, after = record.before, record.after
    bounds = (_size(record.elbo_before), _size(record.elbo_after), _size(record.won))
    rows = [_row(f"ELBO, {count(len(record.won), 'example')}", *bounds)]
    if before.identity is not None and after.identity is not None:
        rows += _identity_rows(before.identity, after.identity)
    if before.context is not None and after.context is not None:
        for name in ("rate", "distortion"):
            ends = (getattr(one, name) for one in (before.context, after.context))
            rows.append(_row(name, *(with_error(one.mean, one.se_total) for one in ends)))
    found = [", ".join(one.ill) or _NONE for one in (before, after)]
    return [*rows, _row("faults found", *found)]


def _identity_rows(before: IdentityRecord, after: IdentityRecord) -> list[dict[str, str]]:
    pairs = [
        (f"log p(x), at least, {count(len(before.log_p), 'example')}", before.log_p, after.log_p),
        ("amortisation", before.amortisation, after.amortisation),
        ("approximation", before.approximation, after.approximation),
    ]
    return [_row(name, _size(a), _size(b), _size(b - a)) for name, a, b in pairs if a and b]


def _row(name: str, before: str, after: str, change: str = "") -> dict[str, str]:
    return {"name": name, "before": before, "after": after, "change": change}


def _step(one: StepRecord) -> dict[str, object]:
    elbo, iwae = ("" if gain is None else number(gain) for gain in (one.gain, one.gain_iwae))
    return {
        "remedy": one.remedy,
        "kept": one.kept,
        "elbo": elbo,
        "iwae": iwae,
        "seconds": words.seconds(one.seconds),
    }


def _looks(fixed: FixedRun) -> list[Figure | None]:
    return [_reconstructions(fixed), _samples(fixed)] if fixed.data.image_shape is not None else [_quantiles(fixed)]


def _reconstructions(fixed: FixedRun) -> Figure:
    own = fixed.pictures
    arrays = (own.held_out, own.reconstructions_before, own.reconstructions_after)
    strips, shown, note = picture_rows(fixed, arrays, ("held out", "before", "after"))
    how = f"Above: validation examples, the first {shown} of a seeded draw. Below: reconstructions before and after."
    title = f"{shown} held-out reconstructions, before and after"
    return Figure("fix-reconstructions", title, how, _foot(fixed, note), strips=strips)


def _samples(fixed: FixedRun) -> Figure:
    own = fixed.pictures
    strips, shown, note = picture_rows(fixed, (own.samples_before, own.samples_after), ("before", "after"))
    how = "What each model generates: z drawn from its prior and then x from p(x | z), with the same seed."
    return Figure("fix-samples", f"{shown} ancestral samples, before and after", how, _foot(fixed, note), strips=strips)


def _foot(fixed: FixedRun, note: str) -> str:
    return f"Seed {fixed.record.after.seed}; nothing picked by hand.{note}"


def _quantiles(fixed: FixedRun) -> Figure | None:
    own, kept = fixed.pictures, fixed.data.numeric_columns[:_COLUMNS]
    if not kept:
        return None
    drawn = {"held-out data": own.held_out, "samples before": own.samples_before, "samples after": own.samples_after}
    series = {name: values.reshape(len(values), -1)[:, kept] for name, values in drawn.items()}
    names = [fixed.data.column_names[i] for i in kept]
    title = f"{count(len(names), 'column')}: held-out data beside samples before and after"
    how = "Thin: 5 to 95 % of the values; thick: 25 to 75 %; tick: the median. Samples should look like the data."

    def draw(sheet: Sheet) -> None:
        plots.quantile_strips(series, names, ax=sheet.subplots())

    return Figure("fix-samples", title, how, _foot(fixed, ""), svg=both_widths(draw, "fix-samples", title))


def _plane(record: FixRecord) -> Figure | None:
    """Rate and distortion before, after every step that was kept, and after."""
    if record.before.context is None or record.after.context is None:
        return None
    start, end = (_point(name, one) for name, one in (("before", record.before), ("after", record.after)))
    steps = [
        Model(one.remedy, _value(one.rate), _value(one.distortion))
        for one in record.steps
        if one.kept and one.rate is not None and one.distortion is not None
    ]
    title = (
        f"Rate {_moved(start.rate, end.rate)} and distortion {_moved(start.distortion, end.distortion)} nats, before "
        "and after"
    )
    how = (
        "Rate: nats that the latents carry about x (the KL). Distortion: −log p(x | z). Along a dashed line the ELBO = "
        "−(rate + distortion) is the same; further down and to the left is better. Crosses are 95\u00a0% intervals."
    )
    foot = "Before and after on test examples"
    foot += "; each step that was kept, on validation, which may lie elsewhere." if steps[1:] else "."

    def draw(sheet: Sheet) -> None:
        plots.rate_distortion([start, *steps[:-1], end], frontiers=False, ax=sheet.subplots())

    return Figure("fix-plane", title, how, foot, svg=both_widths(draw, "fix-plane", title))


def _point(name: str, audit: AuditRecord) -> Model:
    assert audit.context is not None
    rate, distortion = audit.context.rate, audit.context.distortion
    return Model(name, Value(rate.mean, rate.se_total), Value(distortion.mean, distortion.se_total))


def _value(one: Number) -> Value:
    return Value(one.value) if one.se is None else Value(one.value, one.se)


def _moved(before: Value, after: Value) -> str:
    return f"{with_error(before.mean, before.se_total)} → {with_error(after.mean, after.se_total)}"
