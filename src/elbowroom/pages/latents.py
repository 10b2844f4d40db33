"""What the latents do: the KL of each, and examples in latent space."""

import math
from collections.abc import Sequence

import numpy as np

from elbowroom import plots
from elbowroom.numerics import count, rounded
from elbowroom.plots.style import Sheet, describe
from elbowroom.records import LatentRecord, StudyRecord

from . import words
from .embedding import both_widths
from .figure import Figure

__all__ = ["directions", "kl", "kl_figure", "latent_map"]

_UMAP = "two coordinates of "


def kl(study: StudyRecord) -> Figure:
    """KL per latent of the chosen model."""
    return kl_figure(study.evidence.latents)


def kl_figure(latents: LatentRecord) -> Figure:
    """KL per latent."""
    used, values = sum(latents.active), latents.kl
    if values is None:
        why = f"{used} of {len(latents.active)} latents are active; this prior and this posterior "
        why += "have no KL in closed form that could be divided among them."
        return Figure("kl", "The KL is not divided among the latents", "", missing=why)
    title = _kl_title(latents, values)
    how = (
        "Each dot is one latent's KL from posterior to prior, averaged over examples. Hollow: inactive, the "
        "encoder's mean hardly varies with x; a hollow dot with a KL above 0 has a posterior that differs from the "
        "prior in much the same way for every x."
    )
    if not latents.kl_decides:
        how += f" Active: the encoder's mean varies by more than {latents.threshold:g} over examples."
    foot = f"{words.examples(latents.n, 'held-out')}."
    if not all(map(math.isfinite, values)):
        return Figure("kl", title, how, missing="No figure: the KL of some latents is not a finite number.")
    line = latents.threshold if latents.kl_decides else None

    def draw(sheet: Sheet) -> None:
        plots.kl_per_latent(latents, threshold=line, ax=sheet.subplots())

    return Figure("kl", title, how, foot, svg=both_widths(draw, "kl", title))


def _kl_title(latents: LatentRecord, values: Sequence[float]) -> str:
    """How many latents carry nearly all of the KL, how many are active, and the KL of all and of the active ones."""
    used, whole = sum(latents.active), rounded(sum(values), 1)
    said = f"{words.latents_text(latents)}; the KL of all is {whole} nats"
    if used in (0, len(values)):
        return said
    own = rounded(sum(kl for kl, one in zip(values, latents.active, strict=True) if one), 1)
    return f"{said}, {own} of it in the active {'one' if used == 1 else 'ones'}"


def latent_map(study: StudyRecord) -> Figure:
    """Encoder means in the plane, coloured by label."""
    axes, neighbours = study.evidence.latents.axes, study.evidence.latents.neighbours
    points, labels = study.pictures.latent_map, study.pictures.latent_labels
    shown = count(min(len(points), plots.MAP_LIMIT))
    if neighbours:
        z, x = (words.share(value, neighbours.n) for value in (neighbours.z, neighbours.x))
        title = f"Neighbours in z tell the label for {z} of examples, neighbours in x for {x}"
        foot = f"{shown} points; accuracy of {neighbours.k} nearest neighbours, n = {count(neighbours.n)}."
    else:
        title = f"{shown} held-out examples in latent space, along {axes}"
        foot = f"{shown} points; no nearest-neighbour accuracy, because the data have no labels."
    how = f"Each point is an example's encoder mean ({axes}). Points that lie together look alike to the model"
    how += "; a label's name stands at its median." if (labels >= 0).any() else "."
    if axes.startswith(_UMAP):
        how += " UMAP keeps who is near whom: how far groups lie apart, and how large they are, says little."

    if not np.isfinite(points[: plots.MAP_LIMIT]).all(axis=1).any():
        return Figure("map", title, how, missing="No map: the encoder's mean is not finite for any point.")

    names = study.data.label_names

    def draw(sheet: Sheet) -> None:
        ax = plots.latent_map(points, labels, names=names, axes=axes, ax=sheet.subplots())
        describe(ax, str(ax.get_label()), *directions(axes))

    return Figure("map", title, how, foot, svg=both_widths(draw, "map", title))


def directions(axes: str) -> tuple[str, str]:
    """What runs across and what runs up."""
    if axes.startswith(_UMAP):
        rest = axes.removeprefix(_UMAP)
        return f"first coordinate of {rest}", f"second coordinate of {rest}"
    if axes.startswith("first two "):
        rest = axes.removeprefix("first two ").replace("components", "component")
        return f"first {rest}", f"second {rest}"
    across, _, up = axes.partition(", ")
    return across, up
