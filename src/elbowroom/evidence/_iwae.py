"""The importance-weighted bound."""

from typing import Any

from elbowroom.numerics import Estimate
from elbowroom.vae import VAE

from .log_means import by_iwae, log_means
from .memory import MEMORY, Memory
from .target import Target

__all__ = ["iwae"]


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

    >>> import torch
    >>> from elbowroom import VAE, likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> iwae(vae, torch.zeros(3, 2), draws=64).estimator
    'IWAE-64'
    """
    return log_means(model, examples, by_iwae, (draws,), "IWAE-{}".format, seed, memory, progress)[0]
