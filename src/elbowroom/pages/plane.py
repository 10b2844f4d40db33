"""Rate and distortion of the sweep: the plane, the pictures of every model on it, and rows of a table."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from elbowroom import plots
from elbowroom.numerics import Estimate, count, rounded, with_error
from elbowroom.plots.plane import best_entropy, families_of, short_label
from elbowroom.plots.style import Sheet
from elbowroom.records import CalibrationRecord, ModelRecord, StudyRecord
from elbowroom.runs.saved_estimates import KeptEstimate, read_estimates

from . import words
from .embedding import both_widths
from .figure import Figure
from .strips import model_strip
from .tables import model_quantiles

__all__ = ["chooser", "model_figures", "plane", "sweep_rows"]

_HOW = (
    "Rate: nats that the latents carry about x (the KL). Distortion: −log p(x | z), lower is better. Along a dashed "
    "line the ELBO = −(rate + distortion) is the same; a line further down and to the left is better. Crosses are "
    "95\u00a0% intervals."
)
_CURVE = ("the rate function at β = ", "negative log-likelihood at β = ")


def plane(study: StudyRecord) -> Figure:
    """The rate–distortion plane of the sweep."""
    models, chosen = study.sweep.models, study.chosen
    rate, distortion = (with_error(one.mean, one.se_total) for one in (chosen.rate, chosen.distortion))
    title = f"The chosen model, {chosen.label}, pays a rate of {rate} nats for a distortion of {distortion}"
    lost = [one.label for one in models if one.diverged]
    if len(lost) == len(models):
        return Figure("plane", title, _HOW, missing="No plane: every model of the sweep diverged.")
    gains = _gains(models)
    curve, about_curve = _decoder_curve(read_estimates(study.run / "evidence.json", study.weights))
    healthy = [study.healthy.get(one.name) for one in models]

    def draw(sheet: Sheet) -> None:
        marks: dict[str, Any] = {
            "calibrated": gains,
            "healthy": healthy if any(h is not None for h in healthy) else None,
        }
        ax = plots.rate_distortion(models, chosen=chosen, **marks, ax=sheet.subplots())
        if curve is not None:
            plots.rate_distortion_curve(curve, ax=ax)

    bound = chosen.iwae
    foot = f"{words.examples(len(bound), 'validation')}; {count(bound.budget.draws, 'draw')} per example.{about_curve}"
    if lost:
        foot += f" Not drawn, because training diverged: {', '.join(lost)}."
    return Figure("plane", title, _how_to_read(models, gains), foot, svg=both_widths(draw, "plane", title))


def _how_to_read(models: Sequence[ModelRecord], gains: Sequence[Any] | None) -> str:
    """What every line of the plane is, in sentences."""
    said = [_HOW]
    if len(models) > 1:
        of = "their family, those that differ in β and seed alone" if _by_family(models) else "the sweep"
        said.append(f"The line is the frontier of {of}. The model was chosen on validation among {len(models)}.")
    if gains is not None:
        most = rounded(max(one.mean for one in gains if one is not None), 1)
        said.append(
            "The small mark below a model is the same networks with their best noise or temperature: up to "
            f"{most} nats less distortion at the same rate."
        )
    if (best := best_entropy(models, gains)) is not None:
        said.append(
            f"In the shaded corner rate + distortion would be less than {_entropy_of(models[0].iwae.quantity)}, which "
            f"no bound can be. H is not known; it is drawn at its best estimate here, {best[1]}, which is too high but "
            f"for its own error{_by_luck(len(models))}: a point may lie below it by that, and models of another scan "
            "by more."
        )
    return " ".join(said)


def _by_luck(models: int) -> str:
    """What the best of several owes to the examples by which it was found."""
    return f" and for what the best of {models} owes to these very examples" if models > 1 else ""


def _entropy_of(quantity: str) -> str:
    """The entropy that bounds rate + distortion, by what the models are densities of, "log p(x | label)"."""
    given = quantity.partition(" | ")[2].rstrip(")")
    return "the entropy H of the data" + (f" given {given}" if given else "")


def _by_family(models: Sequence[ModelRecord]) -> bool:
    return any(family.name for family in families_of(dict(enumerate(models))).values())


def _gains(models: Sequence[ModelRecord]) -> list[Any] | None:
    """What calibration wins, by model, where it pays; None where it pays nowhere."""
    paid = [None if one.calibrated is None or not one.calibrated.pays else _gain(one.calibrated) for one in models]
    return paid if any(one is not None for one in paid) else None


def _gain(one: CalibrationRecord) -> SimpleNamespace:
    """As `plots.Value`, with the error of the ELBO that it leads to, where the record has it."""
    after = None if one.elbo is None else one.elbo.se
    return SimpleNamespace(mean=one.gain.value, se_total=one.gain.se or 0.0, se_after=after)


def _decoder_curve(kept: Sequence[KeptEstimate]) -> tuple[Any, str]:
    """What `elbowroom evidence --estimator rate-distortion-curve` found of the chosen run, and a sentence about it."""
    parts = {one.part for one in kept if one.estimate.quantity.startswith(_CURVE[0])}
    if not parts:
        return None, ""
    part = "validation" if "validation" in parts else sorted(parts)[0]
    rates, distortions = (_of_curve([one.estimate for one in kept if one.part == part], name) for name in _CURVE)
    betas = sorted(rates.keys() & distortions.keys(), key=float)
    if not betas:
        return None, ""
    curve = SimpleNamespace(rates=[rates[b] for b in betas], distortions=[distortions[b] for b in betas])
    said = (
        f" The decoder’s own curve, the least rate at which any encoder reaches a distortion (an upper bound, by "
        f"annealing): {words.examples(len(curve.rates[0]), part)}."
    )
    return curve, said


def _of_curve(estimates: Sequence[Estimate], name: str) -> dict[str, Estimate]:
    return {one.quantity.removeprefix(name): one for one in estimates if one.quantity.startswith(name)}


def chooser(study: StudyRecord) -> list[dict[str, Any]]:
    """What chooses the model whose pictures are shown: one for each, those of a family behind its name."""
    models = dict(enumerate(study.sweep.models))
    families, rows, last = families_of(models), [], ""
    for i, one in models.items():
        family = families[i]
        short = short_label(one, family)
        named = {"label": one.label, "short": short, "family": family.name if family.name != last else ""}
        rows.append({"index": i, "chosen": one is study.chosen, **named})
        last = family.name
    return rows


def model_figures(study: StudyRecord) -> list[Figure]:
    """The pictures of every model of the sweep; none at all where a model has none."""
    figures = [_model_figure(study, model) for model in study.sweep.models if not model.diverged]
    return [] if None in figures else [figure for figure in figures if figure]


def _model_figure(study: StudyRecord, model: ModelRecord) -> Figure | None:
    pictures, key = study.pictures.models.get(model.name), f"panel-{model.name}"
    if pictures is None:
        return None
    if study.data.image_shape is None:
        return model_quantiles(study, pictures, model.label, key)
    if study.reconstruction.why_none:
        return None
    strip = model_strip(study, pictures, model.label)
    return Figure(key, f"{model.label}: reconstructions and samples", "", strips=[strip])


def sweep_rows(study: StudyRecord) -> list[dict[str, Any]]:
    """Every model of the sweep as cells of a table, by the names of its columns."""
    axis = study.axis
    return [
        {
            "index": index,
            "chosen": one is study.chosen,
            "symbol": axis,
            "label": one.axes[axis] if axis else one.label,
            "active": f"{one.active}/{one.latents}",
            "squared_error": words.significant(one.squared_error),
            "psnr": f"{one.psnr:.1f}" if one.psnr is not None and math.isfinite(one.psnr) else "no range",
            "epochs": "diverged" if one.diverged else f"{one.best_epoch}/{one.epochs}",
            "rate": with_error(one.rate.mean, one.rate.se_total),
            "distortion": with_error(one.distortion.mean, one.distortion.se_total),
            "elbo": with_error(one.elbo.mean, one.elbo.se_total),
            "iwae": with_error(one.iwae.mean, one.iwae.se_total),
        }
        for index, one in enumerate(study.sweep.models)
    ]
