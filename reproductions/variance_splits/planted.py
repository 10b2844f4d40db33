"""Data with a planted latent share and a planted σ(z): what each decoder recovers."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from models import Record, measure, stack, vae
from torch import Tensor

import elbowroom as er
from elbowroom.remedies import calibrate
from elbowroom.vae.evaluating import evaluating

SIDE, PIXELS, TRUE_LATENTS = 8, 64, 2
SEEDS, LATENTS, HIDDEN = 3, 4, (64, 64)
TRAINING = {"epochs": 60, "batch_size": 200, "lr": 3e-3, "lr_final": 1e-4}
WORLDS = [(0.2, False), (0.5, False), (0.5, True), (0.8, False)]
LEARNED = ("predicted", "shared", "feature", "low-rank", "sparse")
BETAS = (1.0, 0.1)


@dataclass
class Planted:
    """x = f(z) + σ(z) ε; every pixel has variance 1, `share` of it Var f; σ(z) varies threefold; ε may be correlated.

    scale: [n] the planted σ(z), by the row's index.
    """

    data: Any
    scale: np.ndarray


def planted(share: float, correlated: bool, n: int = 5_500, seed: int = 0) -> Planted:
    """f is a smooth random network of two latents; neighbours of a correlated ε have correlation exp(−½)."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, TRUE_LATENTS, generator=generator, dtype=torch.float64)
    inner = torch.randn(TRUE_LATENTS, 32, generator=generator, dtype=torch.float64)
    outer = torch.randn(32, PIXELS, generator=generator, dtype=torch.float64)
    mean = torch.tanh(z @ inner + torch.randn(32, generator=generator, dtype=torch.float64)) @ outer
    mean = math.sqrt(share) * (mean - mean.mean(0)) / mean.std(0)
    scale = 3 ** (torch.tanh(1.5 * z[:, 0]) / 2)
    scale = scale * math.sqrt(1 - share) / scale.square().mean().sqrt()
    noise = torch.randn(n, PIXELS, generator=generator, dtype=torch.float64)
    x = mean + scale[:, None] * (noise @ torch.linalg.cholesky(_neighbourly()).T if correlated else noise)
    data = er.load_data(x.numpy(), support="real", preprocess="none", validation=500, test=1_000)
    return Planted(data, scale.numpy())


def _neighbourly() -> Tensor:
    """Correlation exp(−(|Δrow| + |Δcolumn|) / 2)."""
    steps = torch.arange(SIDE, dtype=torch.float64)
    line = torch.exp(-(steps[:, None] - steps).abs() / 2)
    return torch.kron(line, line)


def run() -> None:
    """Every decoder on every world, three seeds as one stack; `calibrate` on β-VAEs."""
    settings = {"seeds": SEEDS, "latents": LATENTS, "hidden": HIDDEN, "training": TRAINING, "pixels": PIXELS}
    record = Record("planted", settings)
    for share, correlated in WORLDS:
        world, key = planted(share, correlated), {"planted_share": share, "correlated": correlated}
        for kind in LEARNED:
            record.row(key | {"decoder": kind}, lambda k=kind, w=world: learned(k, w))
        for beta in BETAS:
            record.row(key | {"decoder": "fixed", "beta": beta}, lambda b=beta, w=world: fixed(b, w))


def learned(kind: str, world: Planted) -> dict[str, Any]:
    vaes = [vae(kind, seed, LATENTS, PIXELS, world.data.preprocess, HIDDEN) for seed in range(SEEDS)]
    stack(vaes, world.data, **TRAINING)
    return {"models": [recovered(model, world) for model in vaes]}


def fixed(beta: float, world: Planted) -> dict[str, Any]:
    vaes = [vae("fixed", seed, LATENTS, PIXELS, world.data.preprocess, HIDDEN) for seed in range(SEEDS)]
    stack(vaes, world.data, beta, **TRAINING)
    found = [calibrate(model, world.data, draws=8) for model in vaes]
    return {
        "models": [recovered(model, world) for model in vaes],
        "calibrated": [recovered(one.vae, world) | {"sigma": one.value} for one in found],
    }


def recovered(model: er.VAE, world: Planted) -> dict[str, Any]:
    """The usual figures, the correlation of σ(z) with the planted one (0 for a constant), the ratio of their means."""
    test = world.data.test
    with torch.no_grad(), evaluating(model):
        found = (
            model.likelihood(model.at_means(test)).variance[0].expand(len(test), PIXELS).mean(1).sqrt().double().numpy()
        )
    truth = world.scale[test.index.numpy()]
    constant = found.std() < 1e-6 * found.mean()
    correlation = 0.0 if constant else float(np.corrcoef(found, truth)[0, 1])
    return measure(model, test) | {"sigma_correlation": correlation, "sigma_ratio": float(found.mean() / truth.mean())}
