"""How the kept epoch is chosen."""

import math
from collections.abc import Callable
from typing import Literal

import torch

from elbowroom.data import Dataset, Examples
from elbowroom.likelihoods import Normal
from elbowroom.numerics import in_parts
from elbowroom.procedures import Procedure
from elbowroom.vae import VAE

__all__ = ["SELECT", "Select", "Values", "fixed_normal", "values_by"]

Select = Literal["objective", "calibrated", "last"]
SELECT = ("objective", "calibrated", "last")


Values = Callable[[dict[str, float], dict[str, float]], float]
"""(train row, validation row) → the number by which epochs are chosen; smaller is better."""


def values_by(select: Select, vae: VAE, procedure: Procedure, data: Dataset, seed: int) -> Values:
    """What the kept epoch is chosen by.

    Parameters
    ----------
    select : {"objective", "calibrated", "last"}
        As for `fit`.
    vae : VAE
        The model.
    procedure : Procedure
        What it is trained by.
    data : Dataset
        What it is trained on.
    seed : int
        Keys the noise of the preprocessing.

    Returns
    -------
    callable
        (train row, validation row) → a number in nats; smaller is better.
    """
    if select == "calibrated":
        return _calibrated_bound(vae, data, seed)
    return lambda _, validation: procedure.kept_by(validation)


def fixed_normal(vae: VAE) -> bool:
    """Whether the likelihood is a Normal with one fixed scale."""
    return isinstance(vae.likelihood, Normal) and not isinstance(vae.likelihood.scale, str)


def _calibrated_bound(vae: VAE, data: Dataset, seed: int) -> Values:
    """The negative bound on validation at the scale that fits the training data best: σ² = squared error / D."""
    dimensions, sigma = math.prod(vae.likelihood.event), float(vae.likelihood.scale)  # type: ignore[arg-type]
    jacobians = [_mean_log_jacobian(vae, part, seed) for part in (data.train, data.validation)]
    constant = dimensions * math.log(sigma * math.sqrt(2 * math.pi))

    def squares(row: dict[str, float], jacobian: float) -> float:
        return 2 * sigma**2 * (row["distortion"] + jacobian - constant)

    def value(trained: dict[str, float], validated: dict[str, float]) -> float:
        variance = squares(trained, jacobians[0]) / dimensions
        error = squares(validated, jacobians[1])
        if not variance > 0:
            return math.nan
        return 0.5 * (error / variance + dimensions * math.log(2 * math.pi * variance)) + validated["rate"]

    return value


@torch.no_grad()
def _mean_log_jacobian(vae: VAE, examples: Examples, seed: int) -> float:
    total = 0.0
    for batch in in_parts(examples):
        _, log_jacobian = vae.given(batch, vae.keyed_noise(0, batch.index, seed))
        total += log_jacobian.double().sum().item()
    return total / len(examples)
