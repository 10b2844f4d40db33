"""The naive estimate: the mean over draws from the prior."""

from typing import Any

from torch import Tensor

from elbowroom.numerics import Batch, Estimate
from elbowroom.numerics.streams import PRIOR
from elbowroom.vae import VAE

from .log_means import log_means
from .memory import MEMORY, Memory
from .model_passes import Pass
from .target import Subject, Target

__all__ = ["prior_sampling"]


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

    >>> import torch
    >>> from elbowroom import VAE, likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> prior_sampling(vae, torch.zeros(3, 2), draws=64).estimator
    'prior sampling, 64 draws'
    """
    name = "prior sampling, {:,} draws".format
    return log_means(model, examples, _from_prior, (draws,), name, seed, memory, progress)[0]


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
