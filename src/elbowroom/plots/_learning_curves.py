"""Learning curves: objective, rate and distortion over epochs, training beside validation."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from elbowroom.numerics import InputError

from .style import ACCENT, BAND, INK, SOFT, STYLE, Sheet, canvas, describe, new_figure

_PANELS = {"objective": "objective (minimised)", "rate": "rate (the KL)", "distortion": "distortion"}
_LOOKS: dict[str, dict[str, Any]] = {
    "train": {"color": SOFT, "linewidth": 1.4, "linestyle": (0, (4, 2)), "label": "training"},
    "validation": {"color": ACCENT, "linewidth": 2, "label": "validation"},
}
_KEPT: dict[str, Any] = {"color": ACCENT, "linewidth": 1, "linestyle": (0, (3, 3))}


def learning_curves(history: Any, *, figure: Figure | None = None) -> NDArray[np.object_]:
    """Objective, rate and distortion over epochs in nats per example, training beside validation.

    A dashed line marks the epoch whose parameters were kept. Grey: a number of the objective is still on its
    schedule. The first epochs may run out of a panel at the top, so that the rest can be read.

    Parameters
    ----------
    history : History
        What `er.fit` returns.
    figure : Figure, default None
        Where to draw; None: a new one. Panels stand side by side where it is wide, else one under another.

    Returns
    -------
    array of Axes, [3]

    Raises
    ------
    InputError
        Where there is no epoch.

    Examples
    --------
    >>> from elbowroom.training import History
    >>> numbers = {"objective": 90.0, "rate": 10.0, "distortion": 80.0}
    >>> history = History([{"epoch": 1, "train": numbers, "validation": numbers}], best_epoch=1)
    >>> [ax.get_title("left") for ax in learning_curves(history)]
    ['objective (minimised)', 'rate (the KL)', 'distortion']
    """
    if not history.rows:
        raise InputError("The history has no epoch, so there are no curves to draw.")
    with matplotlib.rc_context(STYLE):
        figure = new_figure() if figure is None else figure
        narrow = figure.bbox.width / figure.dpi < 6.5
        if isinstance(figure, Sheet):
            figure.set_figheight((570 if narrow else 240) / 72)
        axes, warm = figure.subplots(*(3, 1) if narrow else (1, 3)), _scheduled(history.rows)
        for ax, part in zip(axes, _PANELS, strict=True):
            _panel(ax, history, part, warm)
        kept = Line2D([], [], label=f"kept: epoch {history.best_epoch}", **_KEPT)
        handles: list[Any] = [*axes[0].get_lines()[1::-1], kept]
        handles += [Patch(color=BAND, label="schedule running")] if warm else []
        figure.legend(handles=handles, loc="outside upper left", ncols=2 if narrow else 4, frameon=False, fontsize=11,
                      borderpad=0.5, borderaxespad=0, columnspacing=1.5, handlelength=1.7)  # fmt: skip
        axes[0].set_label(_said(history))
    return np.asarray(axes)


def _panel(ax: Axes, history: Any, part: str, warm: float | None) -> None:
    epochs = np.array([float(row["epoch"]) for row in history.rows])
    values = np.array([[_value(row, of, part) for row in history.rows] for of in _LOOKS])
    values[~np.isfinite(values)] = np.nan
    late = values[:, len(epochs) // 20 :]  # the first twentieth of the epochs alone may run out of the panel
    with canvas(ax) as ax:
        if warm:
            ax.axvspan(epochs[0] - 0.5, warm, color=BAND, linewidth=0, zorder=0)
        for one, look in zip(values, _LOOKS.values(), strict=True):
            seen = np.isfinite(one)
            ax.plot(epochs[seen], one[seen], marker="o" if seen.sum() == 1 else "", **look)
        if np.isfinite(late).any():
            pad = 0.06 * (np.nanmax(late) - np.nanmin(values)) or 1.0
            ax.set_ylim(np.nanmin(values) - pad, np.nanmax(late) + pad)
        ax.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=True))
        describe(ax, "", "epoch")
        ax.axvline(history.best_epoch, **_KEPT)
        ax.set_title(_PANELS[part], loc="left", fontsize=13, weight="bold", color=INK)


def _value(row: Mapping[str, Any], of: str, part: str) -> float:
    value = (row.get(of) or {}).get(part)
    return math.nan if value is None else float(value)


def _scheduled(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The last epoch before a number of the objective's own came to rest; None where none moved and then rested."""
    ends = []
    for name in set(rows[-1].get("train") or {}) - set(_PANELS):
        values = [_value(row, "train", name) for row in rows]
        ends += [i for i, value in enumerate(values) if not math.isclose(value, values[-1])][-1:]
    return max((float(rows[i]["epoch"]) for i in ends if i < len(rows) - 2), default=None)


def _said(history: Any) -> str:
    kept = next((row for row in history.rows if row["epoch"] == history.best_epoch), history.rows[-1])
    ends = ", ".join(f"{part} {_value(kept, 'validation', part):.1f}" for part in _PANELS).replace("nan", "unknown")
    return f"{len(history.rows)} epochs; at the kept epoch {kept['epoch']}, on validation: {ends} nats per example."
