"""Latents 1 to 250 on 1,000 images of MNIST: squared error, rate, units in use and log p, beside PCA's."""

from functools import cache
from typing import Any

import numpy as np
from scan import bounds
from shelf import Record, Row, normal, seen, vae

import elbowroom as er
from elbowroom.exact import ProbabilisticPCA
from elbowroom.metrics import latent_use, reconstruction_error

SIZES, IMAGES, TEST = (1, 2, 5, 10, 20, 50, 100, 250), 1_000, 1_000
SEEDS = (0,)
TRAINING: dict[str, Any] = {"epochs": 300, "lr_final": 1e-4, "progress": False}


def run() -> None:
    """records/sizes.json: a VAE with one learned σ; records/pca.json: probabilistic PCA in closed form."""
    Record("pca", images=IMAGES).rows([{"d": d} for d in SIZES], _pca)
    keys = [{"d": d, "seed": seed} for seed in SEEDS for d in SIZES]
    Record("sizes", images=IMAGES, hidden=[256], epochs=TRAINING["epochs"]).rows(keys, _trained)


@cache
def mnist() -> er.data.Dataset:
    """The first training images, 300 for validation, 1,000 for test."""
    data = er.load_data("mnist", preprocess="dequantise", progress=False)
    data.train, data.validation, data.test = data.train[:IMAGES], data.validation[:300], data.test[:TEST]
    return data


def model(d: int, seed: int) -> er.VAE:
    """One hidden layer on both sides."""
    return vae(mnist(), seed, normal(784, scale="shared"), latents=d, hidden=[256])


def _trained(d: int, seed: int) -> Row:
    data, one = mnist(), model(d, seed)
    er.fit(one, data, seed=seed, **TRAINING)
    return {
        "squared_error": [reconstruction_error(one, part) for part in (data.train, data.test)],
        "active": int(latent_use(one, data.test).active.sum()),
        "sigma2": float(one.likelihood.common_scale().detach()) ** 2,
        "train": bounds(one, data.train[:300]),
        "test": bounds(one, data.test[:300]),
    }


def _pca(d: int) -> Row:
    """PCA's squared errors, and probabilistic PCA's log p on the scale of the 256 levels, all images."""
    data = mnist()
    train, test = (seen(data, part) for part in (data.train, data.test))
    fitted = ProbabilisticPCA.fit(train, d)
    found = [fitted.log_prob(part).numpy() - 784 * np.log(256) for part in (train, test)]
    basis = np.linalg.qr(fitted.weights.numpy())[0]
    left = [np.square((part - train.mean(0)) @ (np.eye(784) - basis @ basis.T)).sum(1).mean() for part in (train, test)]
    return {
        "squared_error": [float(value) for value in left],
        "log_p": [[float(part.mean()), float(part.std()) / len(part) ** 0.5] for part in found],
        "rate": float(0.5 * np.log(_variances()[:d] / fitted.noise_variance).clip(0).sum()),
        "sigma2": fitted.noise_variance,
    }


@cache
def _variances() -> np.ndarray:
    """Of the principal components of the training images."""
    rows = seen(mnist(), mnist().train)
    return np.linalg.svd(rows - rows.mean(0), compute_uv=False) ** 2 / (len(rows) - 1)
