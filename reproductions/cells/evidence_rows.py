"""Held-out evidence of one set of weights, by scvi-tools and by elbowroom."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import peer
import torch
from sets import cells

import elbowroom as er
from elbowroom.adapters import from_scvi, scvi_data

__all__ = ["ANNEALED", "divided", "measured"]

ANNEALED = {"simulated": 200, "worm": 200, "bladder": 200, "smfish": 200}
EPOCHS = {"simulated": 40, "worm": 10, "bladder": 20, "smfish": 20}
DRAWS, WEIGHED, DIVIDED, SIMULATED = 1_000, 50, 10, 4
HOW: dict[str, Any] = {"temperatures": 60, "chains": 6, "leapfrog": 5}


def measured(set: str, seed: int, runs: Path) -> dict[str, Any]:
    """One row: the same cells, the same weights, two packages."""
    found = cells(set)
    model = peer.trained(found, runs, seed=seed, epochs=EPOCHS[set])
    vae, data = from_scvi(model), scvi_data(model)
    test = data.test.index.numpy()
    row: dict[str, Any] = {"cells": len(found.x), "genes": found.x.shape[1], "test": len(test), "epochs": EPOCHS[set]}
    row |= {"quantity": vae.quantity, "assumed": list(vae.assumed)}
    row |= theirs(model, test) | ours(vae, data.test, ANNEALED[set])
    few = data.test[: ANNEALED[set]]
    both = er.evidence.bdmc(vae, few[:SIMULATED], **HOW)
    return row | {"BDMC gap": told(both.gap), "BDMC gap, 95 % sure below": both.gap_limit, "simulated cells": SIMULATED}


def theirs(model: Any, test: Any) -> dict[str, Any]:
    """get_elbo of five draws, and get_marginal_ll in passes that divide 1,000 and in passes that do not."""
    elbos = np.stack([np.asarray(model.get_elbo(indices=test, return_mean=False)) for _ in range(5)])
    row = {"their ELBO": [float(elbos.mean()), error(elbos.mean(0))]}
    start = time.process_time()
    exact = marginal(model, test[:WEIGHED], 100)
    row |= {"their marginal": [float(exact.mean()), error(exact)], "their seconds": time.process_time() - start}
    return row


def divided(set: str, seed: int, runs: Path) -> dict[str, Any]:
    """get_marginal_ll with the same 1,200 draws, once asked for 1,200 and once for 1,000 in passes of 300."""
    found = cells(set)
    model = peer.trained(found, runs, seed=seed, epochs=EPOCHS[set])
    some = model.test_indices[:DIVIDED]
    asked = {}
    for draws in (1_200, 1_000):
        torch.manual_seed(0)
        asked[draws] = marginal(model, some, 300, draws)
    off = asked[1_000] - asked[1_200]
    return {"n": DIVIDED, "too high by": [float(off.min()), float(off.max())], "log 1.2": math.log(1.2)}


def marginal(model: Any, rows: Any, each: int, draws: int = DRAWS) -> Any:
    """get_marginal_ll of each cell, in passes of so many draws."""
    how = {"n_mc_samples": draws, "n_mc_samples_per_pass": each, "return_mean": False, "batch_size": 10}
    return np.asarray(model.get_marginal_ll(indices=rows, **how))


def ours(vae: er.VAE, test: Any, annealed: int) -> dict[str, Any]:
    """ELBO of all test cells, IWAE of some, AIS of fewer, beside the IWAE of these."""
    start = time.process_time()
    row: dict[str, Any] = {"ELBO": told(er.evidence.elbo(vae, test, draws=20))}
    weighed = er.evidence.iwae(vae, test[:WEIGHED], draws=DRAWS)
    row |= {"IWAE": told(weighed), "IWAE, median ESS": float(np.median(weighed.ess)), "weighed": WEIGHED}
    row["our seconds"] = time.process_time() - start
    start = time.process_time()
    found = er.evidence.ais(vae, test[:annealed], **HOW)
    few = er.evidence.iwae(vae, test[:annealed], draws=DRAWS)
    return row | {
        "annealed": annealed,
        "AIS": told(found),
        "AIS − IWAE": told(found - few),
        "AIS − ELBO": told(found - er.evidence.elbo(vae, test[:annealed], draws=20)),
        "seconds of AIS": time.process_time() - start,
    }


def told(found: Any) -> list[float]:
    """Mean, its error over cells and that of the draws."""
    return [found.mean, found.se_points, found.se_mc]


def error(values: Any) -> float:
    """Standard error of a mean over cells."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values)))
