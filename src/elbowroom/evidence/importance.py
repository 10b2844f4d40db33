"""Importance weights: the log of their mean with its error, and how heavy their tail is."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["LogMean", "generalised_pareto", "log_mean_exp", "log_mean_of_parts", "pareto_shape"]

_SHORTEST_TAIL = 5  # weights that a Pareto shape is fitted to, at least
_LEAST = 1e-300  # excesses below it are as good as zero, but have a logarithm


class LogMean(NamedTuple):
    """The log of a mean of importance weights, with its error, per example.

    Parameters
    ----------
    value : Tensor
        The log of the mean, [n], in nats.
    variance : Tensor
        Its Monte-Carlo variance, [n], in nats²; NaN from one draw.
    ess : Tensor
        The effective sample size (Σ w)² / Σ w², [n].
    """

    value: Float[Tensor, "n"]
    variance: Float[Tensor, "n"]
    ess: Float[Tensor, "n"]


def log_mean_exp(log_weights: Float[Tensor, "draws n"]) -> LogMean:
    """The log of the mean of importance weights, log (1/K) Σ_k w_k, with its Monte-Carlo variance.

    Parameters
    ----------
    log_weights : Tensor
        log w, [draws, n], in nats; K = draws.

    Returns
    -------
    LogMean
        The log-mean, its variance and the effective sample size, [n] each.

    Notes
    -----
    The variance is the jackknife's, (K − 1)/K Σ_k (ℓ_k − ℓ̄)² with ℓ_k the log-mean without draw k. In expectation it
    is at least (K − 1)/K times the variance of the log-mean of K − 1 draws, however few weights dominate. So averaged
    over examples it is honest where the delta method, whose 1/ESS − 1/K never passes 1, is several times too small. For
    one example with ESS below 10 it remains a rough guess. It is the variance around the expected log-mean of K draws;
    how far that lies below the log of the expected weight it does not say.

    References
    ----------
    Efron & Stein, "The jackknife estimate of variance" (1981).

    Examples
    --------
    >>> value, variance, ess = log_mean_exp(torch.tensor([[0.0], [0.0], [math.log(4.0)]]))
    >>> [round(v.item(), 3) for v in (value, variance, ess)]    # log 2; without one draw: log 2.5, log 2.5, log 1
    [0.693, 0.373, 2.0]
    """
    draws = len(log_weights)
    total = log_weights.logsumexp(0)
    ess = 1 / (log_weights - total).exp().square().sum(0)
    if draws == 1:
        return LogMean(total, torch.full_like(total, torch.nan), ess)
    variance = (draws - 1) * (_without_each(log_weights) - total).var(0, correction=0)
    return LogMean(total - math.log(draws), torch.where(variance.isfinite(), variance, torch.nan), ess)


def log_mean_of_parts(parts: Sequence[Float[Tensor, "_draws n"]], shares: Sequence[float]) -> LogMean:
    """The log of a mean of importance weights whose draws were dealt to the parts of a mixture in fixed numbers.

    Parameters
    ----------
    parts : sequence of Tensor
        log w of each part's draws, [draws, n], in nats.
    shares : sequence of float
        The weight of each part in the mixture.

    Returns
    -------
    LogMean
        The log of Σ_s share_s · mean of w over the draws of s, its variance by the jackknife within each part, and the
        effective sample size: the number of draws whose plain mean would vary as much.

    Notes
    -----
    What differs between the parts adds no variance, as their numbers of draws are fixed. NaN if a part has one draw.

    References
    ----------
    Owen & Zhou, "Safe and effective importance sampling" (2000).

    Examples
    --------
    >>> sure = log_mean_of_parts([torch.zeros(3, 1), torch.full((2, 1), -50.0)], [0.6, 0.4])
    >>> [round(found.item(), 3) for found in sure]      # log 0.6, without error
    [-0.511, 0.0, 5.0]
    """
    if len(parts) == 1:
        return log_mean_exp(parts[0])
    means = [part.logsumexp(0) + math.log(share / len(part)) for part, share in zip(parts, shares, strict=True)]
    value = torch.stack(means).logsumexp(0)
    variance, relative = torch.zeros_like(value), torch.zeros_like(value)
    for place, (part, share) in enumerate(zip(parts, shares, strict=True)):
        others = torch.stack([mean for other, mean in enumerate(means) if other != place]).logsumexp(0)
        without = torch.logaddexp(_without_each(part) + math.log(share), others)
        variance = variance + (len(part) - 1) * without.var(0, correction=0)
        shares_of_mean = (part - value + math.log(share)).exp()
        spread = shares_of_mean.var(0) if len(part) > 1 else torch.full_like(value, torch.nan)
        relative = relative + spread / len(part)
    ess = 1 / (1 / sum(map(len, parts)) + relative)
    return LogMean(value, torch.where(variance.isfinite(), variance, torch.nan), ess)


def _without_each(log_weights: Float[Tensor, "draws n"]) -> Float[Tensor, "draws n"]:
    """The log-mean of all draws but one, for each; NaN of one draw."""
    draws = len(log_weights)
    if draws == 1:
        return torch.full_like(log_weights, torch.nan)
    total, greatest = log_weights.logsumexp(0), log_weights.argmax(0, keepdim=True)
    others = log_weights.scatter(0, greatest, -torch.inf).logsumexp(0)  # the difference to the total would be rounding
    share = (log_weights - total).exp().scatter(0, greatest, 0.0)
    without = (total + torch.log1p(-share)).scatter(0, greatest, others[None])
    return torch.where(total == -torch.inf, total, without) - math.log(draws - 1)


def pareto_shape(log_weights: Float[Tensor, "draws n"]) -> Float[Tensor, "n"]:
    """The Pareto shape k̂ of importance weights: how heavy the tail of the largest weights is.

    Above 0.7 no practical number of draws makes a mean of the weights reliable: the draws miss where the weight lies.

    Parameters
    ----------
    log_weights : Tensor
        log w, [draws, n], in nats.

    Returns
    -------
    Tensor
        k̂, [n]; NaN from fewer than 25 draws, or too many equal weights.

    Notes
    -----
    The shape of a generalised Pareto distribution, fitted to the largest min(0.2 K, 3 √K) of K weights and shrunk
    towards 0.5 with the strength of ten of them. Weights have finite moments of order below 1/k.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao & Gabry, "Pareto smoothed importance sampling" (2024).

    Examples
    --------
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
    """Shape and scale of the generalised Pareto distribution fitted to positive samples.

    Parameters
    ----------
    excess : Tensor
        Positive samples, ascending, [n, tail].

    Returns
    -------
    tuple of Tensor
        Shape k and scale σ, [n] each.

    Notes
    -----
    The posterior mean of k / σ on a grid, under a weakly informative prior located by the data.

    References
    ----------
    Zhang & Stephens, "A new and efficient estimation method for the generalized Pareto distribution" (2009).

    Examples
    --------
    >>> even = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    >>> k, scale = generalised_pareto(-torch.log1p(-even)[None])      # quantiles of an exponential: k = 0, σ = 1
    >>> round(k.item(), 1) + 0.0, round(scale.item(), 1)
    (0.0, 1.0)
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
