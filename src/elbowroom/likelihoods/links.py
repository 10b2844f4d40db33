"""From a network's raw number to a parameter."""

import torch
from torch import Tensor

__all__ = ["bounded"]


def bounded(raw: Tensor, most: float) -> Tensor:
    """A raw number, smoothly bounded to ±most, with slope 1 at 0: its exponential never overflows.

    Parameters
    ----------
    raw : Tensor
        Numbers of a network.
    most : float
        The bound.

    Returns
    -------
    Tensor
        Of the shape of `raw`.

    Examples
    --------
    >>> bounded(torch.tensor([0.1, -1e4]), 20.0)
    tensor([  0.1000, -20.0000])
    """
    return most * torch.tanh(raw / most)
