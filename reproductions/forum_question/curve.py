"""The rate-distortion curve from one training: a network that reads log β, against a grid of trainings."""

import time
from typing import Any

import torch
from shelf import Record, Row, digits, normal, pair, vae

import elbowroom as er

BETAS, SIGMA, SEEDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0), 0.14, (0, 1)
ONES: dict[str, tuple[int, int]] = {"as a member of the grid": (128, 100), "four times the epochs": (128, 400),
                                    "twice the width, four times the epochs": (256, 400)}  # fmt: skip
"""The width and the epochs of the one network."""
TRAINING: dict[str, Any] = {"lr_final": 1e-4, "progress": False}


def run() -> None:
    """records/curve.json: a grid of seven β, each trained, and one network at seven β."""
    record = Record("curve", latents=10, hidden=128, epochs=100, scale=SIGMA)
    record.rows([{"how": "grid", "beta": beta, "seed": seed} for seed in SEEDS for beta in BETAS], _alone)
    for seed in SEEDS:
        for how in ONES:
            if record.missing([{"how": how, "beta": BETAS[-1], "seed": seed}]):
                _one(record, how, seed)


def _alone(how: str, beta: float, seed: int) -> Row:
    model, start = vae(digits(), seed, normal(64, scale=SIGMA)), time.process_time()
    er.fit(model, digits(), er.objectives.Elbo(beta), epochs=100, seed=seed, **TRAINING)
    return measure(model, beta) | {"training_seconds": time.process_time() - start}


def reading(how: str, seed: int) -> er.VAE:
    """The same model, whose networks read one number more."""
    torch.manual_seed(seed)
    width, data = ONES[how][0], digits()
    encoder, decoder = er.networks.MLP([65, width, 20]), er.networks.MLP([11, width, 64])
    posterior = er.posteriors.DiagonalNormal(encoder, 10, given=("x", "log_beta"))
    likelihood = er.likelihoods.Normal(decoder, 64, scale=SIGMA, given=("z", "log_beta"))
    return er.VAE(er.priors.StandardNormal(10), posterior, likelihood, preprocess=data.preprocess)


def _one(record: Record, how: str, seed: int) -> None:
    model, start = reading(how, seed), time.process_time()
    er.fit(model, digits(), er.objectives.MultiRate(), epochs=ONES[how][1], seed=seed, **TRAINING)
    seconds = time.process_time() - start
    for beta in BETAS:
        key = {"how": how, "beta": beta, "seed": seed}
        record.add(key | measure(model.at_beta(beta), beta) | {"training_seconds": seconds})


def measure(model: er.VAE, beta: float) -> Row:
    """Rate, distortion, ELBO and IWAE of test images, and the objective at β."""
    found = er.evidence.rate_distortion(model, digits().test, draws=16)
    return {
        "rate": pair(found.rate),
        "distortion": pair(found.distortion),
        "elbo": pair(found.elbo),
        "objective": found.distortion.mean + beta * found.rate.mean,
        "iwae": pair(er.evidence.iwae(model, digits().test, draws=100)),
    }
