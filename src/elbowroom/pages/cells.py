"""Cells on the page: posterior predictive checks, residuals by gene, and the map by batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from elbowroom import plots
from elbowroom.numerics import count, rounded, with_error
from elbowroom.plots.style import Sheet, describe
from elbowroom.records import CellsRecord, GeneRecord, StudyRecord

from .embedding import both_widths
from .figure import Figure
from .latents import directions

__all__ = ["GeneRow", "batch_map", "cell_figures", "gene_rows", "size_words"]

_STATISTICS = ("mean", "coefficient of variation", "share of zeros")
_OF_CELLS = ("total", *_STATISTICS[1:])
_SHORT = {"coefficient of variation": "CV", "share of zeros": "zeros"}


@dataclass(frozen=True)
class GeneRow:
    """One gene of the table, in words."""

    name: str
    mean: str
    predicted: str
    zeros: str
    zeros_predicted: str
    ratio: str
    surprise: str


def cell_figures(study: StudyRecord) -> list[Figure]:
    """The checks as one figure; none for data that are no cells."""
    cells, pictures = study.evidence.cells, study.pictures
    if cells is None or pictures.checks_genes is None or pictures.checks_cells is None:
        return []
    by = {(one.of, one.statistic): one for one in cells.checks}
    parts = {"genes": (_STATISTICS, pictures.checks_genes), "cells": (_OF_CELLS, pictures.checks_cells)}
    panels = {}
    for of, (names, values) in parts.items():
        for number, name in enumerate(names):
            if len(values):
                said = f"{of}: {_SHORT.get(name, name)}, {100 * by[of, name].inside:.0f} % inside"
                panels[said] = values[:, number]
    zeros, spread = by["genes", "share of zeros"], by["genes", "coefficient of variation"]
    title = (
        f"Replicates have the share of zeros of {100 * zeros.inside:.0f} % of the genes, and the coefficient of "
        f"variation of {100 * spread.inside:.0f} %"
    )
    how = (
        "Each point is a gene (above) or a cell (below): across its value in the held-out data, up the median of "
        "replicates with their 5 to 95 % interval; teal where the value lies outside. About 90 % would lie inside were "
        "the model right. CV: coefficient of variation; zeros: their share. Each replicate is drawn at a z from "
        "q(z | x) of the same cell, so that a fit here is needed and does not suffice."
    )
    foot = (
        f"{count(cells.columns, 'gene')}, {count(cells.rows, 'test cell')}, {cells.draws} replicates, seed "
        f"{study.evidence.seed}; shares are of all genes and cells, of which a seeded choice is drawn."
    )
    if not panels:
        return [Figure("checks", title, how, foot, missing="No figure: no statistic is finite.")]

    def draw(sheet: Sheet) -> None:
        plots.predictive_checks(panels, figure=sheet)

    return [Figure("checks", title, how, foot, svg=both_widths(draw, "checks", title))]


def gene_rows(cells: CellsRecord | None) -> list[GeneRow]:
    """The genes that fit least; none for data that are no cells."""
    return [] if cells is None else [_row(one) for one in cells.genes]


def _row(one: GeneRecord) -> GeneRow:
    return GeneRow(
        name=one.name,
        mean=rounded(one.mean, 3),
        predicted=rounded(one.predicted, 3),
        zeros=rounded(one.zeros, 3),
        zeros_predicted=rounded(one.zeros_predicted, 3),
        ratio=rounded(one.variance_ratio, 2),
        surprise=rounded(one.surprise, 1),
    )


def batch_map(study: StudyRecord) -> Figure | None:
    """The map of codes coloured by batch, where there are batches."""
    cells, marks = study.evidence.cells, study.pictures.latent_batches
    if cells is None or not cells.batches or marks is None:
        return None
    points = study.pictures.latent_map
    if not np.isfinite(points).all(1).any():
        return None
    names: Sequence[str] = cells.batches
    title = f"The same map by batch: {len(names):,} batches"
    how = (
        "Encoder means of the same cells, coloured by the batch that decoder and encoder are given. Batches that lie "
        "apart say that z still tells them apart; that they lie together says nothing of what was lost with them."
    )

    def draw(sheet: Sheet) -> None:
        ax = plots.latent_map(points, marks, names=names, axes=cells.map_axes, at_medians=False, ax=sheet.subplots())
        describe(ax, str(ax.get_label()), *directions(cells.map_axes))

    return Figure("batches", title, how, f"{len(points):,} test cells.", svg=both_widths(draw, "batches", title))


def size_words(study: StudyRecord) -> str:
    """What the score is given, and the bound on what is not."""
    cells, best = study.evidence.cells, study.evidence.best
    if cells is None:
        return ""
    if (size := study.evidence.latents.size) is not None:
        return (
            f"The size of a cell is a latent of its own, with a prior fitted to training totals: {rounded(size, 2)} "
            "nats of the rate are its, and it is not among the latents that are counted."
        )
    if cells.with_size is None:
        size = "size" in best.quantity
        return f"Every score here is {best.quantity}: of models that are given the size of each cell." * size
    value = with_error(cells.with_size.mean, cells.with_size.se_total)
    return (
        f"Every score here is {best.quantity}: of models that are given the size of each cell, and ranked among these "
        f"alone. With log p(size) added, by {cells.size_law}, {best.estimator} is a lower bound on "
        f"{cells.with_size.quantity}: {value} nats."
    )
