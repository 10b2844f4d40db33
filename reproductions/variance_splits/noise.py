"""The noise decides what collapses: σ² over training from three starts, collapse against a fixed σ²."""

import dataclasses
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from models import Record, seen, stack, vae

import elbowroom as er
from elbowroom.exact import active_at
from elbowroom.metrics import ACTIVE, latent_use

NETWORKS = {"linear": (), "deep": (128, 128)}
STARTS = (0.01, 1.0, 10.0)
EPOCHS = (1, 2, 4, 7, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100, 120, 150)
CURVE_SEEDS, CURVE_LATENTS = 3, 10
GRID = [float(f"{value:.3g}") for value in np.geomspace(3e-4, 1.0, 12)]
MNIST_GRID = [float(f"{value:.3g}") for value in np.geomspace(1e-3, 10.0, 10)]


def over_training() -> None:
    """One row per network and start: σ² and active units of each seed at some epochs."""
    data = er.load_data("digits")
    settings = {"data": "digits", "seeds": CURVE_SEEDS, "latents": CURVE_LATENTS, "lr": 3e-3, "batch_size": 100}
    record = Record("over_training", settings)
    for network, hidden in NETWORKS.items():
        for start in STARTS:
            key = {"network": network, "start_sigma2": start}
            record.row(key, lambda h=hidden, s=start: curve(h, s, data))


def curve(hidden: tuple[int, ...], start: float, data: Any) -> dict[str, Any]:
    """A run that is stopped at every epoch of the list, looked at, and resumed bit for bit."""
    sigma = math.sqrt(start)
    vaes = [vae("shared", seed, CURVE_LATENTS, 64, data.preprocess, hidden, start=sigma) for seed in range(CURVE_SEEDS)]
    rows: dict[str, list[Any]] = {"epochs": [0], "sigma2": [[start] * CURVE_SEEDS], "active": [[]], "elbo": [[]]}
    with tempfile.TemporaryDirectory() as folder:
        runs = [Path(folder) / str(seed) for seed in range(CURVE_SEEDS)]
        for epochs in EPOCHS:
            again = {"runs": runs, "resume": epochs > EPOCHS[0], "epochs": epochs}
            histories = stack(vaes, data, batch_size=100, lr=3e-3, select="last", **again)
            rows["epochs"].append(epochs)
            rows["sigma2"].append([sigma2(model) for model in vaes])
            rows["active"].append([int(latent_use(model, data.test).active.sum()) for model in vaes])
            rows["elbo"].append([-history.rows[-1]["validation"]["objective"] for history in histories])
    return rows


def sigma2(model: er.VAE) -> float:
    return float(model.likelihood.common_scale().detach()) ** 2


def at_fixed_noise() -> None:
    """Active units at each σ² beside the eigenvalues above it, and at the learned σ²: scikit-learn's digits."""
    data = er.load_data("digits")
    plans = {
        "linear": {"epochs": 1_000, "batch_size": 100, "lr": 1e-2, "lr_final": 1e-5},
        "deep": {"epochs": 300, "batch_size": 100, "lr": 3e-3, "lr_final": 1e-4},
    }
    record = Record("collapse_digits", {"data": "digits", "latents": 20, "seeds": 1, "plans": plans})
    for network, plan in plans.items():
        hidden = NETWORKS[network]
        record.row({"network": network, "noise": "fixed"}, lambda h=hidden, p=plan: scan(h, GRID, data, 1, p))
        record.row({"network": network, "noise": "learned"}, lambda h=hidden, p=plan: found(h, data, 1, p))


def on_mnist() -> None:
    """The same for 10,000 images of MNIST, a short training."""
    whole = er.load_data("mnist")
    data = dataclasses.replace(
        whole, train=whole.train[:10_000], validation=whole.validation[:500], test=whole.test[:2_000]
    )
    plans = {
        "linear": {"epochs": 6, "batch_size": 100, "lr": 1e-2, "lr_final": 3e-4},
        "deep": {"epochs": 6, "batch_size": 100, "lr": 2e-3, "lr_final": 3e-4},
    }
    record = Record("collapse_mnist", {"data": "mnist", "train": 10_000, "latents": 20, "seeds": 1, "epochs": 6})
    for network, plan in plans.items():
        hidden = NETWORKS[network]
        record.row({"network": network, "noise": "fixed"}, lambda h=hidden, p=plan: scan(h, MNIST_GRID, data, 1, p))
        record.row({"network": network, "noise": "learned"}, lambda h=hidden, p=plan: found(h, data, 1, p))


def scan(hidden: tuple[int, ...], grid: list[float], data: Any, seeds: int, plan: dict[str, Any]) -> dict[str, Any]:
    """Trained at σ = 1 with β = σ², which is the ELBO at σ² times σ²: so that all of the grid is one stack."""
    pixels = math.prod(data.event)
    pairs = [(value, seed) for value in grid for seed in range(seeds)]
    vaes = [vae("fixed", seed, 20, pixels, data.preprocess, hidden) for _, seed in pairs]
    stack(vaes, data, [value for value, _ in pairs], select="last", **plan)
    active = np.array([latent_use(model, data.test).active.sum() for model in vaes]).reshape(len(grid), seeds)
    rank = np.array([directions(model, data) for model in vaes]).reshape(len(grid), seeds)
    eigenvalues = spectrum(data)
    return {
        "sigma2": grid,
        "active": active.tolist(),
        "directions": rank.tolist(),
        "eigenvalues_above": [active_at(eigenvalues, value, latents=20) for value in grid],
        "eigenvalues": eigenvalues[:21].tolist(),
    }


def found(hidden: tuple[int, ...], data: Any, seeds: int, plan: dict[str, Any]) -> dict[str, Any]:
    """σ² learned from PCA's."""
    pixels = math.prod(data.event)
    vaes = [vae("shared", seed, 20, pixels, data.preprocess, hidden) for seed in range(seeds)]
    stack(vaes, data, select="last", **plan)
    return {
        "sigma2": [sigma2(model) for model in vaes],
        "active": [int(latent_use(model, data.test).active.sum()) for model in vaes],
        "directions": [directions(model, data) for model in vaes],
        "mean_discarded_eigenvalue": float(spectrum(data)[20:].mean()),
    }


def directions(model: er.VAE, data: Any) -> int:
    """Active directions, however the units are turned: eigenvalues above 0.01 of the covariance of E[z | x] on test."""
    covariance = np.cov(np.asarray(latent_use(model, data.test).means).T)
    return int((np.linalg.eigvalsh(covariance) > ACTIVE).sum())


def spectrum(data: Any) -> np.ndarray:
    """Eigenvalues of the training data's covariance as the network sees them, the greatest first."""
    return np.linalg.eigvalsh(np.cov(seen(data, data.train).T, bias=True))[::-1]
