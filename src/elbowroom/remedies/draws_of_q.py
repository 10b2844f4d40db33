"""Passes of a frozen model over its training data: draws of z, and what p(x | z) leaves of x."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from elbowroom.data import Examples
from elbowroom.vae import VAE, Terms
from elbowroom.vae.coarse import refuse_coarse
from elbowroom.vae.evaluating import evaluating

__all__ = ["MOST", "draws_of_q", "passes", "residuals_of"]

MOST = 10_000
"""Training examples that a part is fitted to, at most."""

_ROWS_AT_ONCE = 1_000


def passes(vae: VAE, examples: Examples, seed: int, draws: int = 1) -> Iterator[Terms]:
    """Draws of q for each example, a thousand of them at a time."""
    refuse_coarse(vae)
    at_once = max(1, _ROWS_AT_ONCE // draws)
    with evaluating(vae):
        for start in range(0, len(examples), at_once):
            batch = examples.rows(slice(start, start + at_once))
            with torch.no_grad():  # and not around the yield, where it would hold for whoever reads
                terms = vae(batch, vae.keyed_noise(draws, batch.index, seed), lay_out=False)
            yield terms


def draws_of_q(vae: VAE, examples: Examples, block: str, draws: int, seed: int) -> Tensor:
    """Draws of a latent block from q(z | x), [draws · n, *event].

    Examples of which nothing is seen are left out: their q is the prior, whatever the encoder returns.
    """
    found = []
    for terms in passes(vae, examples, seed, draws):
        z, unknown = terms.z[block], terms.unknown
        found.append((z if unknown is None else z[:, ~unknown]).flatten(0, 1))
    return torch.cat(found)


def residuals_of(vae: VAE, examples: Examples, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """x − mean of p(x | z) at a draw of q, the family's scale there, and which cells are seen, [n, *event] each.

    As preprocessed, float64; a thousand examples at a time.
    """
    for terms in passes(vae, examples, seed):
        family: Any = getattr(terms.p_x, "base_dist", terms.p_x)
        off = (terms.y - family.loc).double()
        yield off[0], family.scale.double().expand(off.shape)[0], terms.seen
