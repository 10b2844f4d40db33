"""What all plots share: palette and type, axes without clutter, names beside rows, keys, and sheets that grow."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import Formatter, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from elbowroom.numerics import rounded

__all__ = [
    "ACCENT",
    "BAND",
    "INK",
    "LABELS",
    "PAPER",
    "RULE",
    "SOFT",
    "STYLE",
    "Sheet",
    "canvas",
    "grow",
    "halo",
    "interval",
    "is_narrow",
    "key",
    "label_colour",
    "name_axes",
    "name_row",
    "new_figure",
    "room",
    "short",
    "tidy",
]

INK, SOFT, RULE, ACCENT, PAPER, BAND = "#1b1f24", "#59616b", "#dfe3e8", "#0b6b75", "#ffffff", "#eceff2"

# M. A. Petroff, "Accessible color sequences for data visualization" (2021): ten colours, told apart by
# colour-blind readers, of differing lightness.
LABELS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")

STYLE: Any = {
    "text.parse_math": False,  # names come from users, and "$" stands in some of them
    "text.usetex": False,
    "text.color": INK,
    "figure.constrained_layout.w_pad": 0.02,
    "figure.constrained_layout.h_pad": 0.06,
}
_NARROW = 380.0  # points across the axes
_WIDE_FACE = 0.57  # mean width of a character over the size of the type, in the widest system faces


class Sheet(Figure):
    """A figure that takes the height its plot asks for."""


def new_figure() -> Figure:
    """A sheet that a notebook shows."""
    from matplotlib import pyplot

    return pyplot.figure(FigureClass=Sheet, figsize=(7.2, 4.0), layout="constrained")


@contextlib.contextmanager
def canvas(ax: Axes | None, height: float, narrow_height: float | None = None, grid: Any = "y") -> Iterator[Axes]:
    """`ax`, or a new one, made tidy; heights in points hold for sheets of wide and of narrow axes."""
    with matplotlib.rc_context(STYLE):
        ax = new_figure().subplots() if ax is None else ax
        grow(ax, narrow_height or height if is_narrow(ax) else height)
        tidy(ax, grid)
        yield ax


def grow(ax: Axes, height: float) -> None:
    """Make a sheet as tall as its plot needs, in points; other figures keep their size."""
    sheet = ax.get_figure()
    if isinstance(sheet, Sheet):
        sheet.set_figheight(height / 72)


def room(ax: Axes) -> float:
    """Points across the axes."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return float(ax.get_position().width * figure.get_figwidth() * 72)


def is_narrow(ax: Axes) -> bool:
    """Whether names must stand above their rows."""
    return room(ax) < _NARROW


def tidy(ax: Axes, grid: Any = "y") -> None:
    """Only the axis below is drawn, values are read off pale lines, numbers are written as everywhere else."""
    ax.set_facecolor("none")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines.bottom.set_color(SOFT)
    ax.tick_params(length=0, colors=SOFT, labelsize=11)
    ax.set_axisbelow(True)
    for name, axis, most in (("x", ax.xaxis, max(3, int(room(ax) / 55))), ("y", ax.yaxis, 6)):
        axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(_Plain())
        if grid in (name, "both"):
            axis.grid(color=RULE, linewidth=1)


class _Plain(Formatter):
    """A true minus sign, commas between thousands, and the decimals that the step between ticks needs."""

    def __call__(self, value: float, pos: int | None = None) -> str:
        return rounded(value, 2)

    def format_ticks(self, values: Any) -> list[str]:
        steps = np.diff(values)
        digits = max(0, -math.floor(math.log10(steps.min()) + 1e-9)) if steps.size and steps.min() > 0 else 0
        return [rounded(float(value), digits) for value in values]


def name_axes(ax: Axes, across: str = "", up: str = "") -> None:
    """The axes' names, that of the one upwards above it, where it is read without turning the head."""
    ax.set_xlabel(across, loc="right", color=SOFT, fontsize=12, labelpad=6)
    ax.set_title(up, loc="left", color=SOFT, fontsize=12, pad=8)


def name_row(
    ax: Axes,
    level: float,
    name: str,
    *,
    detail: str = "",
    number: str = "",
    colour: str = INK,
    bold: bool = False,
    above: float | None = None,
    aside: tuple[float, float] = (10.0, 8.0),
) -> None:
    """Name and number of a row: beside the axes, or `above` the row by so many points where the axes are narrow.

    aside: points from the ends of the axes to name and number beside them; above a row the number stands in its corner.
    """
    lift = above if above is not None and is_narrow(ax) else 0.0

    def write(said: str, end: int, place: tuple[float, float], size: int, shade: str, weight: str = "normal") -> None:
        halo(ax.annotate(
            said, (end, level), place, ("axes fraction", "data"), "offset points", va="center", fontsize=size,
            ha="left" if bool(end) != bool(lift) else "right", color=shade, weight=weight,
        ))  # fmt: skip

    weight = "bold" if bold else "normal"
    if lift:
        write(short(name, room(ax) - 70, 13), 0, (0, lift), 13, colour, weight)
    else:
        write(short(name, 226, 13), 0, (-aside[0], 7 if detail else 0), 13, colour, weight)
        write(short(detail, 226, 11), 0, (-aside[0], -7), 11, SOFT)
    write(number, 1, (aside[1], lift), 13, INK, weight)


def key(ax: Axes, handles: Sequence[Any], lift: float = 4.0, right: bool = False) -> None:
    """A key above the axes, in as many rows as it takes."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    wide = [0.54 * 11 * len(handle.get_label()) + 42 for handle in handles]
    columns = [n for n in range(1, len(wide) + 1) if sum(map(max, np.array_split(wide, n))) < room(ax) + 66]
    raised = ax.transAxes + ScaledTranslation(0, lift / 72, figure.dpi_scale_trans)
    ax.legend(
        handles=handles, loc="lower right" if right else "lower left", bbox_to_anchor=(right, 1),
        bbox_transform=raised, fontsize=11, ncols=max(columns, default=1), frameon=False, handlelength=1.7,
        borderpad=0, borderaxespad=0, columnspacing=1.5, handletextpad=0.5,
    )  # fmt: skip


def halo(text: Text) -> Text:
    """The text with a rim in the paper's colour, readable over marks."""
    text.set_path_effects([withStroke(linewidth=3.5, foreground=PAPER)])
    return text


def interval(error: float) -> float:
    """Half the 95 % interval of a standard error; nothing where that is not known."""
    return 1.96 * error if math.isfinite(error) else 0.0


def label_colour(index: int) -> str:
    """The colour of label `index`, the same in every figure; grey for −1, which means no label."""
    return SOFT if index < 0 else LABELS[index % len(LABELS)]


def short(text: str, width: float, size: float = 12) -> str:
    """`text`, cut with an ellipsis where it would be wider than `width` points."""
    most = max(int(width / (_WIDE_FACE * size)), 2)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
