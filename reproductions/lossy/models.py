"""The images, and the models that are trained on them."""

import math
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import elbowroom as er

BETAS = (0.1, 0.5, 2.0)
NOISE = 0.1
SETTINGS: dict[str, dict[str, Any]] = {
    "fashion-mnist": {"latents": 64, "widths": [512, 256], "epochs": 25, "test": 1_000},
    "cifar10": {"latents": 96, "widths": [384, 256], "epochs": 8, "test": 1_000},
    "frey-faces": {"latents": 32, "widths": [256, 256], "epochs": 120, "test": 300},
}
"""Latents, hidden layers, epochs, and test images."""
TRAIN = 9_000


def folder(name: str) -> Path:
    """Where a data set's files lie."""
    return Path(os.environ["ELBOWROOM_DATA"]) / name


def images(name: str) -> np.ndarray:
    """All images that are used, [n, C, H, W], 0 … 255."""
    if name == "frey-faces":
        return np.load(folder("freyfaces") / "freyfaces_u8.npz")["images"].reshape(-1, 1, 28, 20)
    if name == "fashion-mnist":
        x = er.load_data("fashion-mnist").train.rows(slice(0, TRAIN + 1_000)).x
        return x.numpy().astype(np.uint8).reshape(-1, 1, 28, 28)
    from PIL import Image

    sheets = [Image.open(folder("cifar10") / f"train_{i:02}.webp").convert("RGB") for i in range(10)]
    found = [np.asarray(sheet).reshape(25, 32, 40, 32, 3).transpose(0, 2, 4, 1, 3) for sheet in sheets]
    return np.concatenate(found).reshape(-1, 3, 32, 32)


@cache
def data_of(name: str) -> er.data.Dataset:
    """The images as a data set: flat rows, dequantised, a fixed split."""
    x = images(name).reshape(-1, math.prod(images(name).shape[1:]))
    return er.load_data(x, preprocess="dequantise", validation=100, test=SETTINGS[name]["test"])


def model(name: str, beta: float) -> er.VAE:
    """A Gaussian VAE of perceptrons, its noise fixed: β decides what it is worth to tell a pixel."""
    data, words = data_of(name), SETTINGS[name]
    torch.manual_seed(0)
    size, latents, widths = math.prod(data.event), words["latents"], words["widths"]
    return er.VAE(
        er.priors.StandardNormal(latents),
        er.posteriors.DiagonalNormal(er.networks.MLP([size, *widths, 2 * latents]), latents),
        er.likelihoods.Normal(er.networks.MLP([latents, *widths[::-1], size]), size, scale=NOISE),
        preprocess=data.preprocess,
    )


def train(name: str, beta: float, runs: Path) -> er.VAE:
    """Train, or go on where it was stopped, or read what is trained."""
    run, vae = runs / f"{name}-{beta:g}", model(name, beta)
    epochs = SETTINGS[name]["epochs"]
    er.fit(
        vae, data_of(name), er.objectives.Elbo(beta), epochs=epochs, batch_size=100, run=run,
        resume=run.exists(), progress=False,
    )  # fmt: skip
    return vae
