"""Can colourisation learn a latent segmentation? Colour of CIFAR-10 given grey, with a grid of classes between.

    python reproductions/colourisation/run.py models --runs FOLDER [--seconds 800]   # records/models.json, row by row
    python reproductions/colourisation/run.py few [--seconds 800]                    # records/few.json, by 500 images
    python reproductions/colourisation/run.py curves                                 # curves.svg, from the record
    python reproductions/colourisation/run.py pictures --runs FOLDER                 # segments.png, of trained models
    python reproductions/colourisation/run.py tables                                 # the README's tables

A row that is there is not made again; `--seconds` begins no further row after so long. FOLDER keeps the trained models,
which the pictures are of. CIFAR-10 is read from ELBOWROOM_DATA, or fetched.
"""

import argparse
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from colours import TRAIN, cifar
from models import CHANNELS, GRID, HIDDEN, RADIUS, Plan, vae
from safetensors.torch import load_file, save_file
from segments import PATCHES, of_clusters, of_model
from shelf import HERE, Record, key, named
from sums import ByEvidence, BySums, cells_of, joint
from torch import Tensor

import elbowroom as er
from elbowroom.objectives import Elbo, Objective

CLASSES, EPOCHS, BATCH, LR = 6, 12, 50, 3e-3
SIMULATED, DRAWS = 500, (1, 4, 16, 64, 256)
SETTINGS: dict[str, Any] = {
    "classes": CLASSES, "grid": GRID, "train": TRAIN, "epochs": EPOCHS, "batch": BATCH, "lr": LR, "channels": CHANNELS,
    "radius": RADIUS, "hidden": HIDDEN,
}  # fmt: skip
FEW_IMAGES = (500, 100)
FREE, SCORES, WARM = 0.35, 4, 0.1
"""Nats of a cell that are free; draws of a step by scores; the β at which warm models were trained before."""


MODELS = [
    key("blind weak"), key("blind strong"),
    key("weak"), key("strong"), key("strong", 0.1), key("weak", 0.1),
    key("strong", free=FREE), key("strong", by="evidence"), key("strong", seed=1), key("strong", by="evidence", seed=1),
    key("strong", by="warm"), key("weak", 10.0), key("strong", 0.3), key("weak", by="scores"),
    key("strong", 0.1, seed=1), key("weak", seed=1), key("strong", 0.03), key("weak", 3.0), key("blind strong", seed=1),
]  # fmt: skip
FEW = [key("strong", by=by, seed=seed) for seed in (0, 1) for by in ("sums", "evidence")]


def objective(beta: float, free: float, by: str) -> Objective:
    """By sums over all segmentations ("warm": from a model that was trained so at another β), or by scores of draws."""
    if by == "evidence":
        return ByEvidence()
    return Elbo(beta, gradient="score", draws=SCORES) if by == "scores" else BySums(beta, free)


def built(decoder: str, seed: int) -> er.VAE:
    """Untrained; without a segmentation two classes stand for none."""
    return vae(Plan(decoder, classes=2 if "blind" in decoder else CLASSES), seed)


def trained(runs: Path, decoder: str, beta: float, free: float, by: str, seed: int) -> er.VAE:
    """A model from its folder, or trained now and kept there."""
    path = runs / f"{named(key(decoder, beta, seed, free=free, by=by))}.safetensors"
    model, data = built(decoder, seed), cifar()
    if path.exists():
        model.load_state_dict(load_file(path))
        return model.eval()
    if by == "warm":
        model.load_state_dict(trained(runs, **key(decoder, WARM, seed)).state_dict())
    fitted(model, data, objective(beta, free, by), BATCH, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return model.eval()


def fitted(model: er.VAE, data: Any, goal: Objective, batch: int, seed: int) -> None:
    """Train a model, whatever there is to train on."""
    er.fit(model, data, goal, epochs=EPOCHS, batch_size=batch, lr=LR, lr_final=LR / 10, seed=seed, progress=False)


def mean(values: Tensor) -> list[float]:
    """Mean over images and its standard error."""
    x = values.double().numpy()
    return [float(x.mean()), float(x.std(ddof=1) / np.sqrt(len(x)))]


@torch.no_grad()
def tested(model: er.VAE, examples: Any) -> dict[str, Tensor]:
    """Exact sums at every image, [n] each: log p, the encoder's ELBO, rates of the encoder's q and the exact one."""
    found: dict[str, list[Tensor]] = {"log_p": [], "elbo": [], "rate": [], "rate_exact": [], "entropy": []}
    for start in range(0, len(examples), 100):
        cells = cells_of(model, examples.rows(slice(start, start + 100)))
        found["log_p"].append(cells.log_evidence)
        found["rate"].append(cells.rate)
        found["elbo"].append(-cells.distortion - cells.rate)
        found["rate_exact"].append(cells.kl(cells.log_posterior).sum((1, 2)))
        found["entropy"].append(cells.entropy)
    return {name: torch.cat(parts) for name, parts in found.items()}


def simulations(model: er.VAE, data: Any) -> dict[str, Any]:
    """I(colour; z | grey) of the model's joint, exactly summed, and by draws alone."""
    seeds = range(0, SIMULATED, 100)
    parts = [joint(model, data.test.rows(slice(start, start + 100)), start) for start in seeds]
    each = [part.information() for part in parts]
    found = {name: mean(torch.cat([one[name] for one in each])) for name in each[0]}
    where = torch.cat([part.cells.kl(part.cells.log_posterior) for part in parts]).mean(0)
    nested = {}
    for draws in DRAWS:
        pairs = [part.nested(draws, start) for part, start in zip(parts, seeds, strict=True)]
        nested[str(draws)] = [mean(torch.cat(side)) for side in zip(*pairs, strict=True)]
    return {"information": found, "by_cell": where.tolist(), "nested": nested}


def measured(runs: Path, decoder: str, beta: float, free: float, by: str, seed: int) -> dict[str, Any]:
    """One row of models.json: a model, trained and measured."""
    model, data = trained(runs, decoder, beta, free, by, seed), cifar()
    exact = tested(model, data.test)
    row: dict[str, Any] = {name: mean(values) for name, values in exact.items()} | simulations(model, data)
    if "blind" in decoder:
        return row
    row["gain"] = mean(exact["log_p"] - without(runs, decoder))
    return row | {"segments": of_model(model, data, CLASSES, GRID)}


@cache
def without(runs: Path, decoder: str) -> Tensor:
    """log p of every test image by the same decoder without a segmentation, of the first seed, [n]."""
    return tested(trained(runs, **key(f"blind {decoder}")), cifar().test)["log_p"]


def of_few(decoder: str, beta: float, free: float, by: str, seed: int) -> dict[str, Any]:
    """One row of few.json: a model trained on 500 images."""
    model, data = built(decoder, seed), cifar(*FEW_IMAGES)
    fitted(model, data, objective(beta, free, by), BATCH // 2, seed)
    model.eval()
    return {name: mean(values) for name, values in tested(model, data.test).items()} | simulations(model, data)


def few(seconds: float) -> None:
    """records/few.json: what follows from the encoder, by 500 images and two seeds."""
    record = Record("few", **SETTINGS | {"train": FEW_IMAGES[0], "batch": BATCH // 2})
    fill(record, FEW, of_few, seconds)


def fill(record: Record, rows: list[dict[str, Any]], make: Callable[..., dict[str, Any]], seconds: float) -> None:
    """Make rows that are missing until so many seconds have passed; the canaries where there are none."""
    from canaries import canaries
    from canary import carried, keep

    start = time.monotonic()
    for one in record.missing(rows):
        if time.monotonic() - start > seconds:
            break
        record.rows([one], make)
    if not carried(record.path):
        keep(record.path, canaries())


def models(runs: Path, seconds: float) -> None:
    """records/models.json and records/clusters.json."""
    runs.mkdir(parents=True, exist_ok=True)
    fill(Record("models", **SETTINGS), MODELS, partial(measured, runs), seconds)
    of_patches = [{"of": of} for of in PATCHES]
    fill(Record("clusters", classes=CLASSES, grid=GRID), of_patches, of_patches_alone, float("inf"))


def of_patches_alone(of: str) -> dict[str, Any]:
    """One row of clusters.json: k-means of patches."""
    return of_clusters(cifar(), of, CLASSES, GRID)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["models", "few", "curves", "pictures", "tables"])
    parser.add_argument("--runs", type=Path, default=HERE / "runs", help="folder of trained models")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further row after so long")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "models":
        models(asked.runs, asked.seconds)
    elif asked.what == "few":
        few(asked.seconds)
    elif asked.what in ("curves", "pictures"):
        import drawing

        (drawing.curves if asked.what == "curves" else partial(drawing.segments, asked.runs))()
    else:
        import tables

        tables.run()


if __name__ == "__main__":
    main()
