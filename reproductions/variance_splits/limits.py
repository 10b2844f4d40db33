"""β = 0 beside a plain autoencoder, and collapsed models, which must be flagged."""

from typing import Any

import numpy as np
import torch
from models import Record, stack, vae
from torch import nn

import elbowroom as er
from elbowroom.metrics import latent_use, reconstruction_error

LATENTS, HIDDEN, SEEDS = 8, (128, 128), 10
TRAINING = {"epochs": 200, "batch_size": 100, "lr": 1e-3}
SMALL, SMALL_LATENTS, MODELS = (16,), 2, 100


def autoencoder() -> None:
    """Held-out squared error of both, and the sd of q before and after."""
    data = er.load_data("digits")
    settings = {"data": "digits", "seeds": SEEDS, "latents": LATENTS, "hidden": HIDDEN, "training": TRAINING}
    record = Record("beta_zero", settings)
    record.row({"model": "VAE, β = 0"}, lambda: at_zero(data))
    record.row({"model": "autoencoder"}, lambda: {"models": [plain(seed, data) for seed in range(SEEDS)]})


def at_zero(data: Any) -> dict[str, Any]:
    vaes = [vae("fixed", seed, LATENTS, 64, data.preprocess, HIDDEN) for seed in range(SEEDS)]
    before = [spread(model, data) for model in vaes]
    stack(vaes, data, 0.0, select="last", **TRAINING)
    rows = [
        {"squared_error": reconstruction_error(model, data.test), "sd_before": first, **spread(model, data, "sd_after")}
        for model, first in zip(vaes, (one["sd"] for one in before), strict=True)
    ]
    return {"models": rows}


@torch.no_grad()
def spread(model: er.VAE, data: Any, name: str = "sd") -> dict[str, float]:
    """Median sd of q over test examples and units, alone and over the sd of the posterior means."""
    given, _ = model.given(data.test.batch(), model.keyed_noise(0, data.test.index, 0))
    q = model.posterior["z"](given)
    within, between = q.stddev[0].double(), q.mean[0].double().std(0)
    return {name: float(within.median()), f"{name}_over_means": float((within / between).median())}


def plain(seed: int, data: Any) -> dict[str, Any]:
    """A plain autoencoder: the VAE's networks, the squared error, Adam, fresh dequantisation."""
    model = vae("fixed", seed, LATENTS, 64, data.preprocess, HIDDEN)
    encoder, decoder = model.posterior["z"].network, model.likelihood.network
    assert isinstance(encoder, nn.Module)
    assert isinstance(decoder, nn.Module)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=TRAINING["lr"])
    x, generator = data.train.x, torch.Generator().manual_seed(seed)
    for _ in range(int(TRAINING["epochs"])):
        for rows in torch.randperm(len(x), generator=generator).split(int(TRAINING["batch_size"])):
            y, _ = data.preprocess(x[rows], torch.rand(x[rows].shape, generator=generator))
            loss = (decoder(encoder(y)[:, :LATENTS]) - y).square().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return {"squared_error": reconstruction_error(model, data.test)}


def collapsed() -> None:
    """A hundred small models where every eigenvalue is below σ² = 2, a hundred where most are above σ² = 0.01."""
    data = er.load_data("digits")
    settings = {"data": "digits", "latents": SMALL_LATENTS, "hidden": SMALL, "models": MODELS, "epochs": 60}
    record = Record("collapsed", settings)
    for variance in (2.0, 0.01):
        record.row({"sigma2": variance}, lambda v=variance: flagged(v, data))


def flagged(variance: float, data: Any) -> dict[str, Any]:
    """Trained at σ² (as β = σ² at σ = 1): how many units of each model are called active."""
    vaes = [vae("fixed", seed, SMALL_LATENTS, 64, data.preprocess, SMALL) for seed in range(MODELS)]
    stack(vaes, data, variance, epochs=60, batch_size=100, lr=3e-3, select="last")
    uses = [latent_use(model, data.test) for model in vaes]
    active = np.array([use.active.sum() for use in uses])
    return {
        "no_unit_active": int((active == 0).sum()),
        "some_active": int(((active > 0) & (active < SMALL_LATENTS)).sum()),
        "all_active": int((active == SMALL_LATENTS).sum()),
        "greatest_kl_per_unit": max(float(use.kl.max()) for use in uses if use.kl is not None),
        "least_kl_per_unit": min(float(use.kl.min()) for use in uses if use.kl is not None),
        "greatest_variance_of_means": max(float(use.means.var(0, ddof=1).max()) for use in uses),
        "least_variance_of_means": min(float(use.means.var(0, ddof=1).min()) for use in uses),
    }
