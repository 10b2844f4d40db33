"""Two figures: the information over β, and pictures of segments and of colours drawn."""

import math
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from colours import LEVELS, cifar, joined
from run import CLASSES, FREE, GRID, trained
from segments import clusters, mean_colours, segmented
from shelf import HERE, key, models
from torch import Tensor

from elbowroom.distributions import simulate
from elbowroom.plots import Series, lines

SHOWN = (4, 5, 9, 12, 13, 18, 20, 24, 27, 35, 40, 45)
LUMA, VIVID = 0.55, 2.0  # of a segment in the pictures: the mean chroma of its class, that much further from grey
ROWS: dict[str, Any] = {
    "weak, β = 1": key("weak"), "strong, β = 1": key("strong"), f"strong, {FREE:g} free": key("strong", free=FREE),
    "strong, β = 0.1": key("strong", 0.1), "strong, by log p": key("strong", by="evidence"),
}  # fmt: skip
DRAWN: dict[str, Any] = {
    "no z": key("blind strong"), "β = 1": key("strong"), "by log p": key("strong", by="evidence")
}  # fmt: skip


def curves() -> None:
    """curves.svg, from the record."""
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    with matplotlib.rc_context({"svg.hashsalt": "colourisation", "svg.fonttype": "none"}):
        figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
        up = "nats per image"
        lines([*over_beta("information"), most()], across="β", up=f"I(colour; z | grey), {up}", log_x=True, ax=left)
        lines(over_beta("gain"), across="β", up=f"log p over no segmentation, {up}", log_x=True, ax=right)
        figure.savefig(HERE / "curves.svg", metadata={"Date": None})
        plt.close(figure)


def segments(runs: Path) -> None:
    """segments.png, of the trained models."""
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(10.9, 0.7 * (len(ROWS) + len(DRAWN) + 3)), layout="constrained")
    pictures(runs, ax)
    figure.savefig(HERE / "segments.png", dpi=90, metadata={"Software": None})
    plt.close(figure)


def over_beta(what: str) -> list[Series]:
    """Of both decoders over β, trained by the ELBO with nothing free, and of the strong one trained by log p itself."""
    weak, strong = (series(f"{decoder}, by the ELBO", decoder, "sums", what) for decoder in ("weak", "strong"))
    return [weak, strong, series("strong, by log p itself", "strong", "evidence", what, look="points")]


def series(name: str, decoder: str, by: str, what: str, **more: Any) -> Series:
    """Over β, of the first seed."""
    rows = [r for r in models() if (r["decoder"], r["by"], r["free"], r["seed"]) == (decoder, by, 0, 0)]
    values = [r[what]["by posterior"] if what == "information" else r[what] for r in rows]
    return Series(name, [r["beta"] for r in rows], [v[0] for v in values], [v[1] for v in values], **more)


def most() -> Series:
    """What a grid of classes can hold."""
    betas = [row["beta"] for row in models()]
    return Series("64 log 6", [min(betas), max(betas)], 2 * [GRID**2 * math.log(CLASSES)], look="dashed")


def pictures(runs: Path, ax: Any) -> None:
    """Columns of test images: grey, colour, segments by model, and colours drawn."""
    examples = cifar().test[list(SHOWN)]
    batch = examples.batch()
    grey, true = batch.context["grey"], batch.x
    shown = {"grey": joined(grey, torch.full_like(true, LEVELS / 2)), "colour": joined(grey, true)}
    every = cifar().test
    for name, about in ROWS.items():
        vae = trained(runs, **about)
        own = mean_colours(segmented(vae, every), every.x, CLASSES)
        shown[name] = in_colour(segmented(vae, examples), own)
    found = clusters(cifar(), "colour", CLASSES, GRID)[1]
    shown["k-means of colours"] = in_colour(found[list(SHOWN)], mean_colours(found, every.x, CLASSES))
    for name, about in DRAWN.items():
        shown[f"drawn, strong: {name}"] = joined(grey, drawn(trained(runs, **about), examples))
    tiles(shown, ax)


@torch.no_grad()
def drawn(vae: Any, examples: Any) -> Tensor:
    """Colours of p(colour | z, grey), [n, 2, H, W], z drawn from p(z | grey)."""
    given = vae.draw_prior(len(examples), 0, {"grey": examples.context["grey"]})
    return simulate(vae.likelihood(given), torch.Generator().manual_seed(1))[0]


def in_colour(segments: Any, colours: Any) -> Tensor:
    """Images [n, 3, H, W] of segments, each in the colour of its class, at one brightness."""
    levels = LEVELS / 2 + VIVID * (torch.from_numpy(colours).float() - LEVELS / 2)
    of_cells = levels[torch.from_numpy(np.asarray(segments))].movedim(-1, 1)
    full = of_cells.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return joined(torch.full_like(full[:, :1], LUMA), full)


def tiles(shown: dict[str, Tensor], ax: Any) -> None:
    """Rows of images with their names at the left."""
    rows = [torch.cat(list(torch.nn.functional.pad(images, (0, 1, 0, 1), value=1.0)), -1) for images in shown.values()]
    ax.imshow(torch.cat(rows, 1).movedim(0, -1).numpy(), interpolation="nearest")
    ax.set_yticks([17 * number + 8 for number in range(len(shown))], list(shown), fontsize=9)
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
