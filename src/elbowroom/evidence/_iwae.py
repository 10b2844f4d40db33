"""Bounds by importance weighting: IWAE, its whole curve, and the naive mean over draws from the prior."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import Batch, Budget, Estimate, InputError
from elbowroom.numerics.streams import PRIOR
from elbowroom.progress import Progress
from elbowroom.vae import VAE

from .importance import log_mean_exp, pareto_shape
from .passes import MEMORY, Memory, Pass, checked, from_posterior, measured
from .target import Subject, Target

__all__ = ["IwaeCurve", "iwae", "iwae_curve", "prior_sampling"]


def iwae(
    model: VAE | Target,
    examples: Any = None,
    *,
    draws: int = 500,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> Estimate:
    """The importance-weighted bound log (1/K) Σ_k p(x, z_k) / q(z_k | x) per example, in nats; K = draws.

    In expectation a lower bound on log p(x) that grows with K. The Monte-Carlo variance is that of this bound, by the
    jackknife (see `evidence.importance.log_mean_exp`). `khat` above 0.7 says that q(z | x) misses where p(z | x) lies,
    so that the bound may lie far below log p(x); the printed line counts such examples.

    Parameters
    ----------
    model : VAE or Target
        A VAE with its examples, or a Target that has its own.
    examples : anything that has rows, optional
        Of the VAE: a part of a data set, a Batch, an array, a tensor or a frame [n, *event].
    draws : int, default 500
        Per example.
    seed : int, default 0
        Keys all noise, by (seed, example).
    memory : int or str, default "1 GiB"
        Bytes, or words for them: a bound on what one pass holds. It changes no number beyond rounding.
    progress : bool, default False
        Whether standard error says how far it is.

    Returns
    -------
    Estimate
        [n], direction "lower", with `ess` and `khat`.

    Raises
    ------
    InputError
        Where there is nothing to measure, a setting means nothing, or the memory does not hold one example.

    Source: Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", 2016.

    >>> from elbowroom import VAE, likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> iwae(vae, torch.zeros(3, 2), draws=64).estimator
    'IWAE-64'
    """
    return _log_means(model, examples, _by_iwae, (draws,), "IWAE-{}".format, seed, memory, progress)[0]


@dataclass(frozen=True)
class IwaeCurve:
    """The IWAE-K bound for several K from one set of draws: `draws`, ascending, and an Estimate for each.

    Printed: a line per K. The estimates share their draws, so the true error of a difference of two of them is below
    what subtracting them says.
    """

    draws: tuple[int, ...]
    estimates: tuple[Estimate, ...]

    @property
    def khat(self) -> NDArray[np.float64]:
        """Pareto shape of each example's importance weights, over all draws, [n]; NaN from fewer than 25."""
        khat = self.estimates[-1].khat
        assert khat is not None
        return khat

    def __str__(self) -> str:
        return "\n".join(str(estimate) for estimate in self.estimates)


def iwae_curve(
    model: VAE | Target,
    examples: Any = None,
    *,
    draws: int | Sequence[int] = 5000,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> IwaeCurve:
    """The IWAE-K bound per example, in nats, for growing K from one set of draws.

    Each K takes the mean over the disjoint blocks of K draws, so that every number is unbiased for its own bound, and
    all see the same draws. The Monte-Carlo variance is that of the mean of blocks where there are several, else the
    jackknife's as for `iwae`.

    Parameters
    ----------
    model : VAE or Target
        A VAE with its examples, or a Target that has its own.
    examples : anything that has rows, optional
        Of the VAE: a part of a data set, a Batch, an array, a tensor or a frame [n, *event].
    draws : int or sequence of int, default 5,000
        How many, K then going up in steps of about √10; or the K themselves, each dividing the greatest.
    seed : int, default 0
        Keys all noise, by (seed, example).
    memory : int or str, default "1 GiB"
        Bytes, or words for them: a bound on what one pass holds. It changes no number beyond rounding.
    progress : bool, default False
        Whether standard error says how far it is.

    Returns
    -------
    IwaeCurve
        An Estimate for each K.

    Raises
    ------
    InputError
        Where there is nothing to measure, a setting means nothing, or the memory does not hold one example.

    Source: Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", 2016.

    >>> from elbowroom import VAE, likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> iwae_curve(vae, torch.zeros(3, 2), draws=1000).draws
    (1, 4, 10, 25, 100, 250, 1000)
    """
    sizes = _dividing(draws) if isinstance(draws, Sequence) else _steps(draws)
    estimates = _log_means(model, examples, _by_iwae, sizes, "IWAE-{}".format, seed, memory, progress)
    return IwaeCurve(sizes, estimates)


def prior_sampling(
    model: VAE | Target,
    examples: Any = None,
    *,
    draws: int = 500,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> Estimate:
    """The naive estimate log (1/K) Σ_k p(x | z_k) with z_k ~ p(z), per example, in nats; K = draws.

    In expectation a lower bound on log p(x), and a poor one beyond a few latent dimensions: draws from the prior then
    hardly ever meet the posterior, which `khat` above 0.7 and a small `ess` say. Every example has draws of its own.
    Any prior will do whose blocks can be drawn from noise.

    Parameters
    ----------
    model : VAE or Target
        A VAE with its examples, or a Target that has its own.
    examples : anything that has rows, optional
        Of the VAE: a part of a data set, a Batch, an array, a tensor or a frame [n, *event].
    draws : int, default 500
        Per example.
    seed : int, default 0
        Keys all noise, by (seed, example).
    memory : int or str, default "1 GiB"
        Bytes, or words for them: a bound on what one pass holds. It changes no number beyond rounding.
    progress : bool, default False
        Whether standard error says how far it is.

    Returns
    -------
    Estimate
        [n], direction "lower", with `ess` and `khat`.

    Raises
    ------
    InputError
        Where there is nothing to measure, a setting means nothing, or the memory does not hold one example.

    >>> from elbowroom import VAE, likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> prior_sampling(vae, torch.zeros(3, 2), draws=64).estimator
    'prior sampling, 64 draws'
    """
    name = "prior sampling, {:,} draws".format
    return _log_means(model, examples, _from_prior, (draws,), name, seed, memory, progress)[0]


def _log_means(
    model: VAE | Target,
    examples: Any,
    passes: Callable[[Subject, int], Pass],
    sizes: tuple[int, ...],
    name: Callable[[int], str],
    seed: int,
    memory: Memory,
    progress: bool,
) -> tuple[Estimate, ...]:
    """Estimates of the bound by the mean of log-means of `size` draws, for each size that divides the last."""
    start = time.monotonic()
    draws = sizes[-1]
    subject = checked(model, examples, draws)
    found: list[list[tuple[Tensor, ...]]] = [[] for _ in sizes]
    khat = []
    with Progress(name(draws), len(subject), progress) as bar:
        for (log_weight,) in measured(subject, passes(subject, seed), draws, memory, bar):
            for size, pieces in zip(sizes, found, strict=True):
                pieces.append(_mean_of_blocks(log_weight, size))
            khat.append(pareto_shape(log_weight))
    budget = Budget(draws, seed, time.monotonic() - start)
    estimates = []
    for size, pieces in zip(sizes, found, strict=True):
        value, variance, ess = (torch.cat(column) for column in zip(*pieces, strict=True))
        estimates.append(
            Estimate.of(
                value,
                variance,
                subject.index.cpu(),
                quantity=subject.quantity,
                estimator=name(size) + (f", mean of {draws // size:,} blocks" if size < draws else ""),
                direction="lower",
                budget=budget,
                ess=ess if size == draws else None,
                khat=torch.cat(khat) if size == draws else None,
                data=subject.data,
            )
        )
    return tuple(estimates)


def _mean_of_blocks(log_weight: Tensor, size: int) -> tuple[Tensor, ...]:
    """Mean of the log-means of disjoint blocks of `size` draws, its variance, and the ESS; [n] each."""
    blocks = len(log_weight) // size
    if blocks == 1:
        return log_mean_exp(log_weight)
    values = log_weight.unflatten(0, (blocks, size)).logsumexp(1) - math.log(size)
    return values.mean(0), values.var(0) / blocks, torch.full_like(values[0], torch.nan)


def _by_iwae(subject: Subject, seed: int) -> Pass:
    return from_posterior(subject, lambda terms: (terms.log_weight,), seed)


def _from_prior(subject: Subject, seed: int) -> Pass:
    """Passes that draw from p(z); an observed block keeps its value, whose log p is then part of the weight."""
    vae = subject.vae
    if vae is None:
        return lambda part, draws, first: (part.log_likelihood(part.draw_prior(draws, seed, first)),)

    def one_pass(batch: Batch, draws: int, first: int) -> tuple[Tensor, ...]:
        given, total = vae.given(batch, vae.keyed_noise(0, batch.index, seed))
        given = vae.keyed_prior(given, draws, batch.index, seed, first, PRIOR, batch.observed)
        for name, block in vae.prior.items():
            if name in batch.observed:
                _, mask = batch.observed[name]
                total = total + block(given).log_prob(given[name]).where(mask, 0.0)
        return (vae.likelihood(given).log_prob(given["x"]) + total,)

    return one_pass


def _steps(draws: int) -> tuple[int, ...]:
    """Divisors of `draws` about √10 apart, 1 and `draws` among them."""
    if draws < 1:
        return (draws,)  # refused where all draws are checked
    divisors = [k for k in range(1, draws + 1) if draws % k == 0]
    targets = [draws / 10 ** (i / 2) for i in range(2 * len(str(draws)))]
    return tuple(sorted({min(divisors, key=lambda k: abs(math.log(k / target))) for target in targets} | {1, draws}))


def _dividing(draws: Sequence[int]) -> tuple[int, ...]:
    """The K asked for, ascending, where each divides the greatest."""
    sizes = tuple(sorted(set(draws)))
    if not sizes or sizes[0] < 1 or any(sizes[-1] % k for k in sizes):
        raise InputError(f"Each K of the curve must be 1 or more and divide the greatest; got {tuple(draws)}.")
    return sizes
