"""Collapse as a threshold: which units a VAE of digits uses at a fixed noise, in closed form and trained."""

from typing import Any

import numpy as np
import torch
from shelf import Record, Row, digits, normal, pair, seen, vae

import elbowroom as er
from elbowroom.exact import active_at
from elbowroom.metrics import latent_use

VARIANCES, LATENTS = (0.8, 0.65, 0.59, 0.3, 0.1), 10
TRAINING: dict[str, Any] = {"epochs": 200, "lr": 3e-3, "lr_final": 1e-4, "progress": False}


def run() -> None:
    """records/threshold.json: σ² on both sides of the eigenvalues."""
    keys = [{"sigma2": variance, "networks": kind} for variance in VARIANCES for kind in ("linear", "one layer of 128")]
    Record("threshold", latents=LATENTS, epochs=TRAINING["epochs"]).rows(keys, _trained)
    Record("eigenvalues").rows([{"data": "digits"}], _eigenvalues)


def eigenvalues() -> np.ndarray:
    """Of the covariance of the training images as the network sees them, the greatest first."""
    data = digits()
    return np.linalg.eigvalsh(np.cov(seen(data, data.train).T, bias=True))[::-1]


def _eigenvalues(data: str) -> Row:
    return {"greatest": eigenvalues()[:LATENTS].tolist()}


def model(sigma2: float, networks: str) -> er.VAE:
    """Linear, or with a hidden layer on both sides, at a fixed noise."""
    data = digits()
    if networks != "linear":
        return vae(data, 0, normal(64, scale=sigma2**0.5), latents=LATENTS)
    torch.manual_seed(0)
    posterior = er.posteriors.DiagonalNormal(torch.nn.Linear(64, 2 * LATENTS), LATENTS)
    likelihood = normal(64, scale=sigma2**0.5)(torch.nn.Linear(LATENTS, 64))
    return er.VAE(er.priors.StandardNormal(LATENTS), posterior, likelihood, preprocess=data.preprocess)


def _trained(sigma2: float, networks: str) -> Row:
    """Units in use and the rate of the training images, beside the best linear VAE's: ½ Σ log λ / σ² over λ > σ²."""
    data, values = digits(), eigenvalues()[:LATENTS]
    one = model(sigma2, networks)
    er.fit(one, data, seed=0, select="last", **TRAINING)
    found = er.evidence.rate_distortion(one, data.train, draws=16)
    return {
        "active": int(latent_use(one, data.train).active.sum()),
        "rate": pair(found.rate),
        "elbo": pair(found.elbo),
        "exact_active": active_at(values, sigma2),
        "exact_rate": float(0.5 * np.log(np.maximum(values / sigma2, 1)).sum()),
    }
