"""How many independent draws chains are worth."""

from jaxtyping import Float
from torch import Tensor

from ._rhat import by_arviz

__all__ = ["effective_draws"]


def effective_draws(draws: Float[Tensor, "draws chains *event"]) -> Float[Tensor, "*event"]:
    """How many independent draws would give a mean as precise as that of these autocorrelated ones, per element.

    Parameters
    ----------
    draws : Tensor
        [draws, chains, *event]: at least four draws.

    Returns
    -------
    Tensor
        [*event], float64, from autocorrelations over half-chains, cut off by Geyer's initial monotone sequence.

    Raises
    ------
    InputError
        For fewer draws.

    References
    ----------
    Geyer, "Practical Markov chain Monte Carlo" (1992).
    Vehtari, Gelman, Simpson, Carpenter & Bürkner, "Rank-normalization, folding, and localization: an improved
    R-hat for assessing convergence of MCMC" (2021).

    Examples
    --------
    >>> import torch
    >>> effective_draws(torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))).round(decimals=-3)
    tensor(4000., dtype=torch.float64)
    """
    return by_arviz("ess", draws, method="mean")
