"""How well chains have mixed."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from elbowroom.numerics import InputError

__all__ = ["by_arviz", "rhat"]


def rhat(draws: Float[Tensor, "draws chains *event"]) -> Float[Tensor, "*event"]:
    """R-hat of each element: near 1 if the chains have mixed, above about 1.01 if they have not.

    Rank-normalised and split, the greater of bulk and tail.

    Parameters
    ----------
    draws : Tensor
        [draws, chains, *event]: at least four draws of at least two chains.

    Returns
    -------
    Tensor
        [*event], float64; NaN for an element that has one value in all draws, or a value that is not finite.

    Raises
    ------
    InputError
        For fewer draws or chains.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter & Bürkner, "Rank-normalization, folding, and localization: an improved
    R-hat for assessing convergence of MCMC" (2021).

    Examples
    --------
    >>> wide = torch.tensor([1.0, 1.0, 1.0, 5.0])      # one chain is five times wider, with the same mean
    >>> draws = wide * torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))
    >>> round(rhat(draws).item(), 2)
    1.23
    """
    if draws.shape[1] < 2:
        raise InputError("One chain cannot be compared with others; give 2 or more.")
    return by_arviz("rhat", draws)


def by_arviz(name: str, draws: Tensor, **how: str) -> Tensor:
    """An arviz-stats diagnostic of every element."""
    from arviz_stats.base import array_stats  # here, as it brings most of SciPy along

    if len(draws) < 4:
        raise InputError(f"Chains of {len(draws)} draws cannot be compared by halves; give 4 or more.")
    values: Any = draws.detach().double().cpu().numpy()
    with np.errstate(invalid="ignore", divide="ignore"):  # elements without spread: NaN
        found = getattr(array_stats, name)(values, chain_axis=1, draw_axis=0, **how)
    return torch.as_tensor(found, device=draws.device)
