"""Where the variance of x goes: in every model of the sweep, and in the sum of all elements."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.data import Examples
from elbowroom.metrics import VarianceBudget, variance_budget
from elbowroom.numerics import derived_seed, in_parts
from elbowroom.records import InkRecord, Number, SweepRecord, VarianceRecord
from elbowroom.vae import VAE

from .train import Models

__all__ = ["ink_record", "variance_records", "variance_with_error"]

_DRAWS = 2_000
_REPEATS = 10


def variance_records(sweep: SweepRecord, models: Models, examples: Examples, seed: int) -> Iterator[VarianceRecord]:
    """The split of Var x of every model whose squares mean something, z over its aggregate posterior.

    Parameters
    ----------
    sweep, models : SweepRecord, Models
        The models.
    examples : Examples
        For validation.
    seed : int
        Of the draws.

    Yields
    ------
    VarianceRecord
        On the scale that the networks see.
    """
    for one in sweep.models:
        if one.why_no_squares is None and not one.diverged:
            yield _record(one.name, variance_budget(models[one.name], examples, draws=_DRAWS, seed=seed))


def _record(name: str, budget: VarianceBudget) -> VarianceRecord:
    return VarianceRecord(
        name=name,
        kind="vae",
        latent=budget.latent,
        noise=budget.noise,
        latent_share=Number(budget.latent_share, budget.latent_share_se),
        data=budget.data,
        draws=_DRAWS,
    )


def ink_record(vae: VAE, examples: Examples, seed: int) -> InkRecord:
    """Variance of the sum of all elements; independent budgets tell how sure its parts are.

    Parameters
    ----------
    vae : VAE
        The chosen model.
    examples : Examples
        For validation.
    seed : int
        Of the draws.

    Returns
    -------
    InkRecord
        On the scale that the networks see.
    """
    budgets = [variance_budget(vae, examples, draws=_DRAWS, seed=derived_seed(seed, i)) for i in range(_REPEATS)]
    parts = ("latent", "noise_diagonal", "noise_covariance")
    drawn = np.array([[getattr(budget, f"ink_{part}") for part in parts] for budget in budgets])
    means, errors = drawn.mean(0), drawn.std(0, ddof=1) / math.sqrt(_REPEATS)
    found = {part: Number(float(mean), float(se)) for part, mean, se in zip(parts, means, errors, strict=True)}
    return InkRecord(data=Number(*_data_ink(vae, examples, seed)), **found, draws=_DRAWS * _REPEATS)


@torch.no_grad()
def _data_ink(vae: VAE, examples: Examples, seed: int) -> tuple[float, float]:
    inks = []
    for part in in_parts(examples):
        given, _ = vae.given(part, vae.keyed_noise(0, part.index, seed))
        inks.append(given["x"][0].flatten(1).sum(1).double().cpu().numpy())
    return variance_with_error(np.concatenate(inks))


def variance_with_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """Sample variance of [n] values and its standard error, from their fourth moment.

    >>> value, error = variance_with_error(np.random.default_rng(0).normal(size=10_000))
    >>> bool(abs(value - 1.0) < 3 * error), round(error, 3)  # for a Normal, √(2 / n)
    (True, 0.014)
    """
    n, variance = len(values), float(values.var(ddof=1))
    fourth = float(((values - values.mean()) ** 4).mean())
    return variance, math.sqrt(max(fourth - variance**2 * (n - 3) / (n - 1), 0.0) / n)
