"""q(y | x) of examples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError
from elbowroom.vae import VAE

__all__ = ["class_block", "probabilities"]


def class_block(vae: VAE) -> str:
    """The block of classes that is predicted: the only one of the model."""
    found = [name for name, block in vae.posterior.items() if block.form == "classes"]
    if len(found) != 1:
        raise InputError(
            f"This model has {len(found)} blocks of classes and predictions are of one: fit with --label COLUMN, or "
            f"with a recipe that says classes='label'."
        )
    return found[0]


def probabilities(vae: VAE, block: str, examples: Any, seed: int) -> NDArray[np.float64]:
    """q(y | x) of examples, [n, classes], in double precision."""
    p = vae.encode(examples, seed=seed)[block].double().numpy()
    return np.asarray(p / p.sum(1, keepdims=True))
