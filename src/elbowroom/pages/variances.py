"""Where the variance goes: the split of every model's variance, and that of the chosen model's pixel sum."""

import math
from collections.abc import Sequence

from elbowroom import plots
from elbowroom.numerics import count, rounded, with_error
from elbowroom.plots.style import Sheet
from elbowroom.records import InkRecord, StudyRecord, VarianceRecord

from . import words
from .embedding import both_widths
from .figure import Figure

__all__ = ["ink_figure", "variance_figure"]


def variance_figure(study: StudyRecord) -> Figure | None:
    """One stacked bar per model, latent and noise; None where no variance was split.

    Where squares mean nothing, a sentence in its place says so.
    """
    if why := study.reconstruction.why_none:
        return Figure("variance-bars", "The variance is not split", "", missing=why)
    if not study.variances:
        return None
    drawable = [one for one in study.variances if one.known]
    own = next((one for one in drawable if one.name == study.chosen.name), None)
    name = f"the chosen model, {study.chosen.label}"
    title = f"The variance of {name}, is not a finite number"
    how = (
        "Each bar is the variance of x that a model has, Var x = Var E[x | z] + E Var[x | z], summed over dimensions; "
        "the dashed line is the data's. Latent: what changes with z. Noise: what the observation adds at a given z. "
        "A baseline's z are its components or factors; a kernel's, the training example it stands on."
    )
    if own:
        share, error = 100 * own.latent_share.value, _percent(own.latent_share.se)
        title = f"The latents of {name}, carry {with_error(share, error)} % of its variance"
        how += (
            f" Decoder means taken for samples would throw away {with_error(100 - share, error)} % of the "
            "chosen model's variance, and have no density, so no log p(x)."
        )
    if not drawable:
        return Figure("variance-bars", title, how, missing="No bars: none of the variances is a finite number.")
    bars = [_bar(study, one) for one in drawable]
    key = ("latent, Var E[x | z]", "noise, E Var[x | z]")
    return Figure("variance-bars", title, how, _foot(study, drawable), svg=_drawn(bars, key, "variance-bars", title))


def _drawn(bars: Sequence[plots.Bar], names: Sequence[str], key: str, title: str) -> tuple[str, ...]:
    def draw(sheet: Sheet) -> None:
        plots.stacked_bars(bars, names, ax=sheet.subplots())

    return both_widths(draw, key, title)


def _bar(study: StudyRecord, one: VarianceRecord) -> plots.Bar:
    share, error = 100 * one.latent_share.value, _percent(one.latent_share.se)
    number = (rounded(share, 1) if error is None else with_error(share, error)) + " % latent"
    parts = (100 * one.latent / one.data, 100 * one.noise / one.data)
    return plots.Bar(_label(study, one), parts, number, bold=one.name == study.chosen.name)


def _label(study: StudyRecord, one: VarianceRecord) -> str:
    labels = {model.name: f"VAE, {model.label}" for model in study.sweep.models}
    return labels.get(one.name, one.name)


def _foot(study: StudyRecord, drawn: Sequence[VarianceRecord]) -> str:
    said = (
        f"100 % is {words.significant(drawn[0].data)}, summed over {count(study.data.dimensions)} dimensions "
        f"on the scale that the network sees; {_examples(study)}. "
        f"VAEs: z from the encoder over these examples, {count(max(one.draws for one in drawn), 'draw')}. "
        "Baselines: closed forms."
    )
    lost = [_label(study, one) for one in study.variances if not one.known]
    return said + (f" Not drawn, because not a finite number: {', '.join(lost)}." if lost else "")


def _examples(study: StudyRecord) -> str:
    return words.examples(study.data.sizes["validation"], "validation")


def ink_figure(study: StudyRecord) -> Figure | None:
    """Variance of the sum of all elements, in which covariances show; None where squares mean nothing."""
    ink = study.evidence.ink
    if ink is None:
        return None
    label, pictured = study.chosen.label, study.data.image_shape is not None
    what = "the pixel sum" if pictured else "the sum of all columns"
    how = (
        f"The variance of {what}, on the scale that the network sees. "
        "Independent noise adds only the sum of its variances to it. Covariance: what correlated noise of the model "
        "adds to that or, below zero, takes away. What is missing up to the dashed line the model does not have."
    )
    if not ink.known:
        why = "No bar: a part of the variance is not a finite number."
        return Figure("ink", f"The variance of {what}", how, missing=why)
    share, errors = _of_data(ink)
    whole, of_data = math.fsum(share), 100 * (ink.data.se or 0.0) / ink.data.value
    total = with_error(whole, math.hypot(*(error or 0.0 for error in errors), whole * of_data / 100))
    title = f"In the chosen model, {label}, {what} varies {total} % as much as in the data"
    key = ("latent", "independent noise", "covariance of the noise")
    said = [f"{name} {with_error(*pair)} %" for name, *pair in zip(key, share, errors, strict=True)]
    bar = plots.Bar(f"VAE, {label}", tuple(share), f"{total} %", bold=True)
    foot = (
        f"100 % is {with_error(ink.data.value, ink.data.se)}, {_examples(study)}; of it {', '.join(said)}; "
        f"these errors from {count(ink.draws, 'draw')} of z and x alone, that of the title from the data's too."
    )
    return Figure("ink", title, how, foot, svg=_drawn([bar], key, "ink", title))


def _of_data(ink: InkRecord) -> tuple[list[float], list[float | None]]:
    """The parts, and their errors, in percent of the data's."""
    share = [100 * part.value / ink.data.value for part in ink.parts]
    return share, [None if part.se is None else 100 * part.se / ink.data.value for part in ink.parts]


def _percent(error: float | None) -> float | None:
    return None if error is None else 100 * error
