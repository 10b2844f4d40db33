"""Sweeps over β: one model trained several times, measured on validation, and one of them chosen."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elbowroom import evidence
from elbowroom.data import Dataset, Examples
from elbowroom.metrics import latent_use, reconstruction_error
from elbowroom.numerics import CapabilityError, Estimate, InputError
from elbowroom.objectives import Elbo
from elbowroom.training import History, fit_stacked, read_run
from elbowroom.vae import VAE

__all__ = ["Swept", "choose", "sweep"]


@dataclass(frozen=True)
class Swept:
    """One model of a sweep and what it measures on validation, in nats per example.

    elbo and iwae are bounds on log p(x) whatever β was trained with; rate + distortion = −elbo. squared_error: None
    where p(x | z) has no mean, as over classes without an order.
    """

    name: str
    beta: float
    vae: VAE
    history: History
    rate: Estimate
    distortion: Estimate
    elbo: Estimate
    iwae: Estimate
    active: int
    squared_error: float | None


def sweep(
    vae: VAE,
    data: Dataset,
    betas: Sequence[float] = (0.1, 0.3, 0.5, 1.0, 2.0, 5.0),
    *,
    draws: int = 100,
    seed: int = 0,
    runs: str | Path | None = None,
    resume: bool = False,
    **settings: Any,
) -> list[Swept]:
    """Train a copy of `vae` at every β from the same weights and noise, and measure each on data.validation.

    betas: of `Elbo`; draws: of IWAE; runs: a folder for one run folder per β; settings: of `fit_stacked`. With
    resume=True finished runs are read and an interrupted sweep goes on. Raises InputError as `fit` does.
    """
    if not betas or len(set(betas)) < len(betas):
        raise InputError(f"betas must be distinct and at least one; got {list(betas)}.")
    names = [f"beta-{beta:g}" for beta in betas]
    folders = None if runs is None else [Path(runs) / name for name in names]
    if folders and resume and all((folder / "summary.json").exists() for folder in folders):
        trained = [read_run(folder) for folder in folders]
    else:
        resume = resume and folders is not None and all((folder / "recipe.yaml").exists() for folder in folders)
        vaes = [copy.deepcopy(vae) for _ in betas]
        goals = [Elbo(beta) for beta in betas]
        histories = fit_stacked(vaes, data, goals, runs=folders, resume=resume, seed=seed, **settings)
        trained = list(zip(vaes, histories, strict=True))
    return [
        _measure(name, beta, *pair, data=data, draws=draws, seed=seed)
        for name, beta, pair in zip(names, betas, trained, strict=True)
    ]


def choose(swept: Sequence[Swept]) -> Swept:
    """The model with the best importance-weighted bound on validation."""
    return max(swept, key=lambda one: one.iwae.mean)


def _measure(name: str, beta: float, vae: VAE, history: History, *, data: Dataset, draws: int, seed: int) -> Swept:
    held_out = data.validation
    rate, distortion, elbo = evidence.rate_distortion(vae, held_out, draws=draws, seed=seed)
    iwae = evidence.iwae(vae, held_out, draws=draws, seed=seed)
    active = int(latent_use(vae, held_out).active.sum())
    return Swept(name, beta, vae, history, rate, distortion, elbo, iwae, active, _squared_error(vae, held_out))


def _squared_error(vae: VAE, held_out: Examples) -> float | None:
    try:
        return reconstruction_error(vae, held_out)
    except CapabilityError:
        return None
