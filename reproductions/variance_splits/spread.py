"""How the variance is split, over seeds and starts of σ, and whether two seeds learn one latent."""

import itertools
from typing import Any

import numpy as np
from models import Record, measure, stack, vae
from sklearn.linear_model import LinearRegression

import elbowroom as er
from elbowroom.metrics import latent_use
from elbowroom.remedies import calibrate

SEEDS, LATENTS, HIDDEN = 10, 10, (128, 128)
TRAINING = {"epochs": 600, "batch_size": 100, "lr": 2e-3, "lr_final": 1e-4}
LEARNED = [("optimal", None)]
LEARNED += [(kind, None) for kind in ("low-rank", "sparse", "predicted", "shared", "feature")]
LEARNED += [(kind, 0.5) for kind in ("low-rank", "sparse", "predicted", "shared", "feature")]
LEARNED += [(kind, 0.05) for kind in ("predicted", "shared", "low-rank")]
BETAS = (0.01, 1.0)


def run() -> None:
    """Ten seeds of every decoder, each a stack."""
    data = er.load_data("digits")
    settings = {"data": "digits", "seeds": SEEDS, "latents": LATENTS, "hidden": HIDDEN, "training": TRAINING}
    record, pairs = Record("spread", settings), Record("two_seeds", settings)
    for beta in BETAS:
        record.row({"decoder": "fixed", "beta": beta}, lambda b=beta: fixed(b, data))
    for kind, start in LEARNED:
        record.row({"decoder": kind, "start": start}, lambda k=kind, s=start: learned(k, s, data, pairs))


def learned(kind: str, start: float | None, data: Any, pairs: Record) -> dict[str, Any]:
    """One stack; where σ starts at PCA's, its pairs of seeds are compared too."""
    settings = {} if start is None else {"start": start}
    vaes = [vae(kind, seed, LATENTS, 64, data.preprocess, HIDDEN, **settings) for seed in range(SEEDS)]
    histories = stack(vaes, data, **TRAINING)
    if start is None and kind in ("shared", "predicted"):
        pairs.row({"decoder": kind}, lambda: compared(vaes, data))
    epochs = [history.best_epoch for history in histories]
    return {"best_epochs": epochs, "models": [measure(model, data.test) for model in vaes]}


def fixed(beta: float, data: Any) -> dict[str, Any]:
    """A β-VAE at σ = 1, raw and calibrated."""
    vaes = [vae("fixed", seed, LATENTS, 64, data.preprocess, HIDDEN) for seed in range(SEEDS)]
    stack(vaes, data, beta, **TRAINING)
    found = [calibrate(model, data, draws=8) for model in vaes]
    return {
        "models": [measure(model, data.test) for model in vaes],
        "calibrated": [measure(one.vae, data.test) | {"sigma": one.value} for one in found],
    }


def compared(vaes: list[er.VAE], data: Any) -> dict[str, Any]:
    """Every pair of seeds: difference of IWAE with its error, and how far one's posterior means give the other's."""
    bounds = [er.evidence.iwae(model, data.test, draws=500) for model in vaes]
    train = [latent_use(model, data.train).means for model in vaes]
    test = [latent_use(model, data.test).means for model in vaes]
    rows = []
    for a, b in itertools.permutations(range(len(vaes)), 2):
        gap = bounds[a] - bounds[b]
        fitted = LinearRegression().fit(train[a], train[b])
        rows.append(
            {
                "pair": [a, b],
                "iwae_difference": gap.mean,
                "se": gap.se_total,
                "r2": r2(test[b], fitted.predict(test[a])),
                "r2_unit_to_unit": matched(test[a], test[b]),
                "cka": cka(test[a], test[b]),
            }
        )
    return {"iwae": [bound.mean for bound in bounds], "iwae_se": [bound.se_total for bound in bounds], "pairs": rows}


def r2(truth: np.ndarray, guess: np.ndarray) -> float:
    """Share of the total variance of [n, units] that is explained."""
    return 1 - float(((truth - guess) ** 2).sum() / ((truth - truth.mean(0)) ** 2).sum())


def matched(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared correlation of units, each of a paired with one of b as well as can be."""
    from scipy.optimize import linear_sum_assignment

    squared = np.corrcoef(a.T, b.T)[: a.shape[1], a.shape[1] :] ** 2
    return float(squared[linear_sum_assignment(-squared)].mean())


def cka(a: np.ndarray, b: np.ndarray) -> float:
    """Linear CKA (Kornblith, Norouzi, Lee & Hinton, "Similarity of neural network representations revisited", 2019).

    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> round(cka(x, 2 * x[:, ::-1]), 6)
    1.0
    """
    a, b = a - a.mean(0), b - b.mean(0)
    norm = np.linalg.norm
    return float(norm(a.T @ b) ** 2 / (norm(a.T @ a) * norm(b.T @ b)))
