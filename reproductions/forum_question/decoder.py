"""A decoder that needs no z: free tables, exactly, and digits whose pixels read their neighbours, over β."""

from typing import Any

import torch
from scan import bounds
from shelf import SEEDS, Record, Row, digits, information, pair, vae
from torch import Tensor

import elbowroom as er
from elbowroom.exact import Table, train_tables
from elbowroom.metrics import latent_use

WEIGHTS = (0.5, 0.99, 1.0, 1.01, 2.0)
BETAS = (0.5, 0.75, 1.0, 1.5, 2.0)
TRAINING: dict[str, Any] = {"epochs": 60, "lr_final": 1e-4, "progress": False}


def run() -> None:
    """records/tables.json: the identity on free tables; records/autoregressive.json: β with two decoders."""
    Record("tables", x=6, z=8, encoders=200, steps=1_500).rows([{"beta": beta} for beta in WEIGHTS], on_tables)
    record = Record("autoregressive", latents=10, hidden=[128], epochs=TRAINING["epochs"], radius=3, window_hidden=64)
    for decoder in FAMILIES:
        for seed in SEEDS[:2]:
            _stack(record, decoder, seed)


def encoders(number: int = 200) -> tuple[Tensor, Tensor]:
    """A population of 6 values of x, and encoders of 8 values of z from nearly blind to nearly sharp."""
    generator = torch.Generator().manual_seed(0)
    pop = torch.rand(6, generator=generator, dtype=torch.float64).softmax(0)
    logits = torch.randn(number, 6, 8, generator=generator, dtype=torch.float64)
    sharpness = torch.logspace(-1, 1, number, dtype=torch.float64)
    return pop, (sharpness[:, None, None] * logits).softmax(-1)


def on_tables(beta: float) -> Row:
    """D + β R against H + (β − 1) I at the best prior and decoder, and I before and after training all three tables."""
    pop, posterior = encoders()
    best = Table.optimal(pop, posterior)
    apart = best.objective(beta) - (best.entropy + (beta - 1) * best.information)
    few = Table.optimal(pop, posterior[::50])
    trained = train_tables(few, beta, steps=1_500)
    return {
        "entropy": float(best.entropy),
        "greatest_error": float(apart.abs().max()),
        "information": [float(best.information.min()), float(best.information.max())],
        "elbo_range": [float(best.objective().min()), float(best.objective().max())],
        "before": few.information.tolist(),
        "after": trained.information.tolist(),
        "after_above_entropy": float((trained.objective() - trained.entropy).max()),
    }


def independent(network: Any) -> er.likelihoods.DiscretisedLogistic:
    """Pixels that are independent given z."""
    return er.likelihoods.DiscretisedLogistic(network, 64, 17)


def autoregressive(network: Any) -> er.likelihoods.Autoregressive:
    """Pixels that also read the neighbours drawn before them, within three pixels."""
    return er.likelihoods.Autoregressive(network, independent(None), image_shape=(8, 8), radius=3, hidden=64)


FAMILIES: dict[str, Any] = {"independent pixels": independent, "autoregressive": autoregressive}


def _stack(record: Record, decoder: str, seed: int) -> None:
    data = digits(preprocess="none")
    missing = record.missing({"decoder": decoder, "seed": seed, "beta": beta} for beta in BETAS)
    if not missing:
        return
    models = [vae(data, seed, FAMILIES[decoder]) for _ in missing]
    objectives = [er.objectives.Elbo(key["beta"]) for key in missing]
    er.fit_stacked(models, data, objectives, seed=seed, processes=1, **TRAINING)
    for key, model in zip(missing, models, strict=True):
        record.add(key | measure(model))


def measure(model: er.VAE) -> Row:
    """Bounds, active units, information."""
    data = digits(preprocess="none")
    return bounds(model, data.test) | {
        "train_elbo": pair(er.evidence.elbo(model, data.train, draws=4)),
        "active": int(latent_use(model, data.test).active.sum()),
        "information": information(model, data.train),
    }
