"""Two figures from the records: σ² over training, and the units in use against a fixed σ²."""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from models import HERE, records

from elbowroom.plots.style import INK, canvas, describe, key, label_colour


def run() -> None:
    """figures/over_training.svg and figures/collapse_<data>.svg."""
    (HERE / "figures").mkdir(exist_ok=True)
    for name, figure in (("over_training", over_training), ("collapse_digits", collapse), ("collapse_mnist", collapse)):
        if (HERE / "records" / f"{name}.json").exists():
            with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
                figure(name).figure.savefig(HERE / "figures" / f"{name}.svg", metadata={"Date": None})


def over_training(name: str) -> Axes:
    rows = records(name)
    starts = sorted({row["start_sigma2"] for row in rows})
    with canvas(None, 340, log="y") as ax:
        for row in rows:
            ax.plot(
                row["epochs"], np.mean(row["sigma2"], 1), color=label_colour(starts.index(row["start_sigma2"])),
                linestyle="-" if row["network"] == "deep" else (0, (4, 2)), linewidth=2,
                label=f"{row['network']}, from {row['start_sigma2']:g}",
            )  # fmt: skip
        key(ax, ax.get_lines(), lift=24)
        describe(ax, "σ² over training, by network and first value.", "epoch", "σ², digits, ten latents")
    return ax


def collapse(name: str) -> Axes:
    rows = [row for row in records(name) if row["noise"] == "fixed"]
    across = rows[0]["sigma2"]
    with canvas(None, 340, log="x") as ax:
        ax.plot(across, rows[0]["eigenvalues_above"], color=INK, linestyle=(0, (2, 4)),
                label="eigenvalues above σ², of the first 20")  # fmt: skip
        for number, row in enumerate(rows):
            active = [np.mean(units) for units in row["active"]]
            ax.plot(across, active, color=label_colour(number), linewidth=2, label=f"{row['network']} decoder")
        key(ax, ax.get_lines(), lift=24)
        up = f"active units of 20, {name.removeprefix('collapse_')}"
        describe(ax, "Units in use against a fixed σ².", "σ², fixed", up)
    return ax
