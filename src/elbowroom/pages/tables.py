"""What a table's samples look like: quantiles of the columns of numbers, shares of the columns of classes."""

import numpy as np

from elbowroom import plots
from elbowroom.numerics import count
from elbowroom.plots.style import Sheet

from . import verdicts
from .embedding import both_widths
from .panels import Figure, column_names, flat, held_out_rows, leak_words, numeric_columns
from .records import Record

__all__ = ["table_looks"]

_MOST_COLUMNS = 12
_MOST_CLASSES = 8


def table_looks(record: Record) -> list[Figure]:
    """Quantile strips of the numbers and bars of the classes, whichever the table has."""
    return [figure for figure in (_quantiles(record), _shares(record)) if figure]


def _quantiles(record: Record) -> Figure | None:
    kept = numeric_columns(record)
    if not kept:
        return None
    data, samples, means = (
        flat(values)[:, kept]
        for values in (held_out_rows(record), record.pictures["samples_ancestral"], record.pictures["samples_mean"])
    )
    series = {"held-out data": data, "ancestral samples": samples, "decoder means (same z)": means}
    names = [column_names(record)[i] for i in kept]
    few = "" if len(kept) == len(column_names(record)) else " of numbers"
    title = f"{count(len(names), 'column')}{few}: held-out data beside ancestral samples and decoder means"
    how = (
        "Thin: 5 to 95 % of the values; thick: 25 to 75 %; tick: the median. Samples should look like the data; "
        "decoder means are narrower, because a mean is no sample and hides the decoder's noise." + leak_words(record)
    )
    if len(names) > plots.COLUMN_LIMIT:
        how += f" The first {plots.COLUMN_LIMIT} of {len(names)} columns are drawn."

    def draw(sheet: Sheet) -> None:
        plots.quantile_strips(series, names, ax=sheet.subplots())

    return Figure("samples", title, how, _foot(record), svg=both_widths(draw, "samples", title))


def _shares(record: Record) -> Figure | None:
    classes = record.study["data"].get("classes") or {}
    if not classes:
        return None
    data, samples = flat(held_out_rows(record)), flat(record.pictures["samples_ancestral"])
    names = column_names(record)
    columns = {
        names[i]: _of_column(known, data[:, i], samples[:, i])
        for i, known in [(int(key), value) for key, value in classes.items()][:_MOST_COLUMNS]
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

    return Figure("classes", title, how, _foot(record), svg=both_widths(draw, "classes", title))


def _of_column(names: list[str], data: np.ndarray, samples: np.ndarray) -> dict[str, tuple[float, ...]]:
    """The most frequent classes in the data, and the others together."""
    counts = [np.bincount(values.astype(int), minlength=len(names)) / len(values) for values in (data, samples)]
    order = np.argsort(-counts[0], kind="stable")
    kept, rest = order[:_MOST_CLASSES], order[_MOST_CLASSES:]
    shares = {names[i]: tuple(float(one[i]) for one in counts) for i in kept}
    if rest.size:
        shares[count(int(rest.size), "other")] = tuple(float(one[rest].sum()) for one in counts)
    return shares


def _foot(record: Record) -> str:
    said = (
        f"n = {count(len(held_out_rows(record)))} held-out rows, "
        f"{count(len(record.pictures['samples_ancestral']))} samples, seed {record.study['draws']['seed']}."
    )
    if record.study["reconstruction"].get("why_none"):  # the part about variance says why
        return said
    return f"{said} Held-out reconstructions: {verdicts.reconstruction_text(record)}."
