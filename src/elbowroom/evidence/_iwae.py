"""The importance-weighted bound."""

from dataclasses import replace
from typing import Any

from elbowroom.numerics import Estimate, own_modes, plain_arguments
from elbowroom.vae import VAE

from .log_means import UNCHECKED, by_iwae, log_means
from .memory import MEMORY, Memory
from .target import Target

__all__ = ["iwae"]


@own_modes
@plain_arguments
def iwae(
    model: VAE | Target,
    examples: Any = None,
    *,
    draws: int = 500,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> Estimate:
    """The importance-weighted bound (IWAE) log (1/K) Σ_k p(x, z_k) / q(z_k | x) of each example, in nats.

    A lower bound on log p(x) in expectation, which rises to it as the number of draws K grows. It lies far below where
    q(z | x) misses much of the posterior p(z | x): `khat` above 0.7 says so where draws come near what is missed, and
    nothing does where q sits on one of several modes. So the printed line says that no second start has checked it.

    Parameters
    ----------
    model : VAE or Target
        The model. A VAE needs `examples`; a `Target`, any other model, brings its own.
    examples : array, tensor, DataFrame, Batch or part of a data set, default None
        The x to estimate for, one row per example, [n, *event], on the scale of the data that the VAE was trained on.
        Required for a VAE; left out for a Target.
    draws : int, default 500
        K, the draws of z from q(z | x) per example.
    seed : int, default 0
        Seed of all noise. An example's noise depends on the seed and its place in the data set only, so results do not
        depend on how examples are batched.
    memory : int or str, default "1 GiB"
        How much memory a pass through the model may take: bytes, or words such as "500 MB". Results do not depend on it
        beyond rounding.
    progress : bool, default False
        Whether to show progress on standard error.

    Returns
    -------
    Estimate
        The bound of each example [n], in nats, on the scale of `examples`, direction "lower". Its fields `ess` and
        `khat` are the effective sample size and the Pareto shape of the importance weights.

    Raises
    ------
    InputError
        If there are no examples, a setting is out of range, or `memory` does not hold one example.

    See Also
    --------
    iwae_curve : The bound for several K, to see whether it still rises.
    ais : Tighter where q(z | x) fits the posterior badly, and starts at p(z) too.
    defended_iwae : With draws of p(z) among those of q(z | x).

    Notes
    -----
    The Monte-Carlo variance is the jackknife's, and is about this bound (K draws), not about log p(x).

    References
    ----------
    Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders" (2016).
    Vehtari, Simpson, Gelman, Yao & Gabry, "Pareto smoothed importance sampling" (2024).

    Examples
    --------
    >>> import torch
    >>> from elbowroom import VAE, likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> iwae(vae, torch.zeros(3, 2), draws=64).estimator
    'IWAE-64'
    """
    (found,) = log_means(model, examples, by_iwae, (draws,), "IWAE-{}".format, seed, memory, progress)
    return replace(found, checked=UNCHECKED)
