"""Figures about a trained model on held-out examples, beside its likelihood."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.distributions import require
from elbowroom.numerics import Batch, as_batch
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

__all__ = ["ACTIVE", "LatentUse", "latent_use", "neighbour_accuracy", "psnr", "reconstruction_error"]

ACTIVE = 0.01
"""A unit is active where the variance over x of its posterior mean is larger (Burda et al. 2016)."""

_ROWS_AT_ONCE = 1_000


@dataclass(frozen=True)
class LatentUse:
    """What each latent unit does, units in the order of the blocks.

    kl: mean KL(q ‖ p) per unit in nats, or None where a block has no closed form; active: whether the variance of the
    posterior mean over the examples exceeds `ACTIVE`; means: [n, units], the posterior means.
    """

    kl: NDArray[np.float64] | None
    active: NDArray[np.bool_]
    means: NDArray[np.float64]


@torch.no_grad()
def latent_use(vae: VAE, examples: Any, *, seed: int = 0) -> LatentUse:
    """KL and activity of every latent unit over the examples.

    Source of the activity rule: Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders", 2016.
    """
    batch = as_batch(examples)
    with evaluating(vae):
        means = torch.cat([value.flatten(1) for value in vae.encode(batch, seed).values()], 1).double().cpu().numpy()
        kl = _unit_kl(vae, batch, seed)
    return LatentUse(kl, means.var(0, ddof=1) > ACTIVE, means)


def _unit_kl(vae: VAE, batch: Batch, seed: int) -> NDArray[np.float64] | None:
    total: list[Tensor] = []
    for rows in torch.arange(len(batch)).split(_ROWS_AT_ONCE):
        part = batch.rows(rows)
        terms = vae(part, vae.keyed_noise(1, part.index, seed))
        units = [terms.elementwise_kl(name) for name in terms.z]
        if any(unit is None for unit in units):
            return None
        total.append(torch.cat([unit.double().sum((0, 1)).flatten() for unit in units if unit is not None]))
    return (torch.stack(total).sum(0) / len(batch)).cpu().numpy()


def reconstruction_error(vae: VAE, examples: Any, *, seed: int = 0) -> float:
    """Mean over examples of ‖y − ŷ‖², y the preprocessed example and ŷ the decoder's mean at the encoder's mean.

    On the network's scale, where the data's grid is dequantised; see `psnr`. Raises CapabilityError where p(x | z) has
    no mean, as over classes without an order.
    """
    return float(_squares(vae, examples, seed).mean())


def psnr(squared_error: float, dimensions: int, *, span: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error per example, for data that span `span`.

    >>> round(psnr(0.64, 64), 2)
    20.0
    """
    return 10 * math.log10(span**2 * dimensions / squared_error) if squared_error > 0 else math.inf


@torch.no_grad()
def _squares(vae: VAE, examples: Any, seed: int) -> Tensor:
    batch = as_batch(examples)
    with evaluating(vae):
        given = vae.at_means(batch, seed)
        p_x = vae.likelihood(given)
        require(p_x, "mean")
        squares = (p_x.mean - given["x"])[0].double().square()
        if batch.seen is not None:
            squares = squares.where(batch.seen.to(squares.device), 0.0)
        return squares.flatten(1).sum(1)


def neighbour_accuracy(
    train: NDArray[np.floating],
    train_labels: NDArray[np.int64],
    test: NDArray[np.floating],
    test_labels: NDArray[np.int64],
    *,
    k: int = 5,
) -> float:
    """Share of test rows that a k-nearest-neighbour vote over the training rows labels rightly.

    >>> rows = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> neighbour_accuracy(rows, np.array([0, 0, 1, 1]), np.array([[0.05]]), np.array([0]), k=1)
    1.0
    """
    from sklearn.neighbors import KNeighborsClassifier

    k = min(k, len(train))
    return float(KNeighborsClassifier(k).fit(train, train_labels).score(test, test_labels))
