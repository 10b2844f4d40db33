"""Ways of trading the KL against the reconstruction: what each costs and what comes of it, on digits."""

import math
import time
from typing import Any

from shelf import SEEDS, Record, Row, digits, vae

import elbowroom as er
from elbowroom.metrics import reconstruction_error
from elbowroom.objectives import Elbo, Geco, LinearSchedule
from elbowroom.remedies import calibrate

MODEL: dict[str, Any] = {"latents": 10, "hidden": [128]}
TRAINING: dict[str, Any] = {"epochs": 100, "lr_final": 1e-4, "progress": False}
GRID = (0.001, 0.003, 0.01, 0.03, 0.1)
ERROR, SCALE = 1.0, 0.15  # what GECO is asked for, and the σ that it is asked with


def run() -> None:
    """records/balance.json: test log p (IWAE-500), rate, error, trainings and processor time of each way."""
    keys = [{"way": way, "seed": seed} for way in WAYS for seed in SEEDS]
    Record("balance", **MODEL, epochs=TRAINING["epochs"]).rows(keys, _row)


def _row(way: str, seed: int) -> Row:
    data, start = digits(), time.process_time()
    model, trainings = WAYS[way](data, seed)
    seconds = time.process_time() - start
    bound = er.evidence.iwae(model, data.test, draws=500)
    rate = er.evidence.rate_distortion(model, data.test, draws=8).rate
    return {
        "iwae": [bound.mean, bound.se_total],
        "rate": [rate.mean, rate.se_total],
        "squared_error": reconstruction_error(model, data.test),
        "sigma2": float(model.likelihood.common_scale()) ** 2,
        "trainings": trainings,
        "seconds": round(seconds, 1),
    }


def _trained(data: Any, seed: int, objective: Any, scale: Any = 1.0) -> er.VAE:
    model = vae(data, seed, **MODEL, scale=scale)
    er.fit(model, data, objective, seed=seed, **TRAINING)
    return model


def _unit(data: Any, seed: int) -> tuple[er.VAE, int]:
    return _trained(data, seed, Elbo()), 1


def _grid(data: Any, seed: int) -> tuple[er.VAE, int]:
    """Every β trained, calibrated, and the best on validation kept."""
    found = [calibrate(_trained(data, seed, Elbo(beta)), data, draws=16).vae for beta in GRID]
    return max(found, key=lambda one: er.evidence.iwae(one, data.validation, draws=100).mean), len(GRID)


def _one_calibrated(data: Any, seed: int) -> tuple[er.VAE, int]:
    return calibrate(_trained(data, seed, Elbo(0.1)), data, draws=16).vae, 1


def _warm_up(data: Any, seed: int) -> tuple[er.VAE, int]:
    return _trained(data, seed, Elbo(schedule=LinearSchedule(240)), "shared"), 1


def _geco(data: Any, seed: int) -> tuple[er.VAE, int]:
    constant = 32 * math.log(2 * math.pi * SCALE**2) + 64 * math.log(17)
    objective = Geco(constant + ERROR / (2 * SCALE**2))
    return calibrate(_trained(data, seed, objective, SCALE), data, draws=16).vae, 1


def _shared(data: Any, seed: int) -> tuple[er.VAE, int]:
    return _trained(data, seed, Elbo(), "shared"), 1


def _optimal(data: Any, seed: int) -> tuple[er.VAE, int]:
    return _trained(data, seed, Elbo(), "optimal"), 1


WAYS: dict[str, Any] = {
    "σ = 1, β = 1": _unit,
    "grid of five β at σ = 1, calibrated, chosen on validation": _grid,
    "one β of 0.1 at σ = 1, calibrated": _one_calibrated,
    "σ learned, β warmed up over 20 epochs": _warm_up,
    "GECO: a squared error of 1 at σ = 0.15, calibrated": _geco,
    "σ learned": _shared,
    "σ optimal": _optimal,
}
