"""Bounds that are the log of a mean of importance weights."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from elbowroom.numerics import Budget, Estimate
from elbowroom.progress import Progress
from elbowroom.vae import VAE

from .importance import LogMean, log_mean_exp, pareto_shape
from .memory import Memory
from .model_passes import Pass, checked_subject, from_posterior, run_passes
from .target import Subject, Target

__all__ = ["UNCHECKED", "bound_of", "by_iwae", "log_means"]

UNCHECKED = "not checked from a second start"
"""What the printed line of a bound says whose draws all come from q(z | x), which cannot show what q misses."""


def log_means(
    model: VAE | Target,
    examples: Any,
    passes: Callable[[Subject, int], Pass],
    sizes: tuple[int, ...],
    name: Callable[[int], str],
    seed: int,
    memory: Memory,
    progress: bool,
    mean: Callable[[Tensor], LogMean] = log_mean_exp,
) -> tuple[Estimate, ...]:
    """Estimate log p(x) by logs of mean importance weights, for several numbers of draws from one set of them.

    Parameters
    ----------
    model : VAE or Target
        The model.
    examples : Any
        The examples of a VAE; None for a Target.
    passes : callable
        Takes a Subject and a seed and returns the pass that gives log-weights.
    sizes : tuple of int
        Numbers of draws K, ascending, each of which divides the last. For each, the estimate is the mean over the
        disjoint blocks of K draws.
    name : callable
        The estimator's name at K draws.
    seed : int
        Seed of all noise.
    memory : int or str
        Bytes, or words such as "1 GiB".
    progress : bool
        Whether to show progress on standard error.
    mean : callable, default log_mean_exp
        The log of the mean of weights that are one block, with its variance.

    Returns
    -------
    tuple of Estimate
        One for each size, [n], in nats; `ess` and `khat` for the last.
    """
    start = time.monotonic()
    draws = sizes[-1]
    subject = checked_subject(model, examples, draws)
    found: list[list[tuple[Tensor, ...]]] = [[] for _ in sizes]
    khat = []
    with Progress(name(draws), len(subject), show=progress) as bar:
        for (log_weight,) in run_passes(subject, passes(subject, seed), draws, memory, bar):
            for size, pieces in zip(sizes, found, strict=True):
                pieces.append(mean(log_weight) if size == draws else _mean_of_blocks(log_weight, size))
            khat.append(pareto_shape(log_weight))
    budget = Budget(draws, seed, time.monotonic() - start)
    return tuple(
        bound_of(
            pieces,
            subject,
            budget,
            name(size) + (f", mean of {draws // size:,} blocks" if size < draws else ""),
            khat if size == draws else None,
        )
        for size, pieces in zip(sizes, found, strict=True)
    )


def bound_of(
    pieces: Sequence[tuple[Tensor, ...]],
    subject: Subject,
    budget: Budget,
    estimator: str,
    khat: Sequence[Tensor] | None,
) -> Estimate:
    """The lower bound that log-means of all groups of examples come to.

    Parameters
    ----------
    pieces : sequence of tuple of Tensor
        Value, variance and effective sample size of each group, [n] each, as a LogMean.
    subject : Subject
        The model and its examples.
    budget : Budget
        What was spent.
    estimator : str
        Its name.
    khat : sequence of Tensor or None
        Of the weights of each group; None where they are not those of all draws, and have no diagnostics.

    Returns
    -------
    Estimate
        [n], in nats.
    """
    value, variance, ess = (torch.cat(column) for column in zip(*pieces, strict=True))
    return Estimate.of(
        value,
        variance,
        subject.index.cpu(),
        quantity=subject.quantity,
        estimator=estimator,
        direction="lower",
        budget=budget,
        ess=None if khat is None else ess,
        khat=None if khat is None else torch.cat(list(khat)),
        data=subject.data,
    )


def _mean_of_blocks(log_weight: Tensor, size: int) -> tuple[Tensor, ...]:
    """Mean of the log-means of disjoint blocks of `size` draws, its variance, and the ESS; [n] each."""
    blocks = len(log_weight) // size
    values = log_weight.unflatten(0, (blocks, size)).logsumexp(1) - math.log(size)
    return values.mean(0), values.var(0) / blocks, torch.full_like(values[0], torch.nan)


def by_iwae(subject: Subject, seed: int) -> Pass:
    """The pass that weighs draws from q(z | x) by p(x, z) / q(z | x).

    Parameters
    ----------
    subject : Subject
        The model and its examples.
    seed : int
        Seed of all noise.

    Returns
    -------
    callable
        A pass that gives log-weights [draws, batch].
    """
    return from_posterior(subject, lambda terms: (terms.log_weight,), seed)
