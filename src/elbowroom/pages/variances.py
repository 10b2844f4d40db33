"""Where the variance goes: the split of every model's variance, and that of the chosen model's total ink."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from elbowroom import plots
from elbowroom.numerics import count, rounded, with_error
from elbowroom.plots.style import Sheet

from . import verdicts
from .embedding import both_widths
from .panels import Figure
from .records import Record

__all__ = ["ink_figure", "variance_figure"]


def variance_figure(record: Record) -> Figure | None:
    """One stacked bar per model, latent and noise; None where the record is older than the split.

    Where squares mean nothing, a sentence in its place says so.
    """
    if record.study["reconstruction"].get("why_none"):
        why = str(record.study["reconstruction"]["why_none"])
        return Figure("variance-bars", "The variance is not split", "", missing=why)
    rows = record.study.get("variance")
    if not rows:
        return None
    drawable = [row for row in rows if _finite(row) and row["data"] > 0]
    own = next((row for row in drawable if row["name"] == record.study["chosen"]), None)
    name = f"the chosen model, {record.chosen['label']}"
    title = f"The variance of {name}, is not a finite number"
    how = (
        "Each bar is the variance of x that a model has, Var x = Var E[x | z] + E Var[x | z], summed over dimensions; "
        "the dashed line is the data's. Latent: what changes with z. Noise: what the observation adds at a given z. "
        "A classic's z are its components or factors; a kernel's, the training example it stands on."
    )
    if own:
        share, error = 100 * own["latent_share"], _percent(own["latent_share_se"])
        title = f"The latents of {name}, carry {with_error(share, error)} % of its variance"
        how += (
            f" Decoder means taken for samples would throw away {with_error(100 - share, error)} % of the "
            "chosen model's variance, and have no density, so no log p(x)."
        )
    if not drawable:
        return Figure("variance-bars", title, how, missing="No bars: none of the variances is a finite number.")
    bars = [_bar(record, row) for row in drawable]
    key = ("latent, Var E[x | z]", "noise, E Var[x | z]")
    foot = _foot(record, drawable, len(rows))
    return Figure("variance-bars", title, how, foot, svg=_drawn(bars, key, "variance-bars", title))


def _drawn(bars: Sequence[plots.Bar], names: Sequence[str], key: str, title: str) -> tuple[str, ...]:
    def draw(sheet: Sheet) -> None:
        plots.stacked_bars(bars, names, ax=sheet.subplots())

    return both_widths(draw, key, title)


def _bar(record: Record, row: Mapping[str, Any]) -> plots.Bar:
    share, error = 100 * row["latent_share"], _percent(row["latent_share_se"])
    number = (rounded(share, 1) if error is None else with_error(share, error)) + " % latent"
    parts = tuple(100 * row[part] / row["data"] for part in ("latent", "noise"))
    return plots.Bar(_label(record, row), parts, number, bold=row["name"] == record.study["chosen"])


def _label(record: Record, row: Mapping[str, Any]) -> str:
    labels = {model["name"]: f"VAE, {model['label']}" for model in record.study["models"]}
    return labels.get(row["name"], str(row["name"]))


def _foot(record: Record, rows: list[Mapping[str, Any]], of: int) -> str:
    data = record.study["data"]
    draws = max(row.get("draws", 0) for row in rows)
    said = (
        f"100 % is {verdicts.significant(rows[0]['data'])}, summed over {count(data['dimensions'])} dimensions "
        f"on the scale that the network sees; {verdicts.examples(data['sizes'].get('validation'), 'validation')}. "
        f"VAEs: z from the encoder over these examples, {count(draws, 'draw')}. Classics: closed forms."
    )
    lost = [_label(record, row) for row in record.study["variance"] if row not in rows]
    return said + (f" Not drawn, because not a finite number: {', '.join(lost)}." if len(rows) < of else "")


def ink_figure(record: Record) -> Figure | None:
    """Variance of the sum of all elements, in which covariances show; None where the record lacks it."""
    ink = record.study.get("ink")
    if not ink:
        return None
    pictured, label = bool(record.study["data"].get("image_shape")), record.chosen["label"]
    what = "total ink" if pictured else "the sum of all columns"
    parts, se = ("latent", "noise_diagonal", "noise_covariance"), ink.get("se", {})
    how = (
        f"The variance of {what}{', the sum of all pixels' if pictured else ''}, on the scale that the network sees. "
        "Independent noise adds only the sum of its variances to it. Covariance: what correlated noise of the model "
        "adds to that or, below zero, takes away. What is missing up to the dashed line the model does not have."
    )
    if not all(map(math.isfinite, (ink[part] for part in ("data", *parts)))) or ink["data"] <= 0:
        why = "No bar: a part of the variance is not a finite number."
        return Figure("ink", f"The variance of {what}", how, missing=why)
    share = [100 * ink[part] / ink["data"] for part in parts]
    errors = [None if part not in se else 100 * se[part] / ink["data"] for part in parts]
    total = with_error(math.fsum(share), math.hypot(*(error or 0.0 for error in errors)))
    title = f"In the chosen model, {label}, {what} varies {total} % as much as in the data"
    key = ("latent", "independent noise", "covariance of the noise")
    said = [with_error(*pair) for pair in zip(share, errors, strict=True)]
    bar = plots.Bar(f"VAE, {label}", tuple(share), f"{total} %", bold=True)
    foot = (
        f"100 % is {with_error(ink['data'], se.get('data'))}, "
        f"{verdicts.examples(record.study['data']['sizes'].get('validation'), 'validation')}; of it "
        + ", ".join(f"{word} {text} %" for word, text in zip(key, said, strict=True))
        + (f"; errors from {count(ink['draws'], 'draw')} of z and x." if "draws" in ink else ".")
    )
    return Figure("ink", title, how, foot, svg=_drawn([bar], key, "ink", title))


def _percent(error: float | None) -> float | None:
    return None if error is None else 100 * error


def _finite(row: Mapping[str, Any]) -> bool:
    return all(row[key] is not None and math.isfinite(row[key]) for key in ("latent", "noise", "latent_share", "data"))
