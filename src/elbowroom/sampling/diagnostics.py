"""How well chains have mixed: R-hat and the effective number of draws, as arviz-stats has them."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from elbowroom.numerics import InputError

__all__ = ["effective_draws", "rhat"]


def rhat(draws: Float[Tensor, "draws chains *event"]) -> Float[Tensor, "*event"]:
    """Rank-normalised split R-hat, the greater of bulk and tail, per element; near 1 where the chains have mixed.

    Parameters
    ----------
    draws : Float[Tensor, "draws chains *event"]
        Four draws or more, of two chains or more. Fewer raise InputError.

    Returns
    -------
    Float[Tensor, "*event"]
        float64; NaN where an element has one value in all draws, or one that is not finite.

    Source: Vehtari, Gelman, Simpson, Carpenter, Bürkner, "Rank-normalization, folding, and localization: an improved
    R-hat for assessing convergence of MCMC", 2021; computed by arviz-stats.

    >>> wide = torch.tensor([1.0, 1.0, 1.0, 5.0])                # one chain is five times wider: no mean shows it
    >>> draws = wide * torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))
    >>> round(rhat(draws).item(), 2)
    1.23
    """
    if draws.shape[1] < 2:
        raise InputError("One chain cannot be compared with others; give 2 or more.")
    return _by_arviz("rhat", draws)


def effective_draws(draws: Float[Tensor, "draws chains *event"]) -> Float[Tensor, "*event"]:
    """Number of independent draws whose mean has the variance that the mean of these has, per element.

    Parameters
    ----------
    draws : Float[Tensor, "draws chains *event"]
        Four draws or more. Fewer raise InputError.

    Returns
    -------
    Float[Tensor, "*event"]
        float64, from autocorrelations over half-chains, cut off by Geyer's initial monotone sequence.

    Source: Geyer, "Practical Markov chain Monte Carlo", 1992; Vehtari et al., "Rank-normalization, folding, and
    localization: an improved R-hat for assessing convergence of MCMC", 2021; computed by arviz-stats.

    >>> effective_draws(torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))).round(decimals=-3)
    tensor(4000., dtype=torch.float64)
    """
    return _by_arviz("ess", draws, method="mean")


def _by_arviz(name: str, draws: Tensor, **how: str) -> Tensor:
    """An arviz-stats diagnostic of every element."""
    from arviz_stats.base import array_stats  # here, as it brings most of SciPy along

    if len(draws) < 4:
        raise InputError(f"Chains of {len(draws)} draws cannot be compared by halves; give 4 or more.")
    values: Any = draws.detach().double().cpu().numpy()
    with np.errstate(invalid="ignore", divide="ignore"):  # elements without spread: NaN
        found = getattr(array_stats, name)(values, chain_axis=1, draw_axis=0, **how)
    return torch.as_tensor(found, device=draws.device)
