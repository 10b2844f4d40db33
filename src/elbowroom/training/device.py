"""Devices by the words of `fit`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from elbowroom.numerics import InputError

__all__ = ["device_named", "standing_on"]


def device_named(word: str) -> torch.device:
    """The device that a word names, where this process trains on it by itself.

    Parameters
    ----------
    word : str
        "cpu", "cuda", or "auto" for the best there is.

    Returns
    -------
    torch.device
        One that is there.

    Raises
    ------
    InputError
        For other words, and for a device that is not there.

    Examples
    --------
    >>> device_named("cpu")
    device(type='cpu')
    """
    if word not in ("cpu", "cuda", "auto"):
        raise InputError(f'device is "cpu", "cuda" or "auto" where models are trained together; got {word!r}.')
    there = torch.cuda.is_available()
    if word == "cuda" and not there:
        raise InputError('torch sees no CUDA device here: leave device= out, or say device="auto".')
    return torch.device("cuda" if there and word != "cpu" else "cpu")


@contextmanager
def standing_on(device: torch.device, modules: Sequence[nn.Module]) -> Iterator[None]:
    """Models moved to a device for a while; they end on the CPU, where one was moved.

    Parameters
    ----------
    device : torch.device
        Where to.
    modules : sequence of Module
        The models.

    Yields
    ------
    None
        While they are there.
    """
    if device.type == "cpu":
        yield
        return
    try:
        for module in modules:
            module.to(device)
        yield
    finally:
        for module in modules:
            module.cpu()
