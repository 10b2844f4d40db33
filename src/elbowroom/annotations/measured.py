"""What a model knows of cells: codes, means of counts, log p(x)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.data import Examples
from elbowroom.distributions.capabilities import require
from elbowroom.evidence import iwae
from elbowroom.evidence.memory import Memory
from elbowroom.numerics import Estimate
from elbowroom.preprocess import mean_of_x
from elbowroom.progress import Progress
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

__all__ = ["Measured", "measured"]

_CELLS_AT_ONCE = 2**23  # numbers of decoded means that are held, draws × cells × genes


@dataclass(frozen=True)
class Measured:
    """What is written back.

    Parameters
    ----------
    codes : dict of array
        Block of latents → means of q, [n, latents].
    log_px : Estimate
        Of each cell.
    """

    codes: dict[str, NDArray[np.float32]]
    log_px: Estimate


def measured(
    vae: VAE,
    cells: Examples,
    take: Callable[[slice, NDArray[np.float32]], None] | None,
    *,
    draws: int,
    seed: int,
    memory: Memory,
    progress: bool,
) -> Measured:
    """Codes and log p(x) of cells; their means of counts are handed on part by part.

    Parameters
    ----------
    vae : VAE
        The model.
    cells : Examples
        What it reads.
    take : callable or None
        Gets the means [some, genes] of the cells at a slice; None where they are not wanted.
    draws : int
        From q(z | x): means are averages over at most 25 of them, log p(x) takes all.
    seed : int
        Keys all noise by cell.
    memory : int or str
        As for `er.evidence.iwae`.
    progress : bool
        Whether standard error shows how far it is.

    Returns
    -------
    Measured
        In the order of the cells.
    """
    vae.check_rows(cells)
    codes: dict[str, list[Any]] = {}
    times = min(draws, MEANS_OF)
    step = max(_CELLS_AT_ONCE // (cells.event[0] * times), 1)
    with Progress("annotating", len(cells), show=progress) as bar:
        for start in range(0, len(cells), step):
            places = slice(start, min(start + step, len(cells)))
            some = cells[places]
            for name, means in vae.encode(some, seed=seed).items():
                codes.setdefault(name, []).append(means.flatten(1).float().cpu().numpy())
            if take is not None:
                take(places, _means(vae, some, times, seed))
            bar.advance(len(some))
    found = iwae(vae, cells, draws=draws, seed=seed, memory=memory, progress=progress)
    return Measured({name: np.concatenate(parts) for name, parts in codes.items()}, found)


MEANS_OF = 25
"""Draws of z over which the mean of p(x | z) is averaged, at most."""


@torch.no_grad()
def _means(vae: VAE, cells: Examples, draws: int, seed: int) -> NDArray[np.float32]:
    """E[x | z] averaged over draws of q(z | x), at the cells' own contexts and sizes."""
    batch = cells.batch().to(vae.device)
    with evaluating(vae):
        p_x = vae(batch, vae.keyed_noise(draws, batch.index.cpu(), seed), lay_out=False).p_x
        require(p_x, "mean")
        means = mean_of_x(vae.preprocess, p_x).mean(0).expand(len(cells), -1)
        return means.float().cpu().numpy()
