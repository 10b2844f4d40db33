"""Convolutions of 32-bit numbers on a GPU, with all bits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["whole_products"]


@contextmanager
def whole_products() -> Iterator[None]:
    """For a while, let cuDNN multiply what a convolution is given, and not that rounded to TF32, as torch lets it.

    Rounded to ten bits, a network's output moves by 10⁻³ of itself, and a log-density of many cells with it.

    Yields
    ------
    None
        While products are whole; what was set before comes back.

    Examples
    --------
    >>> with whole_products():
    ...     torch.backends.cudnn.conv.fp32_precision
    'ieee'
    """
    conv: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before = conv.fp32_precision
    conv.fp32_precision = "ieee"
    try:
        yield
    finally:
        conv.fp32_precision = before
