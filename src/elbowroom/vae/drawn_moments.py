"""Mean and variance of a posterior block that has none in closed form."""

import torch
from torch import Tensor
from torch.distributions import Distribution

from elbowroom.distributions import draw
from elbowroom.numerics import derived_seed

from .core import VAECore

__all__ = ["drawn_moments"]

_AVERAGED = 0x3EA  # drawn with a seed of its own
_DRAWS, _AT_ONCE = 256, 16


def drawn_moments(vae: VAECore, name: str, q: Distribution, index: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Mean and variance by 256 draws, which the seed and the example key.

    Parameters
    ----------
    vae : VAE
        The model.
    name : str
        Of the block.
    q : Distribution
        Its distribution.
    index : Tensor
        [batch] int64, the place of each example in the data set.
    seed : int
        Keys the draws.

    Returns
    -------
    mean : Tensor
        [draws or 1, batch, *event].
    variance : Tensor
        The same shape.
    """
    other, total, squares = derived_seed(seed, _AVERAGED), torch.zeros(()), torch.zeros(())
    for first in range(0, _DRAWS, _AT_ONCE):
        value = draw(q, vae.keyed_noise(_AT_ONCE, index, other, first)[name])[0].double()
        total, squares = total + value.sum(0, keepdim=True), squares + value.square().sum(0, keepdim=True)
    mean = total / _DRAWS
    variance = (squares - _DRAWS * mean.square()).clamp_min(0) / (_DRAWS - 1)
    return mean.to(vae.dtype), variance.to(vae.dtype)
