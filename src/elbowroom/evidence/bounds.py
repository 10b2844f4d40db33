"""Lower bounds on log p(x) by simple draws from the posterior: the ELBO and the importance-weighted bound."""

import time
from typing import NamedTuple

import torch
from torch import Tensor

from elbowroom.numerics import Batch, Budget, Direction, Estimate, InputError
from elbowroom.runs import Progress
from elbowroom.vae import VAE, HasBatch, Terms
from elbowroom.vae.model import as_batch
from elbowroom.vae.terms import KL

from .passes import Memory, measured

__all__ = ["RateDistortion", "elbo", "iwae", "rate_distortion"]

_MEMORY = "1 GiB"


class RateDistortion(NamedTuple):
    """Rate KL(q(z | x) ‖ p(z)), distortion −E_q log p(x | z), and the ELBO, −rate − distortion, of the same draws."""

    rate: Estimate
    distortion: Estimate
    elbo: Estimate


def elbo(
    vae: VAE,
    examples: Batch | HasBatch,
    *,
    draws: int = 1,
    seed: int = 0,
    memory: Memory = _MEMORY,
    kl: KL = "auto",
    progress: bool = False,
) -> Estimate:
    """The evidence lower bound E_q[log p(x, z) − log q(z | x)] per example, in nats.

    draws: per example; from one draw the Monte-Carlo variance is unknown (NaN), and the printed line gives the total
    error. kl: "closed", "sampled" or "auto", closed where it can be. memory: bytes or "1 GiB", a bound on the
    tensors of one pass (the scratch space of a convolution comes on top); it changes no number beyond rounding. Noise
    is keyed by (seed, example). Raises InputError where there is nothing to measure or the memory does not hold one
    example.
    Source: Kingma & Welling, "Auto-Encoding Variational Bayes", 2014.

    >>> from elbowroom import VAE, likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> bound = elbo(vae, Batch(torch.zeros(3, 2), torch.arange(3)), draws=8)
    >>> bound.direction, bound.budget.draws, len(bound)
    ('lower', 8, 3)
    """
    return rate_distortion(vae, examples, draws=draws, seed=seed, memory=memory, kl=kl, progress=progress).elbo


def rate_distortion(
    vae: VAE,
    examples: Batch | HasBatch,
    *,
    draws: int = 1,
    seed: int = 0,
    memory: Memory = _MEMORY,
    kl: KL = "auto",
    progress: bool = False,
) -> RateDistortion:
    """Rate, distortion and ELBO per example from the same draws, in nats; arguments as for `elbo`.

    Source: Alemi et al., "Fixing a broken ELBO", 2018.
    """
    if kl not in ("auto", "closed", "sampled"):
        raise InputError(f"kl must be 'auto', 'closed' or 'sampled'; got {kl!r}.")

    def measure(terms: Terms) -> tuple[Tensor, Tensor]:
        return terms.rate(kl), terms.log_likelihood

    start = time.monotonic()
    batch, data = _checked(vae, examples, draws)
    means: list[list[Tensor]] = [[], [], []]
    variances: list[list[Tensor]] = [[], [], []]
    with Progress("ELBO", len(batch), progress) as bar:
        for rate, log_likelihood, weight in measured(vae, batch, measure, draws, seed, memory, bar):
            for kind, term in enumerate((rate, -log_likelihood, log_likelihood - rate)):
                mean, variance = _weighted_mean(term, weight.exp())
                means[kind].append(mean)
                variances[kind].append(variance)
    budget = Budget(draws, seed, time.monotonic() - start)

    def estimate(kind: int, quantity: str, estimator: str, direction: Direction) -> Estimate:
        return Estimate.of(
            torch.cat(means[kind]),
            torch.cat(variances[kind]),
            batch.index.cpu(),
            quantity=quantity,
            estimator=f"{estimator} with {_count(draws)}",
            direction=direction,
            budget=budget,
            data=data,
        )

    return RateDistortion(
        estimate(0, "rate KL(q(z | x) ‖ p(z))", "mean", "unbiased"),
        estimate(1, "distortion −E log p(x | z)", "mean", "unbiased"),
        estimate(2, vae.quantity, "ELBO", "lower"),
    )


def iwae(
    vae: VAE,
    examples: Batch | HasBatch,
    *,
    draws: int = 500,
    seed: int = 0,
    memory: Memory = _MEMORY,
    progress: bool = False,
) -> Estimate:
    """The importance-weighted bound log (1/K) Σ_k p(x, z_k) / q(z_k | x) per example, in nats; K = draws.

    In expectation a lower bound on log p(x) that grows with K. The Monte-Carlo variance is that of log of a mean by
    the delta method, Var(w) / (K E[w]²) = (K / ESS − 1) / (K − 1) ≈ 1 / ESS − 1 / K; it is not to be trusted where the
    effective sample size `ess` = (Σ w)² / Σ w² is small, which the printed line says. Other arguments and errors
    as for `elbo`.
    Source: Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", 2016.

    >>> from elbowroom import VAE, likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> iwae(vae, Batch(torch.zeros(3, 2), torch.arange(3)), draws=64).estimator
    'IWAE-64'
    """

    def measure(terms: Terms) -> tuple[Tensor]:
        return (terms.log_weight,)

    start = time.monotonic()
    batch, data = _checked(vae, examples, draws)
    values, sizes = [], []
    with Progress(f"IWAE-{draws}", len(batch), progress) as bar:
        for log_weight, log_draw_weight in measured(vae, batch, measure, draws, seed, memory, bar):
            weighted = log_weight + log_draw_weight
            values.append(weighted.logsumexp(0))
            sizes.append((2 * values[-1] - (2 * weighted).logsumexp(0)).exp())
    ess = torch.cat(sizes)
    return Estimate.of(
        torch.cat(values),
        (draws / ess - 1).clamp_min(0) / (draws - 1) if draws > 1 else torch.nan,
        batch.index.cpu(),
        quantity=vae.quantity,
        estimator=f"IWAE-{draws}",
        direction="lower",
        budget=Budget(draws, seed, time.monotonic() - start),
        ess=ess,
        data=data,
    )


def _checked(vae: VAE, examples: Batch | HasBatch, draws: int) -> tuple[Batch, str | None]:
    """The batch and the hash of its data, where both can be measured."""
    batch = as_batch(examples)
    if draws < 1:
        raise InputError(f"A bound needs draws=1 or more; got {draws}.")
    if not len(batch):
        raise InputError("There are no examples to measure; give at least one.")
    missing = [name for name in vae.context_names if name not in batch.context]
    if missing:
        raise InputError(f"The model reads the context {missing[0]!r}, which these examples do not have.")
    return batch, getattr(examples, "data", None) or None


def _weighted_mean(values: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over draws [n] and the variance of that mean; values, weights [draws, n], the weights adding to 1."""
    draws = len(values)
    mean = (weights * values).sum(0)
    spread = (weights * (values - mean)).square().sum(0)
    return mean, spread * (draws / (draws - 1)) if draws > 1 else torch.full_like(mean, torch.nan)


def _count(draws: int) -> str:
    return "1 draw" if draws == 1 else f"{draws:,} draws"
