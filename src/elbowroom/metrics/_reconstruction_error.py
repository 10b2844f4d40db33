"""Squares between examples and their reconstructions."""

import math
from typing import Any

import torch
from torch import Tensor

from elbowroom.distributions import require
from elbowroom.numerics import as_batch
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

__all__ = ["psnr", "reconstruction_error"]


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
