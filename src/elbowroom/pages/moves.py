"""The rate–distortion plane of an audit: where the model stands, and where each remedy would take it."""

import math

from elbowroom import plots
from elbowroom.numerics import with_error
from elbowroom.plots import Model, Value
from elbowroom.plots.style import Sheet
from elbowroom.records import AuditRecord, Number, Summary

from . import words
from .embedding import both_widths
from .figure import Figure

__all__ = ["moves_figure"]

_NOWHERE = 0.01  # nats, below which a remedy moves nothing that could be seen


def moves_figure(audit: AuditRecord) -> Figure | None:
    """Rate and distortion of a model as it is, and with each remedy that moves them.

    Parameters
    ----------
    audit : AuditRecord
        As `er.audit` returned it.

    Returns
    -------
    Figure or None
        None where the context was not measured, or no remedy that was priced moves the point.
    """
    own = audit.context
    if own is None:
        return None
    start = Model("as it is", _value(own.rate), _value(own.distortion))
    moved = [
        Model(one.remedy, _shifted(own.rate, one.rate), _shifted(own.distortion, one.distortion))
        for one in audit.prices
        if one.rate is not None and one.distortion is not None and _goes(one.rate, one.distortion)
    ]
    if not moved:
        return None
    best = min(moved, key=lambda one: one.rate.mean + one.distortion.mean)
    title = (
        f"{best.label} would take the rate from {_size(start.rate)} to {_size(best.rate)} and the distortion from "
        f"{_size(start.distortion)} to {_size(best.distortion)} nats"
    )
    how = (
        "Rate: nats that the latents carry about x (the KL). Distortion: −log p(x | z). Along a dashed line the ELBO = "
        "−(rate + distortion) is the same; further down and to the left is better. A remedy stands where the model is, "
        "moved by what it adds to either on the same test examples. Crosses are 95\u00a0% intervals; of "
        "remedies, those of the change."
    )
    foot = f"{words.examples(own.rate.n, 'test')} for the model as it is."

    def draw(sheet: Sheet) -> None:
        plots.rate_distortion([start, *moved], ax=sheet.subplots())

    return Figure("moves", title, how, foot, svg=both_widths(draw, "moves", title))


def _value(one: Summary) -> Value:
    return Value(one.mean, one.se_total)


def _shifted(one: Summary, by: Number) -> Value:
    """With the error of the change alone, which is paired: where it starts is uncertain for all alike."""
    if max(abs(by.value), by.se or 0.0) < _NOWHERE:  # what rounding moves is where it was
        return Value(one.mean, 0.0)
    return Value(one.mean + by.value, by.se or 0.0)


def _goes(rate: Number, distortion: Number) -> bool:
    return max(abs(rate.value), abs(distortion.value)) > _NOWHERE and math.isfinite(rate.value + distortion.value)


def _size(one: Value) -> str:
    return with_error(one.mean, one.se_total or None)
