"""Our own model of cells along β and latent size, on every set, after a long training; latent classes beside."""

import os
import platform
from typing import Any

import numpy as np
import torch
from own_rows import BATCH, data_of
from sets import cells
from structure_rows import DRAWS, LOOKED_AT, against_truth, by_latent, structure

import elbowroom as er
from elbowroom.objectives import LinearSchedule
from elbowroom.studies.sized import sized_rivals

__all__ = ["POINTS", "SETS", "WEIGHED", "along", "classes"]

SETS = ("smfish", "simulated", "bladder", "worm")
POINTS = ((1.0, 10), (10.0, 10), (0.1, 10), (1.0, 2), (1.0, 30))  # β, latents
WEIGHED = 100  # test cells of IWAE
ACTIVE = 0.05
WARM, PATIENCE = 20, 45  # epochs over which β rises, and those without a better one after which training ends


def along(set: str, beta: float, latents: int, seed: int, epochs: int) -> dict[str, Any]:
    """One model of the words of the zoo's `scvi`, at the epoch that was best on validation by its own objective."""
    found = cells(set)
    data = data_of(found)
    vae = er.models.build({"model": "scvi", "latents": latents, "seed": seed}, data)
    warm = min(WARM, max(epochs // 4, 1)) * -(-len(data.train) // BATCH)
    objective = er.objectives.Elbo(beta, schedule=LinearSchedule(warm))
    settings: dict[str, Any] = {"epochs": epochs, "batch_size": BATCH, "patience": PATIENCE, "seed": seed}
    history = er.fit(vae, data, objective, progress=False, **settings)
    test = data.test
    bound, weighed = er.evidence.elbo(vae, test, draws=10), er.evidence.iwae(vae, test[:WEIGHED], draws=DRAWS)
    kl = by_latent(vae, test)
    of_clusters = structure(vae.encode(test)["z"].numpy(), found)
    if not found.batch.any():
        of_clusters.pop("batch mixing")
    return {
        "quantity": vae.quantity,
        "trained": len(history.rows),
        "best epoch": history.best_epoch,
        "ELBO": [bound.mean, bound.se_points, bound.se_mc],
        "IWAE": [weighed.mean, weighed.se_points, weighed.se_mc],
        "IWAE of each cell": [float(one) for one in weighed.values],
        "IWAE, median ESS": float(np.median(weighed.ess)),
        "rate": float(kl.sum()),
        "in use": int((kl > ACTIVE).sum()),
        **of_clusters,
        **(against_truth(vae, test[:LOOKED_AT], found) if found.truth else {}),
        "torch": torch.__version__,
        **machine(),
    }


def classes(set: str, seed: int) -> dict[str, Any]:
    """What independent counts and latent classes, given the size, score on the same test cells: mean, error."""
    data = data_of(cells(set))
    found, _, _ = sized_rivals(data, seed, False)
    few = set_of(data.test.index[:WEIGHED])
    row: dict[str, Any] = {**machine()}
    for one in found:
        values = one.estimate.values
        ours = [float(v) for place, v in zip(one.estimate.index, values, strict=True) if int(place) in few]
        row[one.name] = {"log p": [one.estimate.mean, one.estimate.se_points], "setting": one.setting, "of each": ours}
    return row


def set_of(index: Any) -> Any:
    """Their places."""
    return {int(one) for one in index}


def machine() -> dict[str, str]:
    """Where a row is made."""
    return {"machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"}
