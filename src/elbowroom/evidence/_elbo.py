"""The evidence lower bound."""

from dataclasses import replace
from typing import Any

from elbowroom.numerics import Estimate, own_modes, plain_arguments
from elbowroom.vae import VAE
from elbowroom.vae.terms import KL

from ._rate_distortion import rate_distortion
from .log_means import UNCHECKED
from .memory import MEMORY, Memory
from .target import Target

__all__ = ["elbo"]


@own_modes
@plain_arguments
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
    """The evidence lower bound (ELBO) E_q[log p(x, z) − log q(z | x)] of each example, in nats.

    A lower bound on log p(x): the distance is KL(q(z | x) ‖ p(z | x)), which no number of draws removes; more draws
    only lower its Monte-Carlo error. From one draw that error cannot be told from the spread of examples, and the
    printed line gives both together.

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
    Estimate
        The ELBO of each example [n], in nats, on the scale of `examples`, direction "lower".

    Raises
    ------
    InputError
        If there are no examples, a setting is out of range, or `memory` does not hold one example.
    CapabilityError
        For kl="closed" if there is no closed form.

    See Also
    --------
    iwae : A tighter bound.
    rate_distortion : The two parts of the ELBO.

    References
    ----------
    Kingma & Welling, "Auto-encoding variational Bayes" (2014).

    Examples
    --------
    >>> import torch
    >>> from elbowroom import VAE, likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> bound = elbo(vae, torch.zeros(3, 2), draws=8)
    >>> bound.direction, bound.budget.draws, len(bound)
    ('lower', 8, 3)
    """
    found = rate_distortion(model, examples, draws=draws, seed=seed, memory=memory, kl=kl, progress=progress)
    return replace(found.elbo, checked=UNCHECKED)
