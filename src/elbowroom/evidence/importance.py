"""Importance weights: the log of their mean with its error, and how heavy their tail is."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["LogMean", "generalised_pareto", "log_mean_exp", "pareto_shape"]

_SHORTEST_TAIL = 5  # weights that a Pareto shape is fitted to, at least
_LEAST = 1e-300  # excesses below it are as good as zero, but have a logarithm


class LogMean(NamedTuple):
    """log of a mean of weights, the Monte-Carlo variance of it (NaN from one draw), the effective sample size; [n]."""

    value: Float[Tensor, "n"]
    variance: Float[Tensor, "n"]
    ess: Float[Tensor, "n"]


def log_mean_exp(log_weights: Float[Tensor, "draws n"]) -> LogMean:
    """log (1/K) Σ_k w_k per column, for log w [draws, n]; K = draws.

    The variance is the jackknife's, (K − 1)/K Σ_k (ℓ_k − ℓ̄)² with ℓ_k the same number without draw k. In expectation
    it is at least the variance of the log-mean of K − 1 draws (times (K − 1)/K), however few weights dominate: averaged
    over examples it is honest where the delta method, whose 1/ESS − 1/K never passes 1, is several times too small. For
    one example with ESS below 10 it remains a rough guess. The expectation that it is about is that of the log-mean
    of K draws; how far this lies below the log of the expected weight it does not say. ESS = (Σ w)² / Σ w².
    Source: Efron & Stein, "The jackknife estimate of variance", 1981.

    >>> value, variance, ess = log_mean_exp(torch.tensor([[0.0], [0.0], [math.log(4.0)]]))
    >>> [round(v.item(), 3) for v in (value, variance, ess)]    # log 2; without one draw: log 2.5, log 2.5, log 1
    [0.693, 0.373, 2.0]
    """
    draws = len(log_weights)
    total = log_weights.logsumexp(0)
    value = total - math.log(draws)
    share = (log_weights - total).exp()
    ess = 1 / share.square().sum(0)
    if draws == 1:
        return LogMean(value, torch.full_like(value, torch.nan), ess)
    greatest = log_weights.argmax(0, keepdim=True)
    others = log_weights.scatter(0, greatest, -torch.inf).logsumexp(0)
    without = torch.log1p(-share.scatter(0, greatest, 0.0))  # up to a constant, log (K − 1) / K
    without = without.scatter(0, greatest, (others - total)[None])
    variance = (draws - 1) * without.var(0, correction=0)
    return LogMean(value, torch.where(variance.isfinite(), variance, torch.nan), ess)


def pareto_shape(log_weights: Float[Tensor, "draws n"]) -> Float[Tensor, "n"]:
    """k̂ [n]: the shape of the generalised Pareto distribution that the largest weights of each column follow.

    Weights have finite moments of order below 1/k. Above 0.7 no practical number of draws makes a mean of them
    reliable: the draws miss where the weight lies. Fitted to the largest min(0.2 K, 3 √K) of K weights and drawn
    towards 0.5 with the strength of ten of them. NaN where there are fewer than 25 draws, or too many equal weights.
    Source: Vehtari, Simpson, Gelman, Yao, Gabry, "Pareto smoothed importance sampling", 2024.

    >>> generator = torch.Generator().manual_seed(0)
    >>> exponential = torch.empty(100_000, 1, dtype=torch.float64).exponential_(generator=generator)
    >>> round(pareto_shape(0.9 * exponential).item(), 1)        # exp of it: exactly Pareto with shape 0.9
    0.9
    """
    draws, columns = log_weights.shape
    tail = math.ceil(min(0.2 * draws, 3 * math.sqrt(draws)))
    if tail < _SHORTEST_TAIL:
        return log_weights.new_full((columns,), torch.nan)
    largest = log_weights.mT.topk(tail + 1).values.flip(-1)
    largest = largest - largest[:, -1:]
    cut, above = largest[:, :1], largest[:, 1:]
    excess = (above + torch.log(-torch.expm1(cut - above))).exp()
    spread = (above > cut).sum(1) > 0.8 * tail  # ties with the cut carry no shape
    shape, _ = generalised_pareto(excess.clamp_min(_LEAST))
    return torch.where(spread, (tail * shape + 5) / (tail + 10), torch.nan)


def generalised_pareto(excess: Float[Tensor, "n tail"]) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
    """Shape k and scale σ [n] of the generalised Pareto distribution, from positive samples sorted upwards [n, tail].

    The posterior mean of k / σ on a grid, under a weakly informative prior that the data set the place of.
    Source: Zhang & Stephens, "A new and efficient estimation method for the generalized Pareto distribution", 2009.
    """
    size = excess.shape[1]
    nodes = 30 + int(math.sqrt(size))
    quartile, greatest = excess[:, int(size / 4 + 0.5) - 1, None], excess[:, -1:]
    place = torch.arange(1, nodes + 1, dtype=excess.dtype, device=excess.device) - 0.5
    ratio = 1 / greatest + (1 - (nodes / place).sqrt()) / (3 * quartile)  # −k / σ
    shape = torch.log1p(-ratio[:, :, None] * excess[:, None]).mean(-1)
    profile = size * ((-ratio / shape).log() - shape - 1)
    mean = (profile.softmax(-1) * ratio).sum(-1, keepdim=True)
    k = torch.log1p(-mean * excess).mean(-1)
    return k, -k / mean[:, 0]
