"""What noise does: quantiles of pixels, floors of σ, a cross-entropy on grey levels, gradients of one draw."""

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy import stats
from shelf import SEEDS, Record, Row, digits, seen, vae
from torch import Tensor

import elbowroom as er
from elbowroom.distributions import simulate
from elbowroom.metrics import psnr, residual_correlation

MODEL: dict[str, Any] = {"latents": 10, "hidden": [128]}
TRAINING: dict[str, Any] = {"epochs": 100, "lr_final": 1e-4, "progress": False}

DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "σ = 1, data in [−1, 1]": ("dequantise-symmetric", {"scale": 1.0}),
    "one σ, learned": ("dequantise", {"scale": "shared"}),
    "σ(z)": ("dequantise", {"scale": "predicted"}),
    "sparse precision": (
        "dequantise",
        {"family": er.likelihoods.SparsePrecisionNormal, "image_shape": (8, 8), "neighbours": "shared"},
    ),
}


def quantiles() -> None:
    """records/quantiles.json: how quantiles of neighbouring pixels correlate, and how far a sample is from its mean."""
    keys = [{"decoder": name, "seed": seed} for name in DECODERS for seed in SEEDS]
    Record("quantiles", **MODEL, epochs=TRAINING["epochs"]).rows(keys, _quantiles)


def _quantiles(decoder: str, seed: int) -> Row:
    preprocess, settings = DECODERS[decoder]
    data = digits(preprocess=preprocess)
    model = vae(data, seed, **MODEL, **settings)
    er.fit(model, data, seed=seed, **TRAINING)
    span = 2.0 if preprocess.endswith("symmetric") else 1.0
    with torch.no_grad():
        batch = data.test.batch()
        generator = torch.Generator().manual_seed(seed)
        terms = model(batch, model.keyed_noise(1, batch.index, 0))
        given = model.given(batch, model.keyed_noise(0, batch.index, 0))[0]
        mean, sd = terms.p_x.mean[0], terms.p_x.stddev[0]
        drawn = simulate(terms.p_x, generator)[0]
        alpha = torch.randn(len(mean), 1, generator=generator)
        images = {"data": given["x"][0], "ancestral": drawn, "μ + ασ": mean + alpha * sd}
        away = float((drawn - mean).double().square().sum(1).mean())
        return {
            "adjacent": {name: _adjacent((x - mean) / sd) for name, x in images.items()},
            "psnr_of_sample": psnr(away, 64, span=span),
            "psnr_of_data": psnr(float((given["x"][0] - mean).double().square().sum(1).mean()), 64, span=span),
        }


def _adjacent(residuals: Tensor) -> list[float]:
    """Mean correlation of the quantiles of adjacent pixels, and its standard error."""
    found = residual_correlation(torch.special.ndtr(residuals), lags=1, image_shape=(8, 8))
    return [found.adjacent, float(found.se[1, 2] + found.se[2, 1]) / 2]


FLOORS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6)
FEW = {"validation": 1_300, "test": 397, "seed": 0, "progress": False}  # leaves 100 to train on


def floors() -> None:
    """records/floors.json: bits per dimension, trained on 100 images, against the least σ that is allowed."""
    keys = [{"kind": kind, "floor": f, "seed": s} for kind in ("raw", "dequantised") for f in FLOORS for s in SEEDS]
    keys += [{"kind": "discretised logistic", "floor": f, "seed": seed} for f in (1e-6, 0.0) for seed in SEEDS]
    record = Record("floors", images=100, epochs=600, latents=10, hidden=[256])
    record.rows(keys, _floor)
    exact = [{"kind": kind, "exact": True, "floor": f} for kind in ("raw", "dequantised") for f in FLOORS]
    record.rows(exact, _fitted)


@cache
def few(kind: str) -> er.data.Dataset:
    """A hundred digits to train on: in [0, 1] as they are, dequantised, or as levels."""
    levels = er.load_data("digits", preprocess="none", progress=False)
    rows = torch.cat([part.x for part in levels.parts.values()]).numpy()
    if kind == "raw":
        data = er.load_data(rows / 16, support="real", preprocess="none", **FEW)
    else:
        preprocess = "dequantise" if kind == "dequantised" else "none"
        data = er.load_data(rows, support="grid", preprocess=preprocess, **FEW)
    data.validation = data.validation[:50]  # chooses nothing: the last epoch is kept
    return data


def few_model(kind: str, floor: float, seed: int) -> er.VAE:
    """A model of them with σ(z) of this floor; 0: the floor that data settle by default."""
    settings: dict[str, Any] = {"scale": "predicted", "floor": floor or None}
    if kind == "discretised logistic":
        settings |= {"family": er.likelihoods.DiscretisedLogistic, "levels": 17}
    return vae(few(kind), seed, latents=10, hidden=[256], **settings)


def _floor(kind: str, floor: float, seed: int) -> Row:
    data, model = few(kind), few_model(kind, floor, seed)
    er.fit(model, data, epochs=600, batch_size=50, lr_final=1e-4, select="last", seed=seed, progress=False)
    found = {part: er.evidence.elbo(model, getattr(data, part), draws=16) for part in ("train", "test")}
    per_level = 64 * math.log(16) if kind == "raw" else 0.0  # a level is 1/16 wide there
    unit = 64 * math.log(2)
    return {name: [-(e.mean - per_level) / unit, e.se_total / unit] for name, e in found.items()}


def _fitted(kind: str, exact: bool, floor: float) -> Row:
    """One normal per pixel, fitted exactly: the decoder that reads no z, at its best for this floor."""
    data = few(kind)
    train, test = (seen(data, part) for part in (data.train, data.test))
    pixels = stats.norm(train.mean(0), np.maximum(train.std(0), floor))
    per_level = 64 * math.log2(16 if kind == "raw" else 17)  # how wide a level is
    return {name: -float(pixels.logpdf(x).sum(1).mean() / math.log(2) - per_level) / 64
            for name, x in (("train", train), ("test", test))}  # fmt: skip


def cross_entropy() -> None:
    """records/cross_entropy.json: a Bernoulli's cross-entropy on grey levels, and densities."""
    Record("cross_entropy", **MODEL, epochs=TRAINING["epochs"]).rows([{"seed": seed} for seed in SEEDS], _cross_entropy)


def _cross_entropy(seed: int) -> Row:
    data, bits = digits(), digits(preprocess="binarise-fixed")
    made = {
        "cross-entropy": vae(data, seed, **MODEL, family=er.likelihoods.Bernoulli, unnormalised=True),
        "continuous Bernoulli": vae(data, seed, **MODEL, family=er.likelihoods.ContinuousBernoulli),
        "truncated normal": vae(data, seed, **MODEL, family=er.likelihoods.TruncatedNormal),
        "Bernoulli on bits": vae(bits, seed, **MODEL, family=er.likelihoods.Bernoulli),
    }
    for name, model in made.items():
        er.fit(model, bits if name.endswith("bits") else data, seed=seed, **TRAINING)
    wrong = made["cross-entropy"]
    likelihood = er.likelihoods.ContinuousBernoulli(wrong.likelihood.network, 64)
    made["the same networks, normalised"] = er.VAE(
        wrong.prior["z"], wrong.posterior["z"], likelihood, preprocess=data.preprocess
    )
    found = {}
    for name, model in made.items():
        e = er.evidence.iwae(model, (bits if name.endswith("bits") else data).test, draws=500)
        jacobian = 0.0 if name.endswith("bits") else 64 * math.log(17)  # nats on [0, 1]
        found[name] = [e.mean + jacobian, e.se_total]
    return {"iwae": found}


KLS = ("closed", "sampled", "sticking-the-landing")
EPOCHS = (1, 10, 50)


def gradients() -> None:
    """records/gradients.json: variance of the encoder's gradient, by how the KL is computed and by draws."""
    Record("gradients", **MODEL, noises=100).rows([{"seed": seed} for seed in SEEDS], _gradients)


def _gradients(seed: int) -> Row:
    data = digits()
    model = vae(data, seed, **MODEL, scale="shared")
    found, done = [], 0
    for epochs in EPOCHS:
        er.fit(model, data, epochs=epochs - done, select="last", seed=seed + epochs, progress=False)
        done = epochs
        variances = {f"{kl}, {draws}": _variance(model, data, kl, draws) for kl in KLS for draws in (1, 8)}
        held = er.evidence.rate_distortion(model, data.test, draws=8)
        found.append({"epoch": epochs, "rate": held.rate.mean, "elbo": held.elbo.mean, "variance": variances})
    return {"epochs": found}


def _variance(model: er.VAE, data: er.data.Dataset, kl: Any, draws: int) -> float:
    """Total variance over 100 noises of the encoder's gradient on 100 images."""
    batch, objective = data.train[:100].batch(), er.objectives.Elbo(kl=kl, draws=draws)
    parameters = list(model.posterior.parameters())
    total = squares = torch.zeros(())
    for number in range(100):
        noise = model.keyed_noise(draws, batch.index, number)
        noise |= {"x": model.keyed_noise(1, batch.index, 0)["x"]}  # the same dequantisation
        gradient = torch.autograd.grad(objective(model, batch, noise, torch.tensor(math.inf)).total, parameters)
        flat = torch.cat([part.flatten() for part in gradient]).double()
        total, squares = total + flat, squares + flat.square()
    return float(((squares - total.square() / 100) / 99).sum())
