"""Squares between examples and their reconstructions."""

import math
from typing import Any

import torch
from torch import Tensor

from elbowroom.distributions import require
from elbowroom.numerics import Batch, as_rows, in_parts, own_modes, plain_arguments
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

__all__ = ["psnr", "reconstruction_error"]


@own_modes
@plain_arguments
def reconstruction_error(vae: VAE, examples: Any, *, seed: int = 0) -> float:
    """Mean squared error of reconstructions, summed over elements: the mean over examples of ‖y − ŷ‖².

    y is the preprocessed example and ŷ the mean of p(y | z) at the mean of q(z | x): the scale is the network's, on
    which a grid is dequantised. `psnr` turns it into dB.

    Parameters
    ----------
    vae : VAE
        The model.
    examples : Rows, Batch, array, tensor, DataFrame or list
        [n, *event] on the user's scale, such as `data.validation`.
    seed : int, default 0
        Keys the noise of the preprocessing, by example.

    Returns
    -------
    float
        In squared units of y.

    Raises
    ------
    CapabilityError
        Where p(x | z) has no mean, as over classes without an order.

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> 0 < reconstruction_error(vae, digits.validation) < 64
    True
    """
    return float(_squares(vae, examples, seed).mean())


@plain_arguments
def psnr(squared_error: float, dimensions: int, *, span: float = 1.0) -> float:
    """Peak signal-to-noise ratio of a squared error.

    Parameters
    ----------
    squared_error : float
        Per example, summed over elements, as `reconstruction_error` returns it.
    dimensions : int
        Elements of an example; where cells are missing, which have no squares, those that are seen, on average.
    span : float, default 1.0
        What the data span, on the same scale.

    Returns
    -------
    float
        In dB; infinite for an error of 0.

    Examples
    --------
    >>> round(psnr(0.64, 64), 2)
    20.0
    """
    return 10 * math.log10(span**2 * dimensions / squared_error) if squared_error > 0 else math.inf


@torch.no_grad()
def _squares(vae: VAE, examples: Any, seed: int) -> Tensor:
    with evaluating(vae):
        return torch.cat([_squares_of(vae, part, seed) for part in in_parts(as_rows(examples))])


def _squares_of(vae: VAE, batch: Batch, seed: int) -> Tensor:
    given = vae.at_means(batch, seed=seed)
    p_x = vae.likelihood(given)
    require(p_x, "mean")
    squares = (p_x.mean - given["x"])[0].double().square()
    if batch.seen is not None:
        squares = squares.where(batch.seen.to(squares.device), 0.0)
    return squares.flatten(1).sum(1)
