"""Modules as they are in use, for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from elbowroom.numerics._own_modes import without_autocast

__all__ = ["evaluating"]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while, and no autocast, whose half precision moves log-densities; what was comes back."""
    were_training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with without_autocast():
            yield
    finally:
        for part in were_training:
            part.training = True
