"""The images, and the models that are trained on them."""

import math
import os
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import elbowroom as er

BETAS = (0.1, 0.5, 2.0)
NOISE = 0.1
SETTINGS: dict[str, dict[str, Any]] = {
    "fashion-mnist": {"latents": 64, "channels": [32, 64, 128], "dense": None, "test": 1_000},
    "cifar10": {"latents": 96, "channels": [32, 64, 128], "dense": None, "test": 1_000},
    "frey-faces": {"latents": 32, "widths": [256, 256], "test": 300},
}
"""Latents, channels of convolutions or hidden layers of perceptrons, and test images."""
_LARGE = 4_000
LEGS = ((0.45, 1e-3), (0.25, 4e-4), (0.2, 1.5e-4), (0.1, 5e-5))
"""Shares of the time that a training has, and the learning rate of each."""


def folder(name: str) -> Path:
    """Where a data set's files lie."""
    return Path(os.environ["ELBOWROOM_DATA"]) / name


def sheets(pattern: str) -> np.ndarray:
    """Images of CIFAR-10 from sheets of 25 × 40, [n, 3, 32, 32]."""
    from PIL import Image

    found = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder("cifar10").glob(pattern))]
    return np.concatenate([one.reshape(25, 32, 40, 32, 3).transpose(0, 2, 4, 1, 3) for one in found]).reshape(
        -1, 3, 32, 32
    )


@cache
def data_of(name: str) -> er.data.Dataset:
    """The images to train on, dequantised: those of CIFAR-10 with their mirror images."""
    if name == "fashion-mnist":
        return er.load_data(name, preprocess="dequantise", flat=False, progress=False)
    if name == "cifar10":
        x = sheets("train_*.webp")
        return er.load_data(np.concatenate([x, x[..., ::-1]]), preprocess="dequantise", validation=1_000, test=100)
    x = np.load(folder("freyfaces") / "freyfaces_u8.npz")["images"].reshape(-1, 28 * 20)
    return er.load_data(x, preprocess="dequantise", validation=100, test=SETTINGS[name]["test"])


def test_of(name: str) -> np.ndarray:
    """The test images, [n, C, H, W], 0 … 255."""
    if name == "cifar10":
        return sheets("test_00.webp")
    x = data_of(name).test.rows(slice(0, SETTINGS[name]["test"])).x.numpy()
    return np.rint(x).astype(np.uint8).reshape(-1, 1, 28, 20 if name == "frey-faces" else 28)


def train_images(name: str) -> np.ndarray:
    """What PCA is fitted to, [n, D], 0 … 255: what the models are trained on, without mirror images."""
    x = data_of(name).train.rows(slice(None)).x.numpy() if name != "cifar10" else sheets("train_*.webp")
    return x.reshape(len(x), -1)


def model(name: str, beta: float) -> er.VAE:
    """A Gaussian VAE whose noise is fixed: β decides what it is worth to tell a pixel."""
    data, words = data_of(name), SETTINGS[name]
    torch.manual_seed(0)
    latents, event = words["latents"], data.event
    if "widths" in words:
        size, widths = math.prod(event), words["widths"]
        q: Any = er.networks.MLP([size, *widths, 2 * latents])
        p: Any = er.networks.MLP([latents, *widths[::-1], size])
    else:
        q = er.networks.ConvNet(event, latents, parts=2, channels=words["channels"])
        p = er.networks.ConvNet(latents, event, channels=words["channels"])
    return er.VAE(
        er.priors.StandardNormal(latents), er.posteriors.DiagonalNormal(q, latents),
        er.likelihoods.Normal(p, event, scale=NOISE), preprocess=data.preprocess,
    )  # fmt: skip


def train(
    vae: er.VAE, data: er.data.Dataset, objective: Any, seconds: float, device: str, batch: int, kept: Any
) -> None:
    """Train for so long, in legs of ever smaller steps; each keeps its best epoch on validation, and is handed on."""
    began, rows, each = time.monotonic(), list[dict[str, Any]](), 0.0
    for number, (share, rate) in enumerate([(0.0, LEGS[0][1]), *LEGS]):
        part = share / max(sum(one for one, _ in LEGS[number - 1 :]), share)
        left = 0.93 * (seconds - (time.monotonic() - began)) * part
        epochs = max(int(left / each), 1) if number else 2  # two epochs tell how long one takes
        found = er.fit(
            vae, data, objective, epochs=epochs, batch_size=batch, lr=rate, seed=number, device=device,
            settle=not number, progress=False,
        )  # fmt: skip
        each = found.seconds / epochs
        best = {"epochs": epochs, "rate": rate, "kept": found.best_epoch, "validation": found.best["validation"]}
        rows.append(best)
        steps = sum(row["epochs"] for row in rows) * math.ceil(len(data.train) / batch)
        kept({"steps": steps, "seconds": time.monotonic() - began, "device": device, "legs": rows})


def keep(vae: er.VAE, path: Path) -> None:
    """Write a model, its large tensors in 16 bits: the model is then what these say."""
    er.save_model(vae, path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    held = load_file(path)
    small = {name: one.half() if one.numel() > _LARGE else one for name, one in held.items()}
    save_file(small, path, metadata=metadata)


def kept_model(path: Path, part: int = 0) -> er.VAE:
    """A model that `keep` wrote; processes that read one at the same time have numbers of their own."""
    whole = path.with_suffix(f".{part}.whole")
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    wide = {name: one.float() if one.dtype == torch.float16 else one for name, one in load_file(path).items()}
    save_file(wide, whole, metadata=metadata)
    vae = er.load_model(whole)
    whole.unlink()
    return vae
