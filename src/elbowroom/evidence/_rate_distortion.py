"""Rate and distortion: the two parts of the ELBO."""

import time
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elbowroom.numerics import Budget, Direction, Estimate, count, one_of
from elbowroom.progress import Progress
from elbowroom.vae import VAE, Terms
from elbowroom.vae.terms import KL

from .memory import MEMORY, Memory
from .model_passes import Sampled, checked, from_posterior, run_passes
from .target import Target

__all__ = ["RateDistortion", "rate_distortion"]


class RateDistortion(NamedTuple):
    """Rate KL(q(z | x) ‖ p(z)), distortion −E_q log p(x | z), and the ELBO, −rate − distortion, of the same draws."""

    rate: Estimate
    distortion: Estimate
    elbo: Estimate


def rate_distortion(
    model: VAE | Target,
    examples: Any = None,
    *,
    draws: int = 1,
    seed: int = 0,
    memory: Memory = MEMORY,
    kl: KL = "auto",
    progress: bool = False,
) -> RateDistortion:
    """Rate, distortion and ELBO per example from the same draws, in nats.

    Parameters
    ----------
    model : VAE or Target
        A VAE with its examples, or a Target that has its own.
    examples : anything that has rows, optional
        Of the VAE: a part of a data set, a Batch, an array, a tensor or a frame [n, *event].
    draws : int, default 1
        Per example.
    seed : int, default 0
        Keys all noise, by (seed, example).
    memory : int or str, default "1 GiB"
        Bytes, or words for them: a bound on what one pass holds. It changes no number beyond rounding.
    progress : bool, default False
        Whether standard error says how far it is.
    kl : str, default "auto"
        "closed", "sampled" or "auto": closed where it can be. A Target's is sampled.

    Returns
    -------
    RateDistortion
        Three Estimates [n]; rate and distortion are unbiased.

    Raises
    ------
    InputError
        Where there is nothing to measure, a setting means nothing, or the memory does not hold one example.
    CapabilityError
        For kl="closed" where there is no closed form.

    Source: Alemi et al., "Fixing a broken ELBO", 2018.
    """
    one_of("kl", kl, ("auto", "closed", "sampled"))

    def measure(terms: Terms | Sampled) -> tuple[Tensor, Tensor]:
        return terms.rate(kl), terms.log_likelihood

    start = time.monotonic()
    subject = checked(model, examples, draws)
    means: list[list[Tensor]] = [[], [], []]
    variances: list[list[Tensor]] = [[], [], []]
    with Progress("ELBO", len(subject), progress) as bar:
        passes = run_passes(subject, from_posterior(subject, measure, seed), draws, memory, bar)
        for rate, log_likelihood in passes:
            for kind, term in enumerate((rate, -log_likelihood, log_likelihood - rate)):
                mean, variance = _mean(term)
                means[kind].append(mean)
                variances[kind].append(variance)
    budget = Budget(draws, seed, time.monotonic() - start)

    def estimate(kind: int, quantity: str, estimator: str, direction: Direction) -> Estimate:
        return Estimate.of(
            torch.cat(means[kind]),
            torch.cat(variances[kind]),
            subject.index.cpu(),
            quantity=quantity,
            estimator=f"{estimator} with {count(draws, 'draw')}",
            direction=direction,
            budget=budget,
            data=subject.data,
        )

    return RateDistortion(
        estimate(0, "rate KL(q(z | x) ‖ p(z))", "mean", "unbiased"),
        estimate(1, "distortion −E log p(x | z)", "mean", "unbiased"),
        estimate(2, subject.quantity, "ELBO", "lower"),
    )


def _mean(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over draws [n] and the variance of that mean, NaN from one draw; values [draws, n]."""
    draws, mean = len(values), values.mean(0)
    return mean, values.var(0) / draws if draws > 1 else torch.full_like(mean, torch.nan)
