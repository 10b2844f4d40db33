"""Check words over what networks returned."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.components import Component
from elbowroom.numerics import Given
from elbowroom.vae import VAE

from .portable import Array

__all__ = ["OfGroup", "Outputs", "digest", "run"]


class Outputs:
    """Check words by group and part, so that an encoder and a decoder have the same.

    Parameters
    ----------
    vae : VAE
        The rounded model.
    """

    def __init__(self, vae: VAE) -> None:
        named = [("p", vae.prior.items()), ("q", vae.posterior.items()), ("p", [("x", vae.likelihood)])]
        self.names = {id(part): f"{kind} {name}" for kind, parts in named for name, part in parts}
        self.found: dict[tuple[int, str], bytes] = {}

    def of_group(self, number: int) -> "OfGroup":
        """What runs networks on one group."""
        return OfGroup(self, number)

    def word(self) -> bytes:
        """One check word over all, 8 bytes."""
        return digest(b"".join(word for _, word in sorted(self.found.items())))


@dataclass
class OfGroup:
    """Runs networks on one group.

    Parameters
    ----------
    outputs : Outputs
        Where check words are kept.
    number : int
        Of the group.
    """

    outputs: Outputs
    number: int

    def __call__(self, part: Component, given: Given) -> Array:
        """What a network returns, [n, numbers], of which a check word is kept."""
        numbers = run(part, given)
        self.note(self.outputs.names[id(part)], numbers.astype("<f8", copy=False))
        return numbers

    def note(self, name: str, numbers: NDArray[Any]) -> None:
        """Keep a check word over these numbers."""
        self.outputs.found[self.number, name] = digest(numbers.tobytes())


@torch.no_grad()
def run(part: Component, given: Given) -> Array:
    """What a component's network returns for the first draw, [n, numbers]."""
    out = part.network_output(given)[0]
    return np.ascontiguousarray(out.reshape(out.shape[0], -1).cpu().numpy(), np.float64)


def digest(content: bytes) -> bytes:
    """A check word of 8 bytes."""
    return hashlib.sha256(content).digest()[:8]
