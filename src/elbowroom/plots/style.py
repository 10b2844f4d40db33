"""What all plots share: palette and type, axes without clutter, names beside rows, keys, and sheets that grow."""

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, MaxNLocator, StrMethodFormatter
from matplotlib.transforms import BboxBase, offset_copy

from elbowroom.numerics import rounded
from elbowroom.numerics._standard_errors import standard_errors

INK, SOFT, RULE, ACCENT, PAPER, BAND = "#1b1f24", "#59616b", "#dfe3e8", "#0b6b75", "#ffffff", "#eceff2"

# M. A. Petroff, "Accessible color sequences for data visualization" (2021): ten colours, told apart by
# colour-blind readers, of differing lightness.
LABELS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")

# Names come from users, and "$" stands in some of them: no text is read as mathematics.
STYLE: Any = {"text.parse_math": False, "text.usetex": False, "text.color": INK}
STYLE |= {"figure.constrained_layout.w_pad": 0.02, "figure.constrained_layout.h_pad": 0.06}

KEY: Any = {"fontsize": 11, "frameon": False, "handlelength": 1.7, "columnspacing": 1.5, "handletextpad": 0.5}
KEY |= {"borderpad": 0, "borderaxespad": 0, "labelcolor": INK}
"""How every key looks."""

_NARROW = 380.0  # points across the axes
_FACE = 0.57  # mean width of a character over the size of the type, in the widest system faces


class Sheet(Figure):
    """A figure that takes the height its plot asks for, and is saved on its own paper whatever style is in force."""

    def savefig(self, fname: Any, *, transparent: bool | None = None, **options: Any) -> None:
        """As any figure; `transparent` leaves the paper out."""
        clear = matplotlib.rcParams["savefig.transparent"] if transparent is None else transparent
        super().savefig(fname, transparent=clear, **({} if clear else {"facecolor": "auto"}) | options)


def new_figure() -> Figure:
    """A sheet that a notebook shows."""
    from matplotlib import pyplot

    return pyplot.figure(FigureClass=Sheet, figsize=(7.2, 4.0), layout="constrained", facecolor=PAPER)


@contextlib.contextmanager
def canvas(ax: Axes | None, height: float = 0, narrow: float = 0, *, grid: str = "y", log: str = "") -> Iterator[Axes]:
    """`ax`, or a new one, made tidy: only the axis below is drawn, values are read off pale lines.

    A figure without a layout engine gets one, since names and numbers beside the axes need room; on a figure that is no
    sheet of ours, which may be dark, the axes have a face of paper. Heights in points hold for sheets of wide and of
    narrow axes. grid: the axes whose ticks have lines; log: those
    that are logarithmic.
    """
    with matplotlib.rc_context(STYLE):
        ax = new_figure().subplots() if ax is None else ax
        if isinstance(ax.figure, Sheet) and height:
            ax.figure.set_figheight((narrow if narrow and is_narrow(ax) else height) / 72)
        root = ax.get_figure(root=True)
        if root is not None and root.get_layout_engine() is None:
            root.set_layout_engine("constrained")
        ax.set(facecolor="none" if isinstance(root, Sheet) else PAPER, axisbelow=True)
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.spines.bottom.set(color=SOFT, visible=bool(grid))
        ax.tick_params(length=0, pad=5, colors=outside(ax, SOFT), labelsize=11)
        ax.set(**dict.fromkeys((f"{name}scale" for name in log), "log"))
        ax.minorticks_off()
        for name, axis, most in (("x", ax.xaxis, max(3, int(room(ax) / 55))), ("y", ax.yaxis, 6)):
            axis.set_major_locator(LogLocator(numticks=8) if name in log else MaxNLocator(most, steps=[1, 2, 5, 10]))
            if name in grid:
                axis.grid(color=RULE, linewidth=1)
            axis.set_major_formatter(StrMethodFormatter("{x:,g}") if name in log else Plain("{x:,g}"))
        yield ax


class Plain(StrMethodFormatter):
    """All ticks with the decimals that the step between them needs."""

    def format_ticks(self, values: Any) -> list[str]:
        """Texts of all ticks of an axis."""
        step = np.diff(values).min(initial=np.inf)
        if not 0 < step < np.inf:
            return super().format_ticks(values)
        return [rounded(float(value), max(0, -math.floor(math.log10(step) + 1e-9))) for value in values]


def outside(ax: Axes, colour: str) -> str:
    """A colour for words beside the axes: as given on a light figure, pale on a dark one."""
    *face, opacity = to_rgba(ax.get_figure(root=True).get_facecolor())  # type: ignore[union-attr]
    return RULE if opacity > 0.5 and np.dot(face, (0.299, 0.587, 0.114)) < 0.5 else colour


def room(ax: Axes) -> float:
    """Points across the axes."""
    return float(ax.bbox.width * 72 / ax.figure.dpi)


def is_narrow(ax: Axes) -> bool:
    """Whether names must stand above their rows."""
    return room(ax) < _NARROW


def describe(ax: Axes, about: str, across: str = "", up: str = "") -> None:
    """Names of the axes, that of the one upwards above it; and in the label of `ax` what the plot says, in words."""
    plain: Any = {
        "color": outside(ax, SOFT),
        "fontsize": 12,
        "parse_math": False,
        "usetex": False,
    }  # older than this canvas
    ax.set_xlabel(across, loc="right", labelpad=6, **plain)
    ax.set_title(up, loc="left", pad=8, **plain)
    ax.set_label(about)


def note(ax: Axes, text: str, place: Any, aside: Any = (0, 0), xycoords: Any = "data", **look: Any) -> Annotation:
    """Text so many points aside of a place, with a rim in the paper's colour, readable over marks."""
    options: Any = {"va": "center", "annotation_clip": False, "fontsize": 11, "color": SOFT} | look
    words = ax.annotate(text, place, aside, xycoords, "offset points", **options)
    words.set_path_effects([withStroke(linewidth=3.5, foreground=PAPER)])
    return words


def fits(text: Annotation, places: Iterable[tuple[float, float]], taken: list[Any], frame: BboxBase | None) -> bool:
    """Whether the text found one of the places aside free, inside the frame; then it stands there, and takes it."""
    for x, y in places:
        text.set(position=(x, y), horizontalalignment="left" if x > 0 else "right" if x else "center")
        box = text.get_window_extent()
        if (frame is None or (frame.contains(*box.min) and frame.contains(*box.max))) and not box.count_overlaps(taken):
            taken.append(box)
            return True
    return False


def name_row(ax: Axes, level: float, *words: str, above: float = 0, aside: Any = (10, 8), **look: Any) -> None:
    """Name, number and detail of a row, beside the axes by `aside` points; above the row where the axes are narrow."""
    name, number, detail = (*words, "", "")[:3]
    above *= is_narrow(ax)
    left, right, width = ("left", "right", room(ax) - 70) if above else ("right", "left", 0.38 * room(ax))
    look = {"xycoords": ("axes fraction", "data"), "fontsize": 13, "color": INK} | look
    if above:  # lines of the axes run there; marks stand close below
        look["bbox"] = {"facecolor": PAPER, "edgecolor": "none", "pad": -2}
    note(ax, number, (1, level), (aside[1], above), ha=right, **look | {"color": INK})
    if detail and not above:
        note(ax, short(detail, width, 11), (0, level), (-aside[0], -7), look["xycoords"], ha=left)
    beside = (0, above) if above else (-aside[0], 7 * bool(detail))
    note(ax, short(name, width, 13), (0, level), beside, ha=left, **look)


def key(ax: Axes, handles: Sequence[Any], lift: float = 4.0, right: bool = False) -> None:
    """A key above the axes, in as many rows as it takes."""
    wide = [0.54 * 11 * len(handle.get_label()) + 42 for handle in handles]
    fitting = [n for n, _ in enumerate(wide, 1) if sum(map(max, np.array_split(wide, n))) < room(ax) + 66]
    raised = offset_copy(ax.transAxes, ax.get_figure(root=True), y=lift, units="points")
    place: Any = {"loc": "lower right" if right else "lower left", "bbox_to_anchor": (right, 1)}
    ax.legend(
        handles=handles,
        bbox_transform=raised,
        ncols=max(fitting, default=1),
        **place,
        **KEY | {"labelcolor": outside(ax, INK)},
    )


def interval(error: float, points: int | None = None) -> float:
    """Half the 95 % interval of a standard error; nothing where that is not known.

    By Student's t where the error is that of a mean over so many points, else by the normal's 1.96.
    """
    wide = 1.96 if points is None or points < 2 else standard_errors(points)
    return wide * error if math.isfinite(error) else 0.0


def interval_of(value: Any) -> float:
    """Half the 95 % interval of a mean over examples, whose number counts where it is kept."""
    return interval(value.se_total, len(value) if hasattr(value, "__len__") else None)


def label_colour(index: int) -> str:
    """The colour of label `index`, the same in every figure; grey for −1, which means no label."""
    return SOFT if index < 0 else LABELS[index % len(LABELS)]


def short(text: str, width: float, size: float = 12) -> str:
    """`text`, cut with an ellipsis where it would be wider than `width` points."""
    most = max(int(width / (_FACE * size)), 2)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
