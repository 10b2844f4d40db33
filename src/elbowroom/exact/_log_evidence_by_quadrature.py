"""log p(x) of models with one or two latents, by quadrature."""

import math
from typing import Any

import torch

from elbowroom.evidence import Target
from elbowroom.evidence.target import subject_of
from elbowroom.numerics import CapabilityError, Estimate, plain_arguments
from elbowroom.vae import VAE

__all__ = ["log_evidence_by_quadrature"]

_EXAMPLES, _ROWS = 256, 2**16  # examples, and examples × nodes, at once


@plain_arguments
@torch.no_grad()
def log_evidence_by_quadrature(
    model: VAE | Target, examples: Any = None, *, nodes: int = 2000, reach: float = 9.0, seed: int = 0
) -> Estimate:
    """log p(x) of each example by numerical integration over one or two latent dimensions, in nats.

    Exact up to rounding if the posterior lies within ±`reach` and is wider than the spacing 2 · reach / (nodes − 1);
    there is no warning if it does not.

    Parameters
    ----------
    model : VAE or Target
        The model, of one or two latent dimensions. A VAE needs `examples`; a `Target`, any other model, brings its own.
    examples : array, tensor, DataFrame, Batch or part of a data set, default None
        The x to integrate for, one row per example, [n, *event], on the scale of the data that the VAE was trained on.
        Required for a VAE; left out for a Target.
    nodes : int, default 2000
        Evaluations per dimension.
    reach : float, default 9.0
        They are spread evenly over [−reach, reach] in every dimension.
    seed : int, default 0
        Seed of a stochastic preprocessing step, if the VAE has one.

    Returns
    -------
    Estimate
        log p(x) of each example [n], in nats, direction "exact".

    Raises
    ------
    InputError
        If there are no examples.
    CapabilityError
        For more than two latent dimensions.

    Notes
    -----
    The trapezoidal rule, whose error falls faster than any power of the spacing for smooth integrands that vanish at
    the ends.

    References
    ----------
    Trefethen & Weideman, "The exponentially convergent trapezoidal rule" (2014).

    Examples
    --------
    >>> import elbowroom as er
    >>> vae = VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           er.likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> x = torch.ones(1, 2)
    >>> found = log_evidence_by_quadrature(vae, x)
    >>> bool(abs(found.values[0] - er.exact.LinearVAE(vae).log_prob(x)[0]) < 1e-5)
    True
    """
    subject = subject_of(model, examples)
    target = subject.target(seed)
    if target.dim > 2:
        raise CapabilityError(f"Quadrature serves one or two latent dimensions; this model has {target.dim}.")
    place = target.rows(slice(0, 1)).draw_prior(1, seed)
    axis = torch.linspace(-reach, reach, nodes, dtype=place.dtype, device=place.device)
    grid = torch.cartesian_prod(*[axis] * target.dim).view(-1, 1, target.dim)
    log_cell = target.dim * math.log(2 * reach / (nodes - 1))
    starts = range(0, len(target.index), _EXAMPLES)
    values = [_log_sum(target.rows(slice(first, first + _EXAMPLES)), grid) + log_cell for first in starts]
    return Estimate.of(
        torch.cat(values).cpu(),
        index=target.index.cpu(),
        quantity=subject.quantity,
        estimator="quadrature",
        direction="exact",
        data=subject.data,
    )


def _log_sum(target: Target, grid: torch.Tensor) -> torch.Tensor:
    """log Σ p(x, z) over the grid, [n], float64."""
    pieces = []
    for z in grid.split(_ROWS // len(target.index)):
        z = z.expand(-1, len(target.index), -1)
        pieces.append((target.log_prior(z) + target.log_likelihood(z)).double().logsumexp(0))
    return torch.stack(pieces).logsumexp(0)
