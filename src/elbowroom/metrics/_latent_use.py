"""What each latent unit does."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import Rows, as_rows, in_parts, own_modes, plain_arguments
from elbowroom.numerics._most_of import most_of
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

__all__ = ["ACTIVE", "LatentUse", "latent_use"]

ACTIVE = 0.01
"""A unit is active where the variance over x of its posterior mean is larger (Burda et al. 2016)."""


@dataclass(frozen=True)
class LatentUse:
    """What each latent unit does; units stand in the order of the blocks.

    A unit that is active may carry next to nothing: a posterior mean whose variance is `ACTIVE` = 0.01 is worth about
    0.005 nats. `carriers` counts what does the work.

    Parameters
    ----------
    kl : array or None
        Mean KL(q ‖ p) per unit, [units], nats, and one number for all classes of a block over classes; None where a
        block has no closed form.
    active : array
        [units], whether the variance of the posterior mean over the examples is greater than `ACTIVE` = 0.01.
    means : array
        The posterior means, [n, units].
    """

    kl: NDArray[np.float64] | None
    active: NDArray[np.bool_]
    means: NDArray[np.float64]

    @property
    def carriers(self) -> int | None:
        """How many active units, the greatest KL first, it takes for 99 % of the KL of all units.

        None where `kl` is, and where the active ones do not reach it: a KL that is the same for every x carries
        nothing. Nor where a block is over classes, which have one KL together.
        """
        return (
            None
            if self.kl is None or len(self.kl) != len(self.active)
            else most_of(self.kl.tolist(), among=self.active.tolist())
        )


@own_modes
@plain_arguments
@torch.no_grad()
def latent_use(vae: VAE, examples: Any, *, seed: int = 0) -> LatentUse:
    """KL and activity of every latent unit over some examples.

    Parameters
    ----------
    vae : VAE
        The model.
    examples : Rows, Batch, array, tensor, DataFrame or list
        [n, *event] on the user's scale, such as `data.validation`.
    seed : int, default 0
        Keys the noise of the preprocessing and of q, by (seed, example).

    Returns
    -------
    LatentUse
        Per unit.

    References
    ----------
    Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders" (2016), of the rule of activity.

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> use = latent_use(vae, digits.validation)
    >>> use.kl.shape, use.active.shape, use.means.shape
    ((2,), (2,), (200, 2))
    >>> LatentUse(np.array([3.0, 0.02, 2.0]), np.array([True, True, True]), np.zeros((1, 3))).carriers
    2
    """
    rows = as_rows(examples)
    with evaluating(vae):
        blocks = vae.encode(rows, seed=seed).values()
        means = torch.cat([value.flatten(1) for value in blocks], 1).double().cpu().numpy()
        kl = _unit_kl(vae, rows, seed)
    return LatentUse(kl, means.var(0, ddof=1) > ACTIVE, means)


def _unit_kl(vae: VAE, rows: Rows, seed: int) -> NDArray[np.float64] | None:
    total: list[Tensor] = []
    for part in in_parts(rows):
        terms = vae(part, vae.keyed_noise(1, part.index, seed))
        units = [terms.elementwise_kl(name) for name in terms.z]
        if any(unit is None for unit in units):
            return None
        total.append(torch.cat([unit.double().sum((0, 1)).flatten() for unit in units if unit is not None]))
    return (torch.stack(total).sum(0) / len(rows)).cpu().numpy()
