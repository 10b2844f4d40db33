"""An audit as a reader sees it: figures, rows of tables and sentences, from its record alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from elbowroom import plots
from elbowroom.numerics import Estimate, InputError, aligned, count, places, rounded, with_error
from elbowroom.plots.style import Sheet
from elbowroom.records import (
    AuditRecord,
    ContextRecord,
    FigureRecord,
    FindingRecord,
    IdentityRecord,
    Number,
    PriceRecord,
)

from . import words
from .changes import changes_figure
from .embedding import both_widths
from .figure import Figure
from .findings import CAPTION, by_word, found_word
from .latents import kl_figure
from .moves import moves_figure

__all__ = ["AuditView", "audit_figures", "audit_view", "bare", "number"]

_LEAST_SHOWN = 0.001  # nats

_HOW_IDENTITY = (
    "From the ELBO upwards, on the same examples. Amortisation: what the best q of the encoder's own family, fitted to "
    "each example from the encoder's q on, wins over the encoder; a better encoder could win it. Approximation: what "
    "lies between that q and log p(x); only another family of q could win it. The two add up exactly, example by "
    "example. Intervals are 95\u00a0%, of differences paired by example."
)
_HOW_SUM = (
    "How far the ELBO of the encoder's q lies below log p(x) on the same examples. No best q could be fitted to each "
    "example alone, so what the encoder and what the family of q loses stand together. The interval is 95\u00a0%, of "
    "the difference paired by example."
)
_ABOUT_CONTEXT = (
    "These numbers are in nats too, but of other differences: none of them is a part of log p(x) − ELBO, so none is "
    "added to it."
)


@dataclass(frozen=True)
class AuditView:
    """What a template shows of an audit.

    Attributes
    ----------
    identity : Figure
        The bar from the ELBO to log p(x), or why there is none.
    bounds, findings : sequence of dict
        Cells of tables, by the names of their columns.
    bounds_caption, findings_caption : str
        What stands above these.
    notes : sequence of str
        What the division of the identity rests on.
    prices : Figure, optional
        What remedies win; None where none was priced.
    plane : Figure, optional
        How each of them moves rate and distortion; None where that is not known.
    price_sentences : sequence of str
        What stands behind each.
    about_context : str
        What context is.
    context : sequence of (str, str)
        Names and texts.
    context_figures : sequence of Figure
        The rate in its parts, collapsed units, the KL of each unit, what units change.
    missing, assumed : sequence of str
        Sentences.
    certified : str
        One line for a paper; empty where log p(x) was not measured.
    """

    identity: Figure
    bounds: Sequence[dict[str, str]]
    bounds_caption: str
    notes: Sequence[str]
    findings: Sequence[dict[str, object]]
    findings_caption: str
    prices: Figure | None
    plane: Figure | None
    price_sentences: Sequence[str]
    about_context: str
    context: Sequence[tuple[str, str]]
    context_figures: Sequence[Figure]
    missing: Sequence[str]
    assumed: Sequence[str]
    certified: str


def audit_view(audit: AuditRecord, *, latents: bool = True) -> AuditView:
    """An audit for a template.

    Parameters
    ----------
    audit : AuditRecord
        As `er.audit` returned it.
    latents : bool, default True
        Whether the KL of each unit is among the figures; a page of a study has it elsewhere.

    Returns
    -------
    AuditView
        Figures, rows and sentences.
    """
    found = [] if audit.identity is None else _bounds(audit.identity)
    return AuditView(
        identity=_identity(audit),
        bounds=found,
        bounds_caption=f"What the bar is made of: means over the same {count(audit.n, 'test example')}, in nats.",
        notes=() if audit.identity is None else (*_about_all(audit), *audit.sentences),
        findings=_findings(audit.findings),
        findings_caption=CAPTION,
        prices=_prices(audit.prices),
        plane=moves_figure(audit),
        price_sentences=[one.sentence for one in audit.prices],
        about_context=_ABOUT_CONTEXT,
        context=_context(audit.context),
        context_figures=_context_figures(audit.context, latents),
        missing=audit.missing,
        assumed=audit.assumed,
        certified=audit.certified,
    )


def audit_figures(audit: AuditRecord) -> list[FigureRecord]:
    """At most four figures for the head of a page.

    Parameters
    ----------
    audit : AuditRecord
        As `er.audit` returned it.

    Returns
    -------
    list of FigureRecord
        log p(x), the ELBO and the two gaps; of an audit without them the ELBO and its parts, where it has these.
    """
    unit = "nats per example"
    if audit.identity is not None:
        one = audit.identity
        gaps = [("amortisation", one.amortisation, "at least"), ("approximation", one.approximation, "")]
        named = [gap for gap in gaps if gap[1] is not None] or [("both gaps", one.total, "at least")]
        return _bounds_figures(audit, one) + [
            _figure(name, e.mean, e.se_total, unit, way) for name, e, way in named if e
        ]
    if audit.context is None:
        return []
    parts = {"ELBO": audit.context.elbo, "rate": audit.context.rate, "distortion": audit.context.distortion}
    return [_figure(name, one.mean, one.se_total, unit, "") for name, one in parts.items()]


def _bounds_figures(audit: AuditRecord, one: IdentityRecord) -> list[FigureRecord]:
    """log p(x) and the ELBO, of all test examples where both are known for them."""
    unit, own, found = "nats per example", audit.context, audit.log_p
    log_p = Number(one.log_p.mean, one.log_p.se_total) if found is None else found
    bound = own.elbo if audit.from_elbo and own is not None else one.elbo
    return [
        _figure(audit.quantity, log_p.value, log_p.se, unit, "at least"),
        _figure("ELBO", bound.mean, bound.se_total, unit, ""),
    ]


def _figure(label: str, value: float, error: float | None, unit: str, direction: str) -> FigureRecord:
    shown, _, half = with_error(value, error).partition(" ± ")
    return FigureRecord(label, shown, half, unit, direction)


def number(one: Number) -> str:
    """A Number as text: value ± standard error, which is shown as 0.001 where it is smaller: nobody asks for more."""
    return with_error(one.value, one.se and max(one.se, _LEAST_SHOWN))


def bare(one: FindingRecord) -> str:
    """The sentence of a finding without its name, which stands beside it.

    >>> bare(FindingRecord("overfitted", False, Number(0.1, None), 1.0, "nats", "", "Not overfitted: all is alike."))
    'All is alike.'
    """
    head, _, rest = one.sentence.partition(": ")
    return rest[:1].upper() + rest[1:] if head.lower().endswith(one.name) else one.sentence


def _identity(audit: AuditRecord) -> Figure:
    one = audit.identity
    if one is None:
        why = "No bar: log p(x) − ELBO was not measured; what could not be had, and why, stands below."
        return Figure("identity", "The identity could not be had", "", missing=why)
    title = f"{audit.quantity} lies at least {_size(one.total)} nats above the ELBO{_parts(one)}"
    how = _HOW_IDENTITY if one.refined is not None else _HOW_SUM
    if one.upper is not None:
        how += " Hollow: up to the other end of log p(x), an upper bound only if the chains have mixed."
    quick = " A quick audit: fewer examples, steps and draws." if audit.quick else ""
    foot = f"{words.examples(audit.n, 'test')}; seed {audit.seed}.{quick}"

    def draw(sheet: Sheet) -> None:
        plots.identity(one, ax=sheet.subplots())

    return _drawn("identity", title, how, foot, draw)


def _about_all(audit: AuditRecord) -> list[str]:
    """Why log p(x) of all test examples is known better than that of the few that were annealed."""
    if not audit.from_elbo or audit.log_p is None or audit.context is None or audit.context.elbo.n <= audit.n:
        return []
    whole = count(audit.context.elbo.n, "test example")
    return [
        f"{audit.quantity} of {whole} is at least {number(audit.log_p)} nats: their ELBO plus the gap of these "
        f"{count(audit.n)}, which varies less from example to example than {audit.quantity} does."
    ]


def _size(e: Estimate) -> str:
    return with_error(e.mean, e.se_total)


def _parts(one: IdentityRecord) -> str:
    if one.amortisation is None or one.approximation is None:
        return ""
    return f": {_size(one.amortisation)} by amortisation, {_size(one.approximation)} by the family of q"


def _drawn(key: str, title: str, how: str, foot: str, draw: object) -> Figure:
    try:
        return Figure(key, title, how, foot, svg=both_widths(draw, key, title))  # type: ignore[arg-type]
    except InputError as why:
        return Figure(key, title, how, missing=f"No figure: {why}")


def _bounds(one: IdentityRecord) -> list[dict[str, str]]:
    """Rows of the table, the highest first."""
    named = [("log p(x)", one.log_p), ("ELBO, encoder's q", one.elbo)]
    if one.refined is not None:
        named.insert(1, ("ELBO, best q of the family", one.refined))
    if one.upper is not None:
        named.insert(0, ("log p(x), other end", one.upper))
    rows = [_bound(name, e) for name, e in named]
    for key in ("value", "draws", "points"):
        for row, text in zip(rows, aligned([row[key] for row in rows]), strict=True):
            row[key] = text
    return rows


def _bound(name: str, e: Estimate) -> dict[str, str]:
    digits = places(e.se_total)
    return {
        "name": name,
        "value": rounded(e.mean, digits),
        "draws": "unknown" if math.isnan(e.se_mc) else rounded(e.se_mc, max(places(e.se_mc), 0)),
        "points": rounded(e.se_points, max(digits, 0)),
        "how": words.estimate_words("", e),
        "warning": "; ".join(e.warnings),
    }


def _findings(findings: Sequence[FindingRecord]) -> list[dict[str, object]]:
    """Rows of the table."""
    return [
        {
            "name": one.name,
            "found": one.found,
            "word": found_word(one),
            "cause": one.cause,
            "value": f"{number(one.value)} {one.unit}".rstrip(),
            "threshold": f"{one.threshold:g}",
            "sentence": bare(one),
        }
        for one in by_word(findings)
    ]


def _prices(prices: Sequence[PriceRecord]) -> Figure | None:
    if not prices:
        return None
    best = max(prices, key=lambda one: one.gain.value if math.isfinite(one.gain.value) else -math.inf)
    those = f"the {len(prices)} remedies that train no decoder"
    title = f"{best.remedy} would win {number(best.gain)} nats per example, the most of {those}"
    if not best.sure:
        title = f"None of {those} would surely win anything"
    if len(prices) == 1:
        title = f"{best.remedy}, the one remedy that was priced, would win {_won(best)} per example"
    how = (
        "Each remedy changes one part of the model and leaves the decoder's weights as they are. The bar is what it "
        "wins of the bound on test examples; a thin line is the 95\u00a0% interval. Gains of several remedies do not "
        "add up: each was tried alone."
    )
    sizes = " or ".join(count(n) for n in sorted({one.n for one in prices}))
    foot = f"n = {sizes} test examples, paired before and after."

    def draw(sheet: Sheet) -> None:
        plots.gains(prices, ax=sheet.subplots())

    return _drawn("prices", title, how, foot, draw)


def _won(one: PriceRecord) -> str:
    return f"{number(one.gain)} nats" if one.sure else f"nothing that is sure: {number(one.gain)} nats"


def _context(own: ContextRecord | None) -> list[tuple[str, str]]:
    if own is None:
        return []
    over = f"nats, {count(own.elbo.n, 'test example')}"
    rows = [
        (name, f"{with_error(one.mean, one.se_total)} {over}")
        for name, one in (("ELBO", own.elbo), ("rate", own.rate), ("distortion", own.distortion))
    ]
    if own.generalisation is not None:
        rows.append(("train − test", f"the ELBO of training examples is {_ahead(own.generalisation)} test examples"))
    if own.prior_gap is not None:
        rows.append(("prior gap", own.prior_gap.sentence))
    if own.information is not None:
        one = own.information
        only = "; so near it that the ceiling is all it says" if one.saturated else ""
        most = f"the estimate can say no more than log {one.n:,} = {rounded(one.ceiling, 1)}{only}"
        rows.append(("I(x; z)", f"{number(one.value)} nats that z says about x; {most}"))
    if own.samples is not None:
        rows.append(("samples", _samples(own)))
    return rows


def _ahead(one: Number) -> str:
    size = with_error(abs(one.value), one.se)
    return f"{size} nats {'above' if one.value >= 0 else 'below'} that of"


def _samples(own: ContextRecord) -> str:
    assert own.samples is not None
    one = own.samples
    return (
        f"a {one.classifier} tells samples from data by {number(one.prior)} nats where z comes from p(z), by "
        f"{number(one.posterior)} where it comes from q(z); difference {number(one.difference)} (0 where it guesses, "
        f"0.69 at most; n = {count(one.n)})"
    )


def _context_figures(own: ContextRecord | None, latents: bool) -> list[Figure]:
    if own is None:
        return []
    figures = [_rate(own)] if own.information is not None or own.prior_gap is not None else []
    if latents and own.latents is not None:
        figures.append(kl_figure(own.latents))
    if own.collapse is not None:
        figures.append(_collapse(own))
    if own.changes is not None:
        figures.append(changes_figure(own.changes))
    return figures


def _rate(own: ContextRecord) -> Figure:
    rate, gap = with_error(own.rate.mean, own.rate.se_total), own.prior_gap
    title = f"The rate of {rate} nats pays for what z says about x, and for q(z) being unlike the prior"
    if gap is not None:
        low, high = gap.ends
        most = f"between {low} and {high}" if high else f"at least {low}"
        if gap.crossed:
            most = f"about {low} to {high}, ends that their errors have crossed,"
        title = f"Of the rate of {rate} nats, {most} pay for q(z) being unlike the prior"
    how = (
        "Rate = I(x; z) + KL(q(z) ‖ p(z)). The first is what z says about which example it came from, the second what "
        "is paid because the aggregate posterior q(z) is not the prior: z drawn from the prior then fall where the "
        "decoder has not been."
    )
    if own.information is not None and own.information.ceiling < 1.1 * own.rate.mean:
        how += " Dashed: the ceiling of the estimate of I(x; z); near it, the second has no upper end."
    n = f"{words.examples(own.rate.n, 'test')} for the rate"
    foot = f"{n}, {count(gap.n)} for the lower end of the prior gap ({gap.density})." if gap else f"{n}."

    def draw(sheet: Sheet) -> None:
        plots.rate_parts(own, ax=sheet.subplots())

    return _drawn("rate-parts", title, how, foot, draw)


def _collapse(own: ContextRecord) -> Figure:
    curve = own.collapse
    assert curve is not None
    at = min(range(len(curve.epsilon)), key=lambda i: abs(math.log(curve.epsilon[i] / 0.1)))
    title = f"{rounded(100 * curve.share[at], 0)} % of the units are collapsed at ε = {curve.epsilon[at]:g} nats"
    how = (
        f"A unit is (ε, δ)-collapsed where its KL is below ε on all but a share δ = {curve.delta:g} of the examples. A "
        "curve that stays flat over many ε says that units either work or do not, whatever the threshold."
    )
    if curve.by_moments:
        how += (
            " The KL of a unit is that of a normal with the mean and variance of its q, which has no closed form: at "
            "most so many are collapsed."
        )

    def draw(sheet: Sheet) -> None:
        plots.collapse_curve(curve, ax=sheet.subplots())

    foot = (
        f"{words.examples(own.rate.n, 'test')}." if own.latents is None else f"{words.examples(own.latents.n, 'test')}."
    )
    return _drawn("collapse", title, how, foot, draw)
