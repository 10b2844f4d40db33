"""Where the variance of x goes: in every model of the sweep, in the classics, and in the sum of all elements."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.data import Dataset
from elbowroom.metrics import VarianceBudget, variance_budget
from elbowroom.numerics import derived_seed
from elbowroom.sweeps import Swept
from elbowroom.vae import VAE

from .classics import Classic, as_seen

__all__ = ["variance_record", "variance_with_error"]

_DRAWS = 2_000
_REPEATS = 10


def variance_record(
    swept: Sequence[Swept], chosen: Swept, rivals: Sequence[Classic], data: Dataset, seed: int
) -> dict[str, Any]:
    """The split of Var x per model, z of a VAE over its aggregate posterior, and that of the chosen model's ink.

    Everything is on the scale the networks see; "data" is the variance of the validation examples on that scale.
    """
    seen, _ = as_seen(data, data.validation, seed)
    rows = [_vae_row(one.name, variance_budget(one.vae, data.validation, draws=_DRAWS, seed=seed)) for one in swept]
    rows += [_classic_row(rival, float(seen.var(0, ddof=1).sum())) for rival in rivals]
    return {"variance": rows, "ink": _ink(chosen.vae, data, seed)}


def _vae_row(name: str, budget: VarianceBudget) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "vae",
        "latent": budget.latent,
        "noise": budget.noise,
        "latent_share": budget.latent_share,
        "latent_share_se": budget.latent_share_se,
        "data": budget.data,
        "draws": _DRAWS,
    }


def _classic_row(rival: Classic, variance: float) -> dict[str, Any]:
    latent, noise = rival.split
    return {
        "name": rival.name,
        "kind": "classic",
        "latent": latent,
        "noise": noise,
        "latent_share": latent / (latent + noise),
        "latent_share_se": None,
        "data": variance,
        "draws": 0,
    }


def _ink(vae: VAE, data: Dataset, seed: int) -> dict[str, Any]:
    """Variance of the sum of all elements; independent budgets tell how sure its parts are."""
    budgets = [variance_budget(vae, data.validation, draws=_DRAWS, seed=derived_seed(seed, i)) for i in range(_REPEATS)]
    value, error = _data_ink(vae, data, seed)
    parts = ("latent", "noise_diagonal", "noise_covariance")
    drawn = np.array([[getattr(budget, f"ink_{part}") for part in parts] for budget in budgets])
    means, errors = drawn.mean(0), drawn.std(0, ddof=1) / math.sqrt(_REPEATS)
    return {
        "data": value,
        **dict(zip(parts, means.tolist(), strict=True)),
        "se": {"data": error, **dict(zip(parts, errors.tolist(), strict=True))},
        "draws": _DRAWS * _REPEATS,
    }


@torch.no_grad()
def _data_ink(vae: VAE, data: Dataset, seed: int) -> tuple[float, float]:
    batch = data.validation.batch()
    given, _ = vae.given(batch, vae.keyed_noise(0, batch.index, seed))
    return variance_with_error(given["x"][0].flatten(1).sum(1).double().cpu().numpy())


def variance_with_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """Sample variance of [n] values and its standard error, from their fourth moment.

    >>> value, error = variance_with_error(np.random.default_rng(0).normal(size=10_000))
    >>> bool(abs(value - 1.0) < 3 * error), round(error, 3)  # for a Normal, √(2 / n)
    (True, 0.014)
    """
    n, variance = len(values), float(values.var(ddof=1))
    fourth = float(((values - values.mean()) ** 4).mean())
    return variance, math.sqrt(max(fourth - variance**2 * (n - 3) / (n - 1), 0.0) / n)
