"""What a table's samples look like: quantiles of the columns of numbers, shares of the columns of classes."""

from collections.abc import Sequence

import numpy as np

from elbowroom import plots
from elbowroom.numerics import count
from elbowroom.plots.style import Sheet
from elbowroom.records import ModelPictures, StudyRecord

from . import words
from .embedding import both_widths
from .figure import Figure

__all__ = ["model_quantiles", "table_figures"]

_MOST_COLUMNS = 12
_MOST_CLASSES = 8
_OF_MODEL = 8  # columns


def table_figures(study: StudyRecord) -> list[Figure]:
    """Quantile strips of the numbers and bars of the classes, whichever the table has."""
    return [figure for figure in (_quantiles(study), _shares(study)) if figure]


def model_quantiles(study: StudyRecord, pictures: ModelPictures, label: str, key: str) -> Figure | None:
    """Quantile strips of the samples of one model of the sweep.

    Parameters
    ----------
    study : StudyRecord
        Of a table.
    pictures : ModelPictures
        Of the model.
    label, key : str
        What the model and the figure are called.

    Returns
    -------
    Figure or None
        None where the table has no column of numbers.
    """
    kept = study.data.numeric_columns
    if not kept:
        return None
    drawn = {"held-out data": study.pictures.rows, f"samples at {label}": pictures.samples}
    few, which = kept, ""
    if len(kept) > _OF_MODEL:
        few, which = _few(study, kept)
    series = {name: _flat(values)[:, few] for name, values in drawn.items()}
    names = [study.data.column_names[i] for i in few]
    title = f"{label}: samples beside data{which}"

    def draw(sheet: Sheet) -> None:
        plots.quantile_strips(series, names, ax=sheet.subplots())

    return Figure(key, title, "", svg=both_widths(draw, key, title))


def _few(study: StudyRecord, kept: list[int]) -> tuple[list[int], str]:
    """Some columns, and which in words: of cells the genes that are counted most, as most others are all zeros."""
    if study.evidence.cells is None:
        return kept[:_OF_MODEL], f", first {_OF_MODEL} columns"
    means = np.nanmean(_flat(study.pictures.rows)[:, kept], 0)
    most = [kept[place] for place in np.argsort(-means, kind="stable")[:_OF_MODEL]]
    return most, f", the {_OF_MODEL} genes that are counted most"


def _flat(values: np.ndarray) -> np.ndarray:
    """[n, columns]."""
    return values.reshape(len(values), -1)


def _quantiles(study: StudyRecord) -> Figure | None:
    kept, pictures = study.data.numeric_columns, study.pictures
    if not kept:
        return None
    drawn = {"held-out data": pictures.rows, "ancestral samples": pictures.samples_ancestral}
    drawn["decoder means (same z)"] = pictures.samples_mean
    series = {name: _flat(values)[:, kept] for name, values in drawn.items()}
    names = [study.data.column_names[i] for i in kept]
    few = " of numbers" if study.data.classes else ""
    title = f"{count(len(names), 'column')}{few}: held-out data beside ancestral samples and decoder means"
    how = (
        "Thin: 5 to 95 % of the values; thick: 25 to 75 %; tick: the median. Samples should look like the data; "
        "decoder means are narrower, because a mean is no sample and hides the decoder's noise."
        + words.leak_words(study)
    )
    if len(names) > plots.COLUMN_LIMIT:
        how += f" The first {plots.COLUMN_LIMIT} of {len(names)} columns are drawn."

    def draw(sheet: Sheet) -> None:
        plots.quantile_strips(series, names, ax=sheet.subplots())

    return Figure("samples", title, how, _foot(study), svg=both_widths(draw, "samples", title))


def _shares(study: StudyRecord) -> Figure | None:
    classes, names = study.data.classes, study.data.column_names
    if not classes:
        return None
    data, samples = _flat(study.pictures.rows), _flat(study.pictures.samples_ancestral)
    columns = {
        names[i]: _of_column(known, data[:, i], samples[:, i]) for i, known in list(classes.items())[:_MOST_COLUMNS]
    }
    title = f"{count(len(classes), 'column')} of classes: their shares of held-out data and of ancestral samples"
    how = (
        "Each class has two bars, its share of the held-out rows above and of the model's samples below; they should "
        "be alike. Classes without an order have no mean, so there are no decoder means to show here."
    )
    if len(classes) > _MOST_COLUMNS:
        how += f" The first {_MOST_COLUMNS} of {len(classes)} columns are drawn."
    if any(len(known) > _MOST_CLASSES for known in classes.values()):
        how += f" Of a column with many classes the {_MOST_CLASSES} most frequent are drawn, the others together."
    series = ("held-out data", "ancestral samples")

    def draw(sheet: Sheet) -> None:
        plots.class_shares(columns, series, ax=sheet.subplots())

    return Figure("classes", title, how, _foot(study), svg=both_widths(draw, "classes", title))


def _of_column(names: Sequence[str], data: np.ndarray, samples: np.ndarray) -> dict[str, tuple[float, ...]]:
    """The most frequent classes in the data, and the others together."""
    known = (values[~np.isnan(values)].astype(int) for values in (data, samples))  # a missing cell is NaN
    counts = [np.bincount(codes, minlength=len(names)) / max(len(codes), 1) for codes in known]
    order = np.argsort(-counts[0], kind="stable")
    kept, rest = order[:_MOST_CLASSES], order[_MOST_CLASSES:]
    shares = {names[i]: tuple(float(one[i]) for one in counts) for i in kept}
    if rest.size:
        shares[count(int(rest.size), "other")] = tuple(float(one[rest].sum()) for one in counts)
    return shares


def _foot(study: StudyRecord) -> str:
    said = (
        f"n = {count(len(study.pictures.rows))} validation rows, "
        f"{count(len(study.pictures.samples_ancestral))} samples, seed {study.evidence.seed}."
    )
    if study.reconstruction.why_none:  # the part about variance says why
        return said
    return f"{said} Held-out reconstructions: {words.reconstruction_text(study)}."
