"""The evidence lower bound."""

from typing import Any

from elbowroom.numerics import Estimate
from elbowroom.vae import VAE
from elbowroom.vae.terms import KL

from ._rate_distortion import rate_distortion
from .memory import MEMORY, Memory
from .target import Target

__all__ = ["elbo"]


def elbo(
    model: VAE | Target,
    examples: Any = None,
    *,
    draws: int = 1,
    seed: int = 0,
    memory: Memory = MEMORY,
    kl: KL = "auto",
    progress: bool = False,
) -> Estimate:
    """The evidence lower bound E_q[log p(x, z) − log q(z | x)] per example, in nats.

    From one draw the Monte-Carlo variance is unknown (NaN), and the printed line gives the total error. What a pass
    holds is in `benchmarks/evidence_memory.py`.

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
    Estimate
        [n], direction "lower".

    Raises
    ------
    InputError
        Where there is nothing to measure, a setting means nothing, or the memory does not hold one example.

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes", 2014.

    >>> import torch
    >>> from elbowroom import VAE, likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> bound = elbo(vae, torch.zeros(3, 2), draws=8)
    >>> bound.direction, bound.budget.draws, len(bound)
    ('lower', 8, 3)
    """
    return rate_distortion(model, examples, draws=draws, seed=seed, memory=memory, kl=kl, progress=progress).elbo
