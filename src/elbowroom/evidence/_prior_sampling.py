"""The naive estimate: the mean over draws from the prior."""

from typing import Any

from torch import Tensor

from elbowroom.numerics import Batch, Estimate, own_modes, plain_arguments
from elbowroom.numerics.streams import PRIOR
from elbowroom.vae import VAE
from elbowroom.vae.terms import log_likelihood

from .log_means import log_means
from .memory import MEMORY, Memory
from .model_passes import Pass
from .target import Subject, Target

__all__ = ["prior_sampling"]


@own_modes
@plain_arguments
def prior_sampling(
    model: VAE | Target,
    examples: Any = None,
    *,
    draws: int = 500,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> Estimate:
    """The plain Monte-Carlo estimate log (1/K) Σ_k p(x | z_k), z_k drawn from the prior p(z), of each example, in nats.

    A lower bound on log p(x) in expectation, and a poor one beyond a few latent dimensions, where hardly any draw of
    the prior explains x: `khat` above 0.7 and a small `ess` say so.

    Parameters
    ----------
    model : VAE or Target
        The model. A VAE needs `examples`; a `Target`, any other model, brings its own.
    examples : array, tensor, DataFrame, Batch or part of a data set, default None
        The x to estimate for, one row per example, [n, *event], on the scale of the data that the VAE was trained on.
        Required for a VAE; left out for a Target.
    draws : int, default 500
        K, the draws of z from p(z) per example; every example has draws of its own.
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
        The estimate of each example [n], in nats, direction "lower", with `ess` and `khat` of the weights p(x | z_k).

    Raises
    ------
    InputError
        If there are no examples, a setting is out of range, or `memory` does not hold one example.

    Examples
    --------
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
        return (log_likelihood(vae.likelihood(given), given["x"], vae.mask_of(batch)[0]) + total,)

    return one_pass
