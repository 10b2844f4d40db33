"""log p(x) of models with one or two latents, by quadrature."""

import math
from typing import Any

import torch

from elbowroom.numerics import CapabilityError, Estimate, as_batch
from elbowroom.vae import VAE
from elbowroom.vae.model import evaluating

__all__ = ["log_evidence_by_quadrature"]


@torch.no_grad()
def log_evidence_by_quadrature(
    vae: VAE, examples: Any, *, nodes: int = 2000, reach: float = 9.0, seed: int = 0
) -> Estimate:
    """log p(x) of a model with one or two latent dimensions and a standard-normal-like prior, in nats.

    The trapezoidal rule over [−reach, reach] per dimension, whose error falls faster than any power of the spacing on
    smooth integrands that vanish at the ends; `nodes` per dimension. Raises CapabilityError for more latents.
    Source: Trefethen & Weideman, "The exponentially convergent trapezoidal rule", 2014.
    """
    target = vae.target(as_batch(examples), seed)
    if target.dim > 2:
        raise CapabilityError(f"Quadrature serves one or two latent dimensions; this model has {target.dim}.")
    axis = torch.linspace(-reach, reach, nodes, dtype=vae.dtype, device=vae.device)
    grid = torch.cartesian_prod(*[axis] * target.dim).view(-1, 1, target.dim)
    index = target.index
    with evaluating(vae):
        log_cell = target.dim * math.log(2 * reach / (nodes - 1))
        pieces = []
        for z in grid.split(4096):
            z = z.expand(-1, len(index), -1)
            pieces.append((target.log_prior(z) + target.log_likelihood(z)).double().logsumexp(0))
    values = torch.stack(pieces).logsumexp(0) + log_cell
    return Estimate.of(
        values.cpu(), index=index.cpu(), quantity=vae.quantity, estimator="quadrature", direction="exact"
    )
