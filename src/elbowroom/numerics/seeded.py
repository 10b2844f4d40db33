"""Torch's global random state, seeded for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed the random state that networks and distributions draw from by themselves; what it was comes back.

    Only the states that come back are touched: `torch.manual_seed` would seed every device that there is, and notes for
    each that is not in use where it was called from, which takes longer than a training step of a small network.

    Parameters
    ----------
    seed : int
        Seed, from −2⁶³ to 2⁶⁴ − 1.
    device : torch.device, optional
        A CUDA device, to seed it too.

    Yields
    ------
    None
        Nothing.

    Examples
    --------
    >>> with seeded(3):
    ...     one = torch.rand(2)
    >>> with seeded(3):
    ...     bool((torch.rand(2) == one).all())
    True
    """
    cuda = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(cuda):
        torch.random.default_generator.manual_seed(seed)
        for one in cuda:
            with torch.cuda.device(one):
                torch.cuda.manual_seed(seed)
        yield
