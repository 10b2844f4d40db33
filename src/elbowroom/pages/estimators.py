"""The evidence panel: log p(x) of the chosen model by every estimator, over the examples that all of them measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from elbowroom import plots
from elbowroom.numerics import Estimate, InputError, aligned, count, paired, places, rounded, with_error
from elbowroom.numerics._standard_errors import standard_errors
from elbowroom.plots.style import Sheet
from elbowroom.runs.saved_estimates import KeptEstimate

from .embedding import both_widths
from .figure import Figure
from .words import direction_words

__all__ = ["EvidencePanel", "evidence_panel"]

_ALL = "log p(x) by every estimator"
_SIGN = {"lower": "≥ ", "upper": "≤ "}
_HOW = (
    "Mean log p(x) of the same test examples under the same model, by each estimator. Lower bound: an arrow to the "
    "right, the truth lies at its foot or beyond; upper bound: an arrow to the left. Dot: neither. Thin interval: "
    "95\u00a0% from draws and examples; thick: from draws alone. The examples are the same for all, so the differences "
    "are surer than the thin intervals suggest: the table has them, paired by example."
)


@dataclass(frozen=True)
class EvidencePanel:
    """A figure with what stands beneath it.

    Attributes
    ----------
    figure : Figure
        The estimates on one axis.
    rows : sequence of dict of str to str
        Cells of a table, by the names of its columns.
    notes : sequence of str
        What could not be measured or drawn, and what is no estimate of log p(x), in sentences.
    """

    figure: Figure
    rows: Sequence[dict[str, str]]
    notes: Sequence[str]


def evidence_panel(estimates: Sequence[KeptEstimate], not_measured: Sequence[str] = ()) -> EvidencePanel | None:
    """Every estimator on one axis.

    Parameters
    ----------
    estimates : sequence of KeptEstimate
        What the evidence.json of the chosen run holds.
    not_measured : sequence of str, default ()
        What could not be measured, in sentences.

    Returns
    -------
    EvidencePanel or None
        None where nothing can be drawn and nothing said, as where the run has no evidence.json.
    """
    notes = [*not_measured, *_certificates(estimates), *_both_ends(estimates)]
    tested = _longest([kept.estimate for kept in estimates if kept.part == "test"])
    evidence = next((e.quantity for e in tested if e.direction == "lower"), None) or (tested and tested[0].quantity)
    measured = [e for e in tested if e.quantity == evidence]
    notes += [_other(e) for e in tested if e.quantity != evidence]
    drawable = [e for e in measured if math.isfinite(e.mean) and e.data == measured[-1].data]
    if not drawable:
        why = "No panel: no estimate of test examples is kept that can be drawn."
        return EvidencePanel(Figure("estimators", _ALL, _HOW, missing=why), [], notes) if notes else None
    if len(drawable) < len(measured):
        drawn = [e.estimator for e in drawable]
        lost = ", ".join(e.estimator for e in measured if e.estimator not in drawn)
        notes.append(f"Not drawn, because not finite or of other data: {lost}.")
    try:
        shared = sorted(paired(drawable), key=lambda e: e.mean, reverse=True)
    except InputError:
        why = "No panel: the estimators have no test example in common."
        return EvidencePanel(Figure("estimators", _ALL, _HOW, missing=why), [], notes)
    title = _title(shared)

    def draw(sheet: Sheet) -> None:
        names, details = [_name(e) for e in shared], [_detail(e) for e in shared]
        plots.ladder(shared, names=names, details=details, ax=sheet.subplots())

    svg = both_widths(draw, "estimators", title)
    figure = Figure("estimators", title, _HOW, _foot(drawable, len(shared[0])), svg=svg)
    return EvidencePanel(figure, _table(shared, drawable), notes)


def _longest(tested: Sequence[Estimate]) -> list[Estimate]:
    """Of several by one estimator the one of the most examples, the last of equals."""
    found: dict[tuple[str, ...], Estimate] = {}
    for e in tested:
        key = (e.estimator, e.quantity, e.direction)
        if key not in found or len(e) >= len(found[key]):
            found.pop(key, None)
            found[key] = e
    return list(found.values())


def _other(e: Estimate) -> str:
    """An estimate of something else, which no axis shares with log p(x)."""
    unit = "" if e.quantity.startswith(e.unit) else f" {e.unit}"
    how = f"{direction_words(e.direction)}, {e.estimator}, {count(len(e), 'test example')}"
    return "; ".join([f"{e.quantity}: {_number(e)}{unit}, {how}", *e.warnings]) + "."


def _certificates(estimates: Sequence[KeptEstimate]) -> list[str]:
    """What bounds from both ends say about annealing, where they were measured."""
    simulated = [kept for kept in estimates if kept.part == "simulated"]
    lower, upper = ([kept for kept in simulated if kept.estimate.direction == d] for d in ("lower", "upper"))
    pairs = zip(lower, upper, strict=True)
    return [_certificate(low.estimate, high.estimate) for low, high in pairs]


def _certificate(lower: Estimate, upper: Estimate) -> str:
    """The mean gap and its one-sided 95 % limit."""
    gap = upper - lower
    return (
        f"Bounds from both ends on {count(len(gap), 'example')} that the model itself drew, "
        f"{lower.estimator}: {with_error(gap.mean, gap.se_total)} nats apart, with 95\u00a0% confidence "
        f"less than {rounded(gap.upper_limit, places(gap.se_total))}. On real examples such a gap is "
        "credible, not certain."
    )


def _both_ends(estimates: Sequence[KeptEstimate]) -> list[str]:
    """What annealing from both ends says of test examples, with its if."""
    tested = [kept.estimate for kept in estimates if kept.part == "test"]
    ends = ((low, end) for end in tested if end.direction == "upper if mixed" for low in tested if _below(low, end))
    return [_with_its_if(low.estimator, end - low) for low, end in ends]


def _below(low: Estimate, end: Estimate) -> bool:
    """Whether it is the way up of the same annealing."""
    same = (low.quantity, low.data, low.index.tolist()) == (end.quantity, end.data, end.index.tolist())
    return same and low.direction == "lower" and end.estimator.startswith(f"{low.estimator}, backwards")


def _with_its_if(estimator: str, gap: Estimate) -> str:
    how = "; ".join(gap.warnings) or "R-hat is 1.1 or less on all of them"
    return (
        f"Bounds from both ends on {count(len(gap), 'test example')}, {estimator}: "
        f"{with_error(gap.mean, gap.se_total)} nats apart; the upper end is one only if the chains have mixed: {how}."
    )


def _highest(shared: Sequence[Estimate]) -> Estimate:
    """The highest that is not an upper end."""
    return next((e for e in shared if not e.direction.startswith("upper")), shared[0])


def _title(shared: Sequence[Estimate]) -> str:
    """The two highest lower bounds, compared."""
    bounds = [e for e in shared if e.direction == "lower"]
    if len(bounds) < 2:
        return f"log p(x) by {count(len(shared), 'estimator')}: {_number(_highest(shared))} nats per example"
    difference = bounds[0] - bounds[1]
    size = with_error(difference.mean, difference.se_total)
    first, second = (_name(e) for e in bounds[:2])
    if not difference.mean >= standard_errors(len(difference)) * difference.se_total:
        on = count(len(difference), "example")
        return f"{on} do not tell the two highest bounds on log p(x) apart: {first} and {second} differ by {size} nats"
    return f"{first} gives the highest bound on log p(x), {size} nats above {second}"


def _detail(e: Estimate) -> str:
    rest = e.estimator.removeprefix(_name(e)).removeprefix(", ")
    return ", ".join(filter(None, (rest, direction_words(e.direction))))


def _name(e: Estimate) -> str:
    return e.estimator.partition(", ")[0]


def _number(e: Estimate) -> str:
    return _SIGN.get(e.direction, "") + with_error(e.mean, e.se_total)


def _foot(measured: Sequence[Estimate], common: int) -> str:
    said = f"n = {count(common, 'test example')}"
    if max(len(e) for e in measured) > common:
        said += ", those that every estimator measured"
    seeds = sorted({e.budget.seed for e in measured})
    return f"{said}; seed {', '.join(map(str, seeds))}."


def _table(shared: Sequence[Estimate], measured: Sequence[Estimate]) -> list[dict[str, str]]:
    sizes = {e.estimator: len(e) for e in measured}
    rows, highest = [], _highest(shared)
    for e in shared:
        digits = places(e.se_total)
        apart = e - highest
        rows.append(
            {
                "name": e.estimator,
                "direction": direction_words(e.direction),
                "value": _SIGN.get(e.direction, "") + rounded(e.mean, digits),
                "draws": "unknown" if math.isnan(e.se_mc) else _error(e.se_mc),
                "points": rounded(e.se_points, max(digits, 0)),
                "against": "highest" if e is highest else with_error(apart.mean, apart.se_total),
                "n": count(sizes[e.estimator]),
                "warning": "; ".join(e.warnings),
            }
        )
    for key in ("value", "draws", "points"):
        for row, text in zip(rows, aligned([row[key] for row in rows]), strict=True):
            row[key] = text
    return rows


def _error(error: float) -> str:
    return "0" if error == 0 else rounded(error, max(places(error), 0))
