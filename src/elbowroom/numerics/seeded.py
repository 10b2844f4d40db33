"""Torch's global random state, seeded for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed the random state that networks and distributions draw from by themselves; what it was comes back.

    On the CPU no device is seeded: `torch.manual_seed` would seed every one that there is, whose state does not come
    back, and note for each that is not in use where it was called from, which takes longer than a training step of a
    small network.

    Parameters
    ----------
    seed : int
        Seed, from −2⁶³ to 2⁶⁴ − 1.
    device : torch.device, optional
        A CUDA device, to seed it too; by default the one that tensors are made on.

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
    device = torch.get_default_device() if device is None else device
    cuda = [device] if device.type == "cuda" else []
    seed_of = torch.manual_seed if cuda else torch.random.default_generator.manual_seed
    with torch.random.fork_rng(cuda):
        seed_of(seed)
        yield
