"""The figure of the page: evidence, clusters and batches along β and latent size, from the records."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from run import Record

PAGE = Path(__file__).parent / "along_beta.svg"
PANELS = ("IWAE", "in use", "silhouette", "ARI", "batch mixing", "error of means")
TITLES = {
    "IWAE": "held-out IWAE-500, nats a cell",
    "in use": "latents in use",
    "silhouette": "silhouette of planted clusters",
    "ARI": "ARI of k-means",
    "batch mixing": "batch mixing (1: fully)",
    "error of means": "error of denoised means",
}


def along(rows: list[dict[str, Any]], axis: str, **fixed: Any) -> dict[float, list[dict[str, Any]]]:
    """Rows by their place on one axis, at one value of the others."""
    kept = [row for row in rows if row["model"] == "SCVI" and all(row[name] == value for name, value in fixed.items())]
    return {place: [row for row in kept if row[axis] == place] for place in sorted({row[axis] for row in kept})}


def drawn(ax: Any, groups: dict[float, list[dict[str, Any]]], name: str) -> None:
    """Each seed a dot, their mean a line."""
    values = [[np.atleast_1d(row[name])[0] for row in rows] for rows in groups.values()]
    ax.plot(list(groups), [np.mean(one) for one in values], color="#35618e", lw=1)
    for place, one in zip(groups, values, strict=True):
        ax.plot([place] * len(one), one, "o", ms=3.5, color="#35618e")
    ax.set_xscale("log")
    ax.set_xticks(list(groups), [f"{place:g}" for place in groups])
    ax.minorticks_off()
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)


def against(rows: list[dict[str, Any]]) -> None:
    """Print what each point's IWAE is over that of β = 1, 10 latents and the same seed, on the same cells."""
    base = {row["seed"]: np.array(row["IWAE of each cell"]) for row in along(rows, "beta", latents=10)[1.0]}
    for row in rows:
        off = np.array(row["IWAE of each cell"]) - base[row["seed"]]
        place = (row["model"], row["beta"], row["latents"], row["seed"])
        print(*place, f"{off.mean():.2f} ± {off.std(ddof=1) / np.sqrt(len(off)):.2f}")


def main() -> None:
    against(Record.made("structure"))
    rows, classics = Record.made("structure"), {row["model"]: row for row in Record.made("classics")}
    truth = np.mean(Record.made("truth")[0]["of each cell"])
    figure, axes = plt.subplots(2, len(PANELS), figsize=(15, 4.6), layout="constrained")
    for line, (axis, fixed) in zip(axes, (("beta", {"latents": 10}), ("latents", {"beta": 1.0})), strict=True):
        for ax, name in zip(line, PANELS, strict=True):
            drawn(ax, along(rows, axis, **fixed), name)
            ax.set_title(TITLES[name], fontsize=8)
            ax.set_xlabel({"beta": "β, 10 latents", "latents": "latents, β = 1"}[axis], fontsize=8)
            for word, style in (("PCA", ":"), ("planted z", "--")):
                if name in classics[word]:
                    ax.axhline(classics[word][name], color="#777777", ls=style, lw=1, label=word)
            if name == "IWAE":
                ax.set_xlabel(f"{ax.get_xlabel()} (planted model: {truth:.1f})".replace("-", "−"), fontsize=8)
    axes[0, 2].legend(fontsize=7, frameon=False)
    plt.rcParams["svg.hashsalt"] = "cells"
    figure.savefig(PAGE, metadata={"Date": None})


if __name__ == "__main__":
    main()
