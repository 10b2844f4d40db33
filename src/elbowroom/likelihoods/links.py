"""From a network's raw number to a parameter."""

import torch
from torch import Tensor

__all__ = ["bounded"]


def bounded(raw: Tensor, most: float) -> Tensor:
    """The raw number, smoothly held within ±most: slope 1 at 0, so that exp of it never overflows.

    >>> bounded(torch.tensor([0.1, -1e4]), 20.0)
    tensor([  0.1000, -20.0000])
    """
    return most * torch.tanh(raw / most)
