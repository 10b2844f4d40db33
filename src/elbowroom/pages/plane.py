"""Rate and distortion of the sweep: the plane, the pictures of every model on it, and rows of a table."""

import math
from typing import Any

from elbowroom import plots
from elbowroom.numerics import count, with_error
from elbowroom.plots.style import Sheet
from elbowroom.records import ModelRecord, StudyRecord

from . import words
from .embedding import both_widths
from .figure import Figure
from .strips import model_strip
from .tables import model_quantiles

__all__ = ["model_figures", "plane", "sweep_rows"]


def plane(study: StudyRecord) -> Figure:
    """The rate–distortion plane of the sweep."""
    models, chosen = study.sweep.models, study.chosen
    rate, distortion = (with_error(one.mean, one.se_total) for one in (chosen.rate, chosen.distortion))
    title = f"The chosen model, {chosen.label}, pays a rate of {rate} nats for a distortion of {distortion}"
    how = (
        "Rate: nats that the latents carry about x (the KL). Distortion: −log p(x | z), lower is better. Along a "
        "dashed line the ELBO = −(rate + distortion) is the same; a line further down and to the left is better. "
        "Crosses are 95 % intervals. "
    )
    if len(models) > 1:
        how += f"The model was chosen on validation among {len(models)}."
    bound = chosen.iwae
    foot = f"{words.examples(len(bound), 'validation')}; {count(bound.budget.draws, 'draw')} per example."
    lost = [one.label for one in models if one.diverged]
    if lost:
        foot += f" Not drawn, because training diverged: {', '.join(lost)}."
    if len(lost) == len(models):
        return Figure("plane", title, how, missing="No plane: every model of the sweep diverged.")

    def draw(sheet: Sheet) -> None:
        plots.rate_distortion(models, chosen=chosen, joined=study.sweep.graded, ax=sheet.subplots())

    return Figure("plane", title, how, foot, svg=both_widths(draw, "plane", title))


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
