"""What is measured of a model of a sweep, on validation."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from elbowroom import models
from elbowroom.data import Dataset, Examples
from elbowroom.evidence.elbo_and_iwae import elbo_and_iwae
from elbowroom.metrics import latent_use, reconstruction_error
from elbowroom.numerics import Budget, CapabilityError, Estimate
from elbowroom.runs import History
from elbowroom.vae import VAE

from .swept import PASS, Swept

__all__ = ["swept_of"]

_MEASURED = ("rate", "distortion", "ELBO")


def swept_of(
    name: str,
    settings: Mapping[str, Any],
    vae: VAE,
    history: History,
    *,
    data: Dataset,
    draws: int,
    seed: int,
    recipe: models.Recipe | None = None,
) -> Swept:
    """A trained model with its bounds on data.validation; NaN where training diverged."""
    held_out, label = data.validation, models.label(settings) or "the only one"
    if history.diverged:
        budget = Budget(draws=draws, seed=seed)
        rate, distortion, elbo, iwae = (_nothing(vae, held_out, one, budget) for one in (*_MEASURED, f"IWAE-{draws}"))
        return Swept(name, label, settings, vae, history, rate, distortion, elbo, iwae, 0, None, recipe)
    (rate, distortion, elbo), iwae = elbo_and_iwae(vae, held_out, draws=draws, seed=seed, memory=PASS)
    active, squares = int(latent_use(vae, held_out).active.sum()), _squared_error(vae, held_out)
    return Swept(name, label, settings, vae, history, rate, distortion, elbo, iwae, active, squares, recipe)


def _nothing(vae: VAE, held_out: Examples, estimator: str, budget: Budget) -> Estimate:
    """What is measured of a model that is none."""
    values, index = np.full(len(held_out), np.nan), held_out.index.numpy()
    about: dict[str, Any] = {"quantity": vae.quantity, "estimator": estimator, "direction": "none"}
    return Estimate.of(values, values, index, budget=budget, data=held_out.data, **about)


def _squared_error(vae: VAE, held_out: Examples) -> float | None:
    try:
        return reconstruction_error(vae, held_out)
    except CapabilityError:
        return None
