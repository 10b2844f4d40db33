"""What latent units change: as pictures, or by the columns that change most."""

from elbowroom import plots
from elbowroom.numerics import count, rounded
from elbowroom.plots import Span, to_bytes
from elbowroom.plots.style import Sheet
from elbowroom.records import ChangesRecord, PicturesRecord, UnitChangeRecord

from .embedding import both_widths
from .figure import Figure
from .strips import Strip

__all__ = ["changes_figure"]

_NARROW = 32  # pixels across, below which pictures fill half of the page


def changes_figure(own: ChangesRecord) -> Figure:
    """A row for each unit, those that carry most first.

    Parameters
    ----------
    own : ChangesRecord
        Of an audit's context.

    Returns
    -------
    Figure
        Pictures of images, and of tables the columns that change most.
    """
    most = max(own.units, key=lambda one: one.size)
    title = (
        f"{_name(most)} changes x most: by {rounded(most.size, 2)} of a column\u2019s deviation, from one deviation of "
        f"the unit below its place to one above"
    )
    by = "that vary most" if most.kl is None else "of the greatest KL"
    foot = f"n = {count(own.n)} test examples for the numbers; the {count(len(own.units), 'unit')} {by}."
    if own.pictures is not None:
        return _pictures(own, own.pictures, title, foot)
    how = (
        "Each unit is moved from one standard deviation below the mean of q(z | x) to one above, all others held at "
        "theirs; a bar is what that does to the mean of p(x | z), in standard deviations of the column. The three "
        "columns that change most."
    )
    rows = [span for unit in own.units for span in _spans(unit)]

    def draw(sheet: Sheet) -> None:
        plots.spans(rows, axis="change, standard deviations of the column", ax=sheet.subplots())

    return Figure("changes", title, how, foot, svg=both_widths(draw, "changes", title))


def _name(unit: UnitChangeRecord) -> str:
    return f"z{unit.unit + 1}"


def _spans(unit: UnitChangeRecord) -> list[Span]:
    return [
        Span(f"{_name(unit)}: {column}", 0.0, by, f"{by:+.2f}".replace("-", "−"))
        for column, by in zip(unit.columns, unit.changes, strict=True)
    ]


def _pictures(own: ChangesRecord, found: PicturesRecord, title: str, foot: str) -> Figure:
    shape = found.shape[2:]
    rows = [to_bytes(row, shape, (0.0, 255.0)) for row in found.values.reshape(*found.shape[:2], -1)]
    steps = ", ".join(f"{step:+g}" if step else "0" for step in found.steps)
    names = tuple(f"{_name(unit)}: {rounded(unit.size, 2)}" for unit in own.units)
    how = (
        f"One test example, decoded with one unit moved by {steps} standard deviations of its draws, all others held "
        f"at the mean of q(z | x). A row is a unit, named with the size of its change."
    )
    alt = f"{', '.join(names)}, each moved by {steps} standard deviations"
    share = 50.0 if shape[-1] <= _NARROW else 100.0
    strip = Strip(plots.mosaic(rows, max(1, round(shape[-1] / 14))), alt, names, share)
    return Figure("changes", title, how, f"{foot} The example is the first of a seeded draw.", strips=[strip])
