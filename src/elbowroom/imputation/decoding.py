"""From draws of z to draws of the missing cells, on the user's scale."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Size, Tensor

from elbowroom.distributions import capabilities, known_mean, simulate_missing
from elbowroom.numerics import Batch, Given, derived_seed, keyed_generators
from elbowroom.numerics.streams import IMPUTATION
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating
from elbowroom.vae.on_cpu import on_cpu

__all__ = ["classes_of", "decode_missing"]


@torch.no_grad()
def decode_missing(vae: VAE, batch: Batch, z: Tensor, seed: int) -> list[NDArray[np.float64]]:
    """Draws of the missing cells of each example of a batch.

    Parameters
    ----------
    vae : VAE
        The model.
    batch : Batch
        Examples with missing cells.
    z : Tensor
        Draws of z, [samples, batch, dim]: every latent block, in the prior's order.
    seed : int
        Keys the noise, by example.

    Returns
    -------
    list of array
        Per example, [samples, missing cells], on the user's scale.
    """
    host = on_cpu(vae)
    found: list[NDArray[np.float64]] = []
    with evaluating(host):
        given, _ = host.given(batch, host.keyed_noise(0, batch.index, seed))
        given |= _blocks(host, z.to(host.dtype))
        seen, _ = host.mask_of(batch)
        assert seen is not None
        generators = keyed_generators(batch.index.cpu(), derived_seed(seed, IMPUTATION), 0)
        for column, generator in enumerate(generators):
            own = {name: t[:, column : column + 1] if t.shape[1] > 1 else t for name, t in given.items()}
            p_x = host.likelihood({name: one.expand(len(z), *one.shape[1:]) for name, one in own.items()})
            p_x = p_x.expand(Size([len(z), 1])) if p_x.batch_shape != (len(z), 1) else p_x
            y = simulate_missing(p_x, own["x"], seen[column], generator)
            x = host.preprocess.inverse(y.expand(len(z), 1, *y.shape[2:])[:, 0])
            found.append(x.double()[:, ~seen[column]].numpy())
    return found


def _blocks(vae: VAE, z: Tensor) -> Given:
    sizes = [Size(block.event).numel() for block in vae.prior.values()]
    parts = zip(vae.prior.items(), z.split(sizes, -1), strict=True)
    return {name: part.unflatten(-1, block.event) for (name, block), part in parts}


@torch.no_grad()
def classes_of(vae: VAE, example: Batch) -> NDArray[np.bool_]:
    """Which elements of x are classes without an order, [D]: those without a mean, whose draws are no numbers."""
    with evaluating(vae):
        p_x = vae(example, vae.keyed_noise(1, example.index, 0), lay_out=False).p_x
        if "moments" in capabilities(p_x):
            return np.zeros(example.x[0].numel(), bool)
        found: NDArray[np.bool_] = known_mean(p_x).flatten(2)[0, 0].isnan().cpu().numpy()
        return found
