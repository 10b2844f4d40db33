"""One scan of β at σ = 1 on MNIST, which is a scan of σ² (`../beta_is_a_variance`), read in many ways.

Collapse, spread of samples, distance of samples from data, split of z and of x, rate against information.
"""

import math
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np
import torch
from shelf import SEEDS, Record, Row, mnist, seen, vae
from torch import Tensor

import elbowroom as er
from elbowroom.data import Dataset
from elbowroom.metrics import (
    SmallClassifier,
    frechet_distance,
    latent_use,
    precision_recall,
    psnr,
    reconstruction_error,
    small_classifier,
    variance_budget,
)
from elbowroom.remedies import calibrate

BETAS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
PREDICTED = (0.01, 0.03, 0.1, 0.3, 1.0)
MODEL = {"latents": 20, "hidden": [256, 256]}
EPOCHS, FLOOR, SAMPLES, NEIGHBOURS = 10, 0.1, 5_000, 2_000


@cache
def data() -> Dataset:
    return mnist()


@cache
def classifier() -> SmallClassifier:
    """Whose features the distances are between; it learned from images that the VAEs do not see."""
    whole = er.load_data("mnist", preprocess="dequantise", progress=False).train[-20_000:]
    return small_classifier(whole.x / 255.0, whole.labels, image_shape=(28, 28))


def run() -> None:
    """records/scan.json: eleven β at σ = 1; records/scan_predicted.json: seven β with σ(z)."""
    settings = {"images": 10_000, "epochs": EPOCHS, **MODEL}
    _scan(Record("scan", **settings), BETAS, _at_fixed, scale=1.0)
    _scan(Record("scan_predicted", floor=FLOOR, **settings), PREDICTED, _at_predicted, scale="predicted", floor=FLOOR)


def _scan(record: Record, betas: tuple[float, ...], measure: Any, **likelihood: Any) -> None:
    for seed in SEEDS:
        missing = record.missing({"seed": seed, "beta": beta} for beta in betas)
        if not missing:
            continue
        models = [vae(data(), seed, **MODEL, **likelihood) for _ in missing]
        objectives = [er.objectives.Elbo(key["beta"]) for key in missing]
        er.fit_stacked(models, data(), objectives, epochs=EPOCHS, lr_final=1e-4, seed=seed, progress=False)
        for key, model in zip(missing, models, strict=True):
            record.add(key | measure(model, key["beta"], seed))


def _at_fixed(model: er.VAE, beta: float, seed: int) -> Row:
    """Everything of one model: raw at σ = 1, as the model of σ² = β that it was trained to be, and calibrated."""
    raw = er.evidence.rate_distortion(model, data().test, draws=8)
    importance = er.evidence.iwae(model, data().test, draws=128)
    penalised = -raw.distortion.values - beta * raw.rate.values
    found = calibrate(model, data(), draws=16)
    trained_for = _with_scale(model, math.sqrt(beta))
    row = _errors(model) | _collapse(model) | _z(model) | {
        "rate": [raw.rate.mean, raw.rate.se_total],
        "elbo_at_1": [raw.elbo.mean, raw.elbo.se_total],
        "iwae_at_1": [importance.mean, importance.se_total],
        "objective": [float(penalised.mean()), float(penalised.std()) / math.sqrt(len(penalised))],
        "calibrated_scale": found.value,
        "calibrated_elbo": [found.elbo_after.mean, found.elbo_after.se_total],
        "calibrated_iwae": [found.iwae_after.mean, found.iwae_after.se_total],
        "share_trained_for": variance_budget(trained_for, data().test, draws=2_000).latent_share,
        "share_calibrated": variance_budget(found.vae, data().test, draws=2_000).latent_share,
    }  # fmt: skip
    return row | {
        "samples": {
            "σ² = β": _samples(trained_for, "ancestral", seed),
            "σ calibrated": _samples(found.vae, "ancestral", seed),
            "means": _samples(model, "mean", seed),
        }
    }


def _at_predicted(model: er.VAE, beta: float, seed: int) -> Row:
    raw = er.evidence.rate_distortion(model, data().test, draws=8)
    return _errors(model) | {
        "rate": [raw.rate.mean, raw.rate.se_total],
        "elbo": [raw.elbo.mean, raw.elbo.se_total],
        "samples": {mode: _samples(model, mode, seed) for mode in ("ancestral", "mean")},
    }


def _with_scale(model: er.VAE, scale: float) -> er.VAE:
    """The same networks with another noise."""
    likelihood = er.likelihoods.Normal(model.likelihood.network, model.likelihood.event, scale=scale)
    return er.VAE(model.prior["z"], model.posterior["z"], likelihood, preprocess=model.preprocess)


def _errors(model: er.VAE) -> Row:
    train, test = (reconstruction_error(model, part) for part in (data().train[:2_000], data().test))
    use = latent_use(model, data().test)
    return {"train_error": train, "squared_error": test, "psnr": psnr(test, 784), "active": int(use.active.sum())}


@torch.no_grad()
def _collapse(model: er.VAE) -> Row:
    """Decoded means of z from the prior: how far from the mean image, how much they vary, over the data's variance."""
    rows = torch.from_numpy(seen(data(), data().train))
    variance = float(rows.var(0).sum())
    z = torch.randn(2_000, MODEL["latents"], generator=torch.Generator().manual_seed(0))  # type: ignore[call-overload]
    means = model.likelihood({"z": z[None]}).mean[0].double()
    between = float(means.var(0).sum())
    away = float((means - rows.mean(0)).square().sum(1).mean())
    return {"from_mean_image": away / variance, "decoded_variance": between / variance}


@torch.no_grad()
def _z(model: er.VAE) -> Row:
    """Var z = between + within over test images; correlations of the aggregate; rate against information."""
    budget = variance_budget(model, data().test, draws=20)
    off = budget.z_correlation[~np.eye(len(budget.z_correlation), dtype=bool)]
    information, error = _information(model)
    return {
        "z_between": float(budget.z_between.mean()),
        "z_within": float(budget.z_within.mean()),
        "z_sd": float(np.sqrt(budget.z_within).mean()),
        "z_correlation": float(np.sqrt(np.square(off).mean())),
        "z_greatest_correlation": float(np.abs(off).max()),
        "train_rate": _train_rate(model),
        "information": [information, error],
    }


def _posterior(model: er.VAE) -> tuple[Tensor, Tensor]:
    q = model.posterior["z"](model.given(data().train.batch(), model.keyed_noise(0, data().train.index, 0))[0])
    return q.mean[0].double(), q.stddev[0].double()


def _train_rate(model: er.VAE) -> float:
    mean, sd = _posterior(model)
    return float((0.5 * (mean.square() + sd.square() - 1) - sd.log()).sum(1).mean())


def _information(model: er.VAE, draws: int = 1_000) -> tuple[float, float]:
    """I(x; z) for x uniform over the training images: mean of log q(z | x) − log mean over all x′ of q(z | x′)."""
    mean, sd = _posterior(model)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randperm(len(mean), generator=generator)[:draws]
    noise = torch.randn(draws, mean.shape[1], generator=generator, dtype=torch.float64)
    values = []
    for row, e in zip(chosen, noise, strict=True):
        each = -(0.5 * ((mean[row] + sd[row] * e - mean) / sd).square() + sd.log()).sum(1)
        values.append(float(each[row] - each.logsumexp(0) + math.log(len(mean))))
    return float(np.mean(values)), float(np.std(values)) / math.sqrt(draws)


def _samples(model: er.VAE, mode: Any, seed: int) -> Row:
    """Samples, which lie on the grid: distance, precision and recall in features; variance over the data's."""
    levels = torch.cat([model.sample(1_000, mode=mode, seed=1_000 + 10 * i + seed) for i in range(SAMPLES // 1_000)])
    x, real = levels / 255.0, _real()
    drawn, kept = classifier().features(x), classifier().features(real)
    near = precision_recall(kept[:NEIGHBOURS], drawn[:NEIGHBOURS])
    ratio = float(levels.double().var(0).sum() / (255 * real.double()).var(0).sum())
    return asdict(frechet_distance(kept, drawn)) | {
        "precision": near.precision,
        "recall": near.recall,
        "variance_of_data": ratio,
    }


@cache
def _real() -> Tensor:
    """Test images that no model has seen."""
    return er.load_data("mnist", preprocess="dequantise", progress=False).test.x[:SAMPLES] / 255.0
