"""The page's panels: what each shows in words with a number, how to read it, and its drawing for two widths."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from elbowroom import plots
from elbowroom.numerics import Estimate, count, with_error
from elbowroom.plots.style import Sheet
from elbowroom.runs import History

from . import verdicts
from .embedding import both_widths
from .records import Record
from .strips import Strip, model_strip, picture_pairs

__all__ = ["Figure"]


@dataclass(frozen=True)
class Figure:
    """One figure: `title` says what it shows, `how` how to read it, `foot` its n and draws.

    svg: for the wide and the narrow page; strips: rows of pictures instead; missing: why there is neither.
    """

    key: str
    title: str
    how: str
    foot: str = ""
    svg: tuple[str, ...] = ()
    strips: Sequence[Strip] = field(default_factory=tuple)
    missing: str = ""


_WORTH_SAYING = 0.001


def ladder(record: Record) -> Figure:
    """Held-out log-likelihood beside the classics."""
    rows = record.evidence
    title = verdicts.contest(record.study["difference"], record.direction)
    how = (
        "Mean log-likelihood of a test example; further right is better. Dot: an exact value. Arrow: a lower bound, "
        "the truth lies at its foot or to the right of it. Thin interval: 95 % from draws and examples; thick: from "
        "draws alone. Dashed: the best classic."
    )
    if record.study["difference"]:
        how += " The difference in the title is paired by example, so it is surer than the intervals suggest"
        bound = "; the VAE's side of it is a bound, so the truth can only be better for the VAE"
        how += f"{bound if record.direction == 'lower' else ''}."
    if not any(math.isfinite(estimate.mean) for _, estimate in rows):
        return Figure("ladder", title, how, missing="No ladder: none of the estimates is a finite number.")

    def draw(sheet: Sheet) -> None:
        plots.ladder(
            [estimate for _, estimate in rows],
            names=[str(row["name"]) for row, _ in rows],
            details=[estimate_words(str(row["name"]), estimate) for row, estimate in rows],
            rivals=[i for i, (row, _) in enumerate(rows) if row["kind"] != "vae"],
            ax=sheet.subplots(),
        )

    return Figure("ladder", title, how, _ladder_foot(record), svg=both_widths(draw, "ladder", title))


def estimate_words(name: str, estimate: Estimate) -> str:
    """Estimator and direction of what is called `name`, each said once."""
    direction = direction_words(estimate.direction)
    if estimate.estimator == name:
        return direction
    return estimate.estimator if direction in estimate.estimator else f"{estimate.estimator}, {direction}"


def direction_words(direction: str) -> str:
    """A direction of an estimate in words."""
    return {"lower": "lower bound", "upper": "upper bound", "none": "no direction"}.get(direction, direction)


def _ladder_foot(record: Record) -> str:
    sizes = {len(estimate) for _, estimate in record.evidence}
    n = " or ".join(count(size) for size in sorted(sizes))
    draws = [f"{e.estimator}: {count(e.budget.draws)}" for _, e in record.evidence if e.budget.draws]
    seeds = sorted({e.budget.seed for _, e in record.evidence if e.budget.draws})
    said = f"n = {n} test examples"
    if draws:
        said += f"; draws per example, {', '.join(dict.fromkeys(draws))}; seed {', '.join(map(str, seeds))}"
    lost = [str(row["name"]) for row, e in record.evidence if not math.isfinite(e.mean)]
    return f"{said}." + (f" Not drawn, because not a finite number: {', '.join(lost)}." if lost else "")


def reconstructions(record: Record) -> Figure:
    """Held-out images over their reconstructions."""
    study = record.study
    if why := study["reconstruction"].get("why_none"):
        return Figure("reconstructions", "Held-out reconstructions", "", missing=why)
    title = f"Held-out reconstructions: {verdicts.reconstruction_text(record)}"
    strips, shown, note = picture_pairs(record, ("held_out", "held out"), ("reconstructions", "reconstruction"))
    how = (
        f"Above: held-out examples, the first {shown} of a seeded draw, none picked by hand. Below: the model's "
        "reconstruction of each."
    )
    n = verdicts.examples(study["reconstruction"].get("n"), "held-out")
    foot = f"{n} behind the two numbers; seed of the draw {study['draws']['seed']}.{note}"
    return Figure("reconstructions", title, how, foot, strips=strips)


def samples(record: Record) -> Figure:
    """Ancestral samples beside decoder means of the same z, or beside held-out images where there are no means."""
    if record.study["reconstruction"].get("why_none"):
        return _samples_alone(record)
    strips, shown, note = picture_pairs(
        record, ("samples_ancestral", "ancestral sample"), ("samples_mean", "decoder mean")
    )
    title = f"{shown} ancestral samples, and the decoder means of the same z"
    how = (
        "Above: what the model generates, z drawn from the prior and then x from p(x | z). Below: the mean of "
        "p(x | z) at the same z; a mean is no sample, and hides the decoder's noise. Values beyond the range of the "
        "data are drawn black or white." + leak_words(record)
    )
    return Figure(
        "samples", title, how, f"Seed {record.study['draws']['seed']}, the first {shown} draws.{note}", strips=strips
    )


def _samples_alone(record: Record) -> Figure:
    strips, shown, note = picture_pairs(record, ("held_out", "held out"), ("samples_ancestral", "ancestral sample"))
    title = f"{shown} held-out examples, and {shown} ancestral samples"
    how = "Above: held-out examples. Below: what the model generates, z drawn from the prior and then x from p(x | z)."
    foot = (
        f"Seed {record.study['draws']['seed']}, the first {shown} of a seeded draw and the first {shown} draws.{note}"
    )
    return Figure("samples", title, how, foot, strips=strips)


def leak_words(record: Record) -> str:
    """How much of the likelihood lies outside the data's range, where that is worth saying."""
    leak = record.study.get("leak")
    if not leak or leak < _WORTH_SAYING:
        return ""
    return f" The likelihood puts {100 * leak:.2g} % of its mass outside the range of the data."


def flat(values: np.ndarray) -> np.ndarray:
    """[n, columns]."""
    return values.reshape(len(values), -1)


def column_names(record: Record) -> list[str]:
    """The table's column names, or numbers in their place."""
    width = flat(record.pictures["samples_ancestral"]).shape[1]
    names = record.study["data"].get("columns")
    return [str(n) for n in names] if names else [f"column {i + 1}" for i in range(width)]


def numeric_columns(record: Record) -> list[int]:
    """The columns of a table that hold numbers, not classes without an order."""
    classes = record.study["data"].get("classes") or {}
    return [i for i in range(len(column_names(record))) if str(i) not in classes]


def plane(record: Record) -> Figure:
    """The rate–distortion plane of the sweep."""
    study, chosen = record.study, record.chosen
    models = [
        plots.Model(str(m["label"]), plots.Value(*_pair(m, "rate")), plots.Value(*_pair(m, "distortion")))
        for m in study["models"]
    ]
    own = next(model for model, m in zip(models, study["models"], strict=True) if m["name"] == study["chosen"])
    rate, distortion = (with_error(*_pair(chosen, key)) for key in ("rate", "distortion"))
    title = f"The chosen model, {chosen['label']}, pays a rate of {rate} nats for a distortion of {distortion}"
    how = (
        "Rate: nats that the latents carry about x (the KL). Distortion: −log p(x | z), lower is better. Along a "
        "dashed line the ELBO = −(rate + distortion) is the same; a line further down and to the left is better. "
        "Crosses are 95 % intervals. "
    )
    if len(models) > 1:
        how += f"The model was chosen on validation among {len(models)}."
    foot = f"{verdicts.examples(chosen['n'], 'validation')}; {count(chosen['draws'], 'draw')} per example."
    lost = [m.label for m in models if not math.isfinite(m.rate.mean + m.distortion.mean)]
    if lost:
        foot += f" Not drawn, because training diverged: {', '.join(lost)}."
    if len(lost) == len(models):
        return Figure("plane", title, how, missing="No plane: every model of the sweep diverged.")

    def draw(sheet: Sheet) -> None:
        plots.rate_distortion(models, chosen=own, joined=_graded(record), ax=sheet.subplots())

    return Figure("plane", title, how, foot, svg=both_widths(draw, "plane", title))


def _graded(record: Record) -> bool:
    """Whether the models differ in one number, so that a line from one to the next means something."""
    settings = [list(model["settings"].values()) for model in record.study["models"]]
    return all(len(one) == 1 and isinstance(one[0], int | float) for one in settings)


def _pair(model: Any, key: str) -> tuple[float, float]:
    value, error = model["validation"][key]
    return math.nan if value is None else float(value), math.nan if error is None else float(error)


def held_out_rows(record: Record) -> np.ndarray:
    """Rows of a table that samples are set beside."""
    return record.pictures.get("data_sample", record.pictures["held_out"])


def panel(record: Record, model: Any) -> Figure | None:
    """The pictures that belong to one model of the sweep."""
    name = str(model["label"])
    if f"models.{model['name']}.samples" not in record.pictures:
        return None
    if record.study["data"].get("image_shape"):
        if record.study["reconstruction"].get("why_none"):
            return None
        strip = model_strip(record, str(model["name"]), name)
        return Figure(f"panel-{model['name']}", f"{name}: reconstructions and samples", "", strips=[strip])
    kept = numeric_columns(record)
    if not kept:
        return None
    drawn = flat(record.pictures[f"models.{model['name']}.samples"])[:, kept]
    series = {"held-out data": flat(held_out_rows(record))[:, kept], f"samples at {name}": drawn}
    names = [column_names(record)[i] for i in kept[:8]]
    title = f"{name}: samples beside data" + (f", first {len(names)} columns" if len(kept) > 8 else "")

    def draw(sheet: Sheet) -> None:
        plots.quantile_strips(series, names, ax=sheet.subplots())

    key = f"panel-{model['name']}"
    return Figure(key, title, "", svg=both_widths(draw, key, title))


def kl(record: Record) -> Figure:
    """KL per latent."""
    latents = record.study["latents"]
    if latents["kl"] is None:
        why = f"{sum(latents['active'])} of {len(latents['active'])} latents are active; this prior and this posterior "
        why += "have no KL in closed form that could be divided among them."
        return Figure("kl", "The KL is not divided among the latents", "", missing=why)
    values = [float(v) for v in latents["kl"]]
    active = [bool(a) for a in latents["active"]]
    threshold = latents.get("threshold")
    # A line is drawn only where it is this KL that decides what is active.
    decides = threshold is not None and active == [v > threshold for v in values]
    title = f"{sum(active)} of {len(values)} latents are active and carry {sum(values):.1f} nats together"
    how = (
        "Each dot is one latent's KL from posterior to prior, averaged over examples. A hollow dot is a latent the "
        "decoder gets nothing from: its posterior is the prior, whatever x is."
    )
    if threshold is not None and not decides:
        how += f" Active: the encoder's mean varies by more than {threshold:g} over examples."
    foot = f"{verdicts.examples(latents.get('n'), 'held-out')}."
    if not all(map(math.isfinite, values)):
        return Figure("kl", title, how, missing="No figure: the KL of some latents is not a finite number.")

    def draw(sheet: Sheet) -> None:
        use = SimpleNamespace(kl=values, active=active)
        plots.kl_per_latent(use, threshold=threshold if decides else None, ax=sheet.subplots())

    return Figure("kl", title, how, foot, svg=both_widths(draw, "kl", title))


def latent_map(record: Record) -> Figure:
    """Encoder means in the plane, coloured by label."""
    latents, data = record.study["latents"], record.study["data"]
    points, labels = record.pictures["latent_map"], record.pictures["latent_labels"]
    axes = str(latents.get("axes") or ("z1, z2" if len(latents["active"]) == 2 else "two directions of z"))
    knn = latents.get("knn")
    shown = min(len(points), plots.MAP_LIMIT)
    if knn:
        z, x = (verdicts.share(knn[space], knn["n"]) for space in ("z", "x"))
        title = f"Neighbours in z tell the label for {z} of examples, neighbours in x for {x}"
        foot = f"{count(shown)} points; accuracy of {knn['k']} nearest neighbours, n = {count(knn['n'])}."
    else:
        title = f"{count(shown)} held-out examples in latent space, along {axes}"
        foot = f"{count(shown)} points; no nearest-neighbour accuracy, because the data have no labels."
    how = (
        f"Each point is an example's encoder mean ({axes}). Points that lie together look alike to the model; "
        "a label's name stands at its median."
        if (labels >= 0).any()
        else f"Each point is an example's encoder mean ({axes}). Points that lie together look alike to the model."
    )

    def draw(sheet: Sheet) -> None:
        plots.latent_map(points, labels, names=data.get("label_names"), axes=axes, ax=sheet.subplots())

    return Figure("map", title, how, foot, svg=both_widths(draw, "map", title))


def curves(record: Record) -> Figure:
    """Learning curves of the chosen model."""
    chosen = record.chosen
    title = f"Learning curves of the chosen model: epoch {chosen['best_epoch']} of {chosen['epochs']} was kept"
    how = (
        "The KL can rise although it is paid for: each nat that the latents learn to carry lowers the distortion by "
        "more than it costs, until the two balance. A "
        "gap between training and validation that widens is overfitting."
    )
    if not record.history:
        why = f"No curves: runs/{chosen['name']}/history.jsonl is missing from the study folder."
        return Figure("curves", title, how, missing=why)
    foot = f"Chosen model, {chosen['label']}; means over the training and validation sets, nats per example."
    history = History(record.history, best_epoch=chosen["best_epoch"])

    def draw(sheet: Sheet) -> None:
        plots.learning_curves(history, figure=sheet)

    return Figure("curves", title, how, foot, svg=both_widths(draw, "curves", title))


def diagram(record: Record) -> Figure:
    """The plate diagram of the chosen model."""
    how = (
        "Solid arrows: how the model generates x. Dashed arrows: what the encoder reads to infer a latent. Grey is "
        "observed, white is latent."
    )
    if record.recipe is None:
        why = f"No diagram: runs/{record.study['chosen']}/recipe.yaml is missing from the study folder."
        return Figure("diagram", "The model", how, missing=why)
    model = plots.graph(record.recipe)
    blocks = count(len(model.blocks), "latent block")
    context = f" given {', '.join(model.context)}" if model.context else ""
    title = f"The model as a graph: {blocks}, {count(record.chosen['parameters'], 'parameter')}{context}"
    n = record.study["data"]["sizes"].get("train")
    recipe = record.recipe

    def draw(sheet: Sheet) -> None:
        plots.plate_diagram(recipe, n=n, ax=sheet.subplots())

    return Figure("diagram", title, how, svg=both_widths(draw, "diagram", title))
