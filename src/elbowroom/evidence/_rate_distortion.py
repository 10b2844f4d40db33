"""Rate and distortion: the two parts of the ELBO."""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from elbowroom.numerics import Budget, Direction, Estimate, count, one_of, own_modes, plain_arguments
from elbowroom.progress import Progress
from elbowroom.vae import VAE, Terms
from elbowroom.vae.terms import KL

from .memory import MEMORY, Memory
from .model_passes import TargetTerms, checked_subject, from_posterior, run_passes
from .target import Subject, Target

__all__ = ["Means", "RateDistortion", "means_of", "of_parts", "rate_distortion"]

Means = list[tuple[Tensor, Tensor]]
"""Of rate, distortion and ELBO of some examples: the mean over draws and its variance, [n] each."""


class RateDistortion(NamedTuple):
    """Rate, distortion and ELBO of the same draws, from `rate_distortion`; elbo = −rate − distortion.

    Printed: a line for each.

    Parameters
    ----------
    rate : Estimate
        KL(q(z | x) ‖ p(z)) per example [n], in nats.
    distortion : Estimate
        −E_q log p(x | z) per example [n], in nats.
    elbo : Estimate
        The evidence lower bound per example [n], in nats.
    """

    rate: Estimate
    distortion: Estimate
    elbo: Estimate

    def __repr__(self) -> str:
        return "\n".join(map(str, self))


@own_modes
@plain_arguments
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
    """Rate and distortion of each example, the two parts of the ELBO, in nats.

    The rate KL(q(z | x) ‖ p(z)) is what the latents say about x; the distortion −E_q log p(x | z) is what they leave
    unexplained. A rate near 0 is posterior collapse.

    Parameters
    ----------
    model : VAE or Target
        The model. A VAE needs `examples`; a `Target`, any other model, brings its own.
    examples : array, tensor, DataFrame, Batch or part of a data set, default None
        The x to estimate for, one row per example, [n, *event], on the scale of the data that the VAE was trained on.
        Required for a VAE; left out for a Target.
    draws : int, default 1
        Draws of z from q(z | x) per example, averaged.
    seed : int, default 0
        Seed of all noise. An example's noise depends on the seed and its place in the data set only, so results do not
        depend on how examples are batched.
    memory : int or str, default "1 GiB"
        How much memory a pass through the model may take: bytes, or words such as "500 MB". Results do not depend on it
        beyond rounding.
    kl : {"auto", "closed", "sampled"}, default "auto"
        How the rate is computed: in closed form, from the draws, or in closed form where there is one. A Target's is
        always sampled.
    progress : bool, default False
        Whether to show progress on standard error.

    Returns
    -------
    RateDistortion
        Estimates `rate` and `distortion`, unbiased, and `elbo`, a lower bound on log p(x), of the same draws; [n] each,
        in nats.

    Raises
    ------
    InputError
        If there are no examples, a setting is out of range, or `memory` does not hold one example.
    CapabilityError
        For kl="closed" if there is no closed form.

    References
    ----------
    Alemi et al., "Fixing a broken ELBO" (2018).

    Examples
    --------
    >>> from elbowroom import likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> rate, distortion, bound = rate_distortion(vae, torch.zeros(3, 2), draws=8)
    >>> rate.direction, bound.direction, bool(abs(bound.mean + rate.mean + distortion.mean) < 1e-6)
    ('unbiased', 'lower', True)
    """
    one_of("kl", kl, ("auto", "closed", "sampled"))

    def measure(terms: Terms | TargetTerms) -> tuple[Tensor, Tensor]:
        return terms.rate(kl), terms.log_likelihood

    start = time.monotonic()
    subject = checked_subject(model, examples, draws)
    with Progress("ELBO", len(subject), show=progress) as bar:
        passes = run_passes(subject, from_posterior(subject, measure, seed), draws, memory, bar)
        parts = [means_of(*terms) for terms in passes]
    return of_parts(parts, subject, Budget(draws, seed, time.monotonic() - start))


def means_of(rate: Tensor, log_likelihood: Tensor) -> Means:
    """Means over the draws of a group, and their variances.

    Parameters
    ----------
    rate, log_likelihood : Tensor
        [draws, n], in nats.

    Returns
    -------
    list of tuple of Tensor
        Of rate, distortion and ELBO: the mean and the variance of that mean, [n] each.
    """
    return [_mean(term) for term in (rate, -log_likelihood, log_likelihood - rate)]


def of_parts(parts: Sequence[Means], subject: Subject, budget: Budget) -> RateDistortion:
    """The estimates of all groups.

    Parameters
    ----------
    parts : sequence
        What `means_of` gave for each group.
    subject : Subject
        The model and its examples.
    budget : Budget
        What was spent.

    Returns
    -------
    RateDistortion
        [n] each.
    """

    def estimate(kind: int, quantity: str, estimator: str, direction: Direction) -> Estimate:
        means, variances = zip(*(part[kind] for part in parts), strict=True)
        return Estimate.of(
            torch.cat(means),
            torch.cat(variances),
            subject.index.cpu(),
            quantity=quantity,
            estimator=f"{estimator} with {count(budget.draws or 1, 'draw')}",
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
