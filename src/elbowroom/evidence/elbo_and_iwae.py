"""The ELBO with its parts and the importance-weighted bound, of the same draws in one pass."""

import time
from dataclasses import replace
from typing import Any

from torch import Tensor

from elbowroom.numerics import Budget, Estimate
from elbowroom.progress import Progress
from elbowroom.vae import VAE, Terms

from ._rate_distortion import RateDistortion, means_of, of_parts
from .importance import log_mean_exp, pareto_shape
from .log_means import UNCHECKED, bound_of
from .memory import MEMORY, Memory
from .model_passes import TargetTerms, checked_subject, from_posterior, run_passes
from .target import Target

__all__ = ["elbo_and_iwae"]


def elbo_and_iwae(
    model: VAE | Target, examples: Any = None, *, draws: int, seed: int, memory: Memory = MEMORY
) -> tuple[RateDistortion, Estimate]:
    """What `rate_distortion` and `iwae` give for as many draws, in half the time.

    Parameters
    ----------
    model : VAE or Target
        The model.
    examples : Any, default None
        The examples of a VAE; None for a Target.
    draws : int
        Draws of z from q(z | x) per example.
    seed : int
        Seed of all noise.
    memory : int or str, default "1 GiB"
        Bytes, or words such as "500 MB".

    Returns
    -------
    tuple of (RateDistortion, Estimate)
        In nats.

    Raises
    ------
    InputError
        As both.
    """
    start = time.monotonic()
    subject = checked_subject(model, examples, draws)
    parts, bounds, khat = [], [], []
    with Progress("ELBO and IWAE", len(subject), show=False) as bar:
        for rate, log_likelihood, log_weight in run_passes(
            subject, from_posterior(subject, _measured, seed), draws, memory, bar
        ):
            parts.append(means_of(rate, log_likelihood))
            bounds.append(log_mean_exp(log_weight))
            khat.append(pareto_shape(log_weight))
    budget = Budget(draws, seed, time.monotonic() - start)
    iwae = bound_of(bounds, subject, budget, f"IWAE-{draws}", khat)
    return of_parts(parts, subject, budget), replace(iwae, checked=UNCHECKED)


def _measured(terms: Terms | TargetTerms) -> tuple[Tensor, ...]:
    return terms.rate("auto"), terms.log_likelihood, terms.log_weight
