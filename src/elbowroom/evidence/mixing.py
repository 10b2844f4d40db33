"""How well chains have mixed: split R-hat and the effective number of draws."""

import torch
from jaxtyping import Float
from torch import Tensor

from elbowroom.numerics import InputError

__all__ = ["effective_draws", "split_rhat"]


def split_rhat(draws: Float[Tensor, "draws chains *event"]) -> Float[Tensor, "*event"]:
    """√(variance of all draws / variance within half-chains), per element; near 1 where the chains have mixed.

    Raises InputError for fewer than four draws.
    Source: Vehtari, Gelman, Simpson, Carpenter, Bürkner, "Rank-normalization, folding, and localization: an improved
    R-hat for assessing convergence of MCMC", 2021.

    >>> split_rhat(torch.tensor([[0.0, 9.0], [1.0, 8.0], [0.0, 9.0], [1.0, 8.0]])) > 5
    tensor(True)
    """
    halves = _halves(draws)
    within = halves.var(0).mean(0)
    return (_pooled(halves, within) / within).sqrt()


def effective_draws(draws: Float[Tensor, "draws chains *event"]) -> Float[Tensor, "*event"]:
    """Number of independent draws whose mean has the variance that the mean of these has, per element.

    From autocorrelations over half-chains, cut off by Geyer's initial monotone sequence. Raises InputError for fewer
    than four draws.
    Source: Geyer, "Practical Markov chain Monte Carlo", 1992; Vehtari et al., "Rank-normalization, folding, and
    localization: an improved R-hat for assessing convergence of MCMC", 2021.

    >>> effective_draws(torch.randn(1000, 4, generator=torch.Generator().manual_seed(0))).round(decimals=-3)
    tensor(4000., dtype=torch.float64)
    """
    halves = _halves(draws)
    n, chains = halves.shape[:2]
    within = halves.var(0).mean(0)
    correlation = 1 - (within - _autocovariance(halves).mean(1)) / _pooled(halves, within)
    correlation[0] = 1
    pairs = correlation[: n // 2 * 2].unflatten(0, (-1, 2)).sum(1)
    positive = (pairs > 0).cummin(0).values
    time = 2 * (pairs.cummin(0).values * positive).sum(0) - 1
    total = torch.tensor(float(n * chains), dtype=torch.float64)
    return total / time.clamp(min=float(1 / total.log10()))


def _halves(draws: Tensor) -> Tensor:
    """The first and the last half of every chain as chains of their own, float64 [n // 2, 2 · chains, *event]."""
    if len(draws) < 4:
        raise InputError(f"Chains of {len(draws)} draws cannot be compared by halves; give 4 or more.")
    half = len(draws) // 2
    return torch.cat([draws[:half], draws[-half:]], 1).double()


def _pooled(halves: Tensor, within: Tensor) -> Tensor:
    n = len(halves)
    return within * (n - 1) / n + halves.mean(0).var(0)


def _autocovariance(halves: Tensor) -> Tensor:
    """Autocovariance of every chain at every lag, with divisor n."""
    n = len(halves)
    spectrum = torch.fft.rfft(halves - halves.mean(0), 2 * n, dim=0)
    return torch.fft.irfft(spectrum * spectrum.conj(), 2 * n, dim=0)[:n] / n
