"""Learning curves: objective, rate and distortion over epochs, training beside validation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from elbowroom.numerics import InputError, rounded

from .style import ACCENT, BAND, INK, KEY, SOFT, Sheet, canvas, describe, new_figure

_PANELS = {"objective": "objective (minimised)", "rate": "rate (the KL)", "distortion": "distortion"}
_LOOKS: dict[str, dict[str, Any]] = {
    "validation": {"color": ACCENT, "linewidth": 2, "label": "validation", "zorder": 3},
    "train": {"color": SOFT, "linewidth": 1.4, "linestyle": (0, (4, 2)), "label": "training"},
}


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
    figure = new_figure() if figure is None else figure
    narrow = figure.bbox.width / figure.dpi < 6.5
    if isinstance(figure, Sheet):
        figure.set_figheight((570 if narrow else 240) / 72)
    axes = figure.subplots(*(3, 1) if narrow else (1, 3))
    for ax, part in zip(axes, _PANELS, strict=True):
        _panel(ax, history, part, _scheduled(history.rows))
    handles, place = axes[0].get_legend_handles_labels()[0], {"loc": "outside upper left", "borderpad": 0.5}
    figure.legend(handles=handles, ncols=2 if narrow else 4, **KEY | place)
    axes[0].set_label(_said(history))
    return np.asarray(axes)


def _panel(ax: Axes, history: Any, part: str, warm: float | None) -> None:
    epochs = _column(history.rows, "epoch")
    values = np.array([_column(history.rows, part, of) for of in _LOOKS])
    values[~np.isfinite(values)] = np.nan
    late = values[:, len(epochs) // 20 :]  # the first twentieth of the epochs alone may run out of the panel
    with canvas(ax) as ax:
        for one, look in zip(values, _LOOKS.values(), strict=True):
            seen = np.isfinite(one)
            ax.plot(epochs[seen], one[seen], marker="o" if seen.sum() == 1 else "", **look)
        if np.isfinite(late).any():
            pad = 0.06 * (np.nanmax(late) - np.nanmin(values)) or 1.0
            ax.set_ylim(np.nanmin(values) - pad, np.nanmax(late) + pad)
        ax.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=True))
        kept = f"kept: epoch {history.best_epoch}"
        ax.axvline(history.best_epoch, color=ACCENT, linewidth=1, linestyle=(0, (3, 3)), label=kept)
        if warm:
            ax.axvspan(epochs[0] - 0.5, warm, color=BAND, linewidth=0, zorder=0, label="schedule running")
        describe(ax, "", "epoch")
        ax.set_title(_PANELS[part], loc="left", fontsize=13, weight="bold", color=INK)


def _column(rows: Sequence[Any], name: str, of: str = "") -> NDArray[np.float64]:
    """A number of every epoch; NaN where it is missing."""
    return np.array([(row.get(of) or {} if of else row).get(name) for row in rows], dtype=np.float64)


def _scheduled(rows: Sequence[Any]) -> float | None:
    """The last epoch before a number of the objective's own came to rest; None where none moved and then rested."""
    columns = [_column(rows, name, "train") for name in set(rows[-1].get("train") or {}) - set(_PANELS)]
    ends = [np.flatnonzero(~np.isclose(column, column[-1], 1e-9, 0)).max(initial=-1) for column in columns]
    return max((float(rows[end]["epoch"]) for end in ends if 0 <= end < len(rows) - 2), default=None)


def _said(history: Any) -> str:
    kept = [row for row in history.rows if row["epoch"] == history.best_epoch] or history.rows[-1:]
    ends = ", ".join(f"{part} {rounded(_column(kept, part, 'validation')[0], 1)}" for part in _PANELS)
    return f"{len(history.rows)} epochs; at the kept epoch {kept[0]['epoch']}, on validation: {ends} nats per example."
