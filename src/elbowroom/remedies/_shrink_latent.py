"""A smaller z: latents that carry nothing are taken out, with everything else as it is."""

import copy
import time
from typing import Any

import torch
from torch import Tensor

from elbowroom import posteriors, priors
from elbowroom.data import Dataset
from elbowroom.networks import Wired
from elbowroom.numerics import CapabilityError, InputError, own_modes, plain_arguments
from elbowroom.vae import VAE

from .draws_of_q import MOST, passes
from .parts import with_parts
from .remedied import Remedied, remedied

__all__ = ["shrink_latent"]


@own_modes
@plain_arguments
def shrink_latent(vae: VAE, data: Dataset, *, threshold: float = 0.01, draws: int = 64, seed: int = 0) -> Remedied:
    """Take out the latents whose KL from the prior is next to nothing; the decoder reads 0 in their place.

    Where q of a latent is the prior and the decoder does not listen to it, no bound changes; what the decoder made of
    its noise is won. Nothing is trained: `lower_beta` with beta=1 trains on with those that are left, as `fix` does.

    Parameters
    ----------
    vae : VAE
        A trained model, which stays as it is.
    data : Dataset
        At most 10,000 training examples say which latents carry nothing; the bounds reported are on validation.
    threshold : float, default 0.01
        Mean KL(q(z_j | x) ‖ p(z_j)) in nats below which a latent goes; the one of greatest KL stays in any case.
    draws : int, default 64
        Of z, per example, for the bounds reported.
    seed : int, default 0
        Keys all noise, by (seed, example).

    Returns
    -------
    Remedied
        The new model and its bounds before and after.

    Raises
    ------
    InputError
        For a threshold that is not positive.
    CapabilityError
        For other models than of one block "z", a standard normal prior and a diagonal normal q, and where no latent is
        below the threshold.

    References
    ----------
    Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders" (2016): inactive units.
    Dai, Wang, Aston, Hua & Wipf, "Connections with robust PCA and the role of emergent sparsity in variational
    autoencoder models" (2018).

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 3, "widths": [8]}, digits)
    >>> shrink_latent(vae, digits, threshold=1e3, draws=2).vae.latents
    1
    """
    since = time.monotonic()
    if not threshold > 0:
        raise InputError(f"The threshold is a KL in nats above 0; got {threshold}.")
    block = _block(vae)
    kls = _kls(vae, data, block, seed)
    keep = [place for place, kl in enumerate(kls.tolist()) if kl >= threshold] or [int(kls.argmax())]
    if len(keep) == len(kls):
        raise CapabilityError(
            f"Every latent carries {threshold:g} nats or more (the least {kls.min():.3g}), so there is none to take "
            f"out: raise threshold, or train with fewer."
        )
    name = f"shrink_latent ({len(kls)} → {len(keep)})"
    after = _without(vae, block, keep)
    found: Remedied = remedied(Remedied, name, vae, after, data, draws=draws, seed=seed, since=since)
    return found


def _block(vae: VAE) -> str:
    (block, prior), *others = vae.prior.items()
    q: Any = vae.posterior[block]
    plain = type(prior) is priors.StandardNormal and type(q) is posteriors.DiagonalNormal
    if others or not plain or len(prior.event) > 1 or next(iter(vae.likelihood.given)) != block:
        raise CapabilityError(
            "shrink_latent takes latents out of one block with a standard normal prior and a diagonal normal q, which "
            "the decoder reads first, and this model is another: train it with fewer latents."
        )
    return block


def _kls(vae: VAE, data: Dataset, block: str, seed: int) -> Tensor:
    """Mean KL of each latent, [latents]."""
    found = []
    for terms in passes(vae, data.train[:MOST], seed):
        elements = terms.elementwise_kl(block)
        assert elements is not None  # both are normals with independent elements
        found.append(elements[0])
    return torch.cat(found).double().mean(0)


def _without(vae: VAE, block: str, keep: list[int]) -> VAE:
    q: Any = copy.deepcopy(vae.posterior[block])
    likelihood, size = copy.deepcopy(vae.likelihood), vae.latents
    assert likelihood.network is not None
    narrow: Any = posteriors.DiagonalNormal(
        Wired(q.network, outputs=[*keep, *(size + place for place in keep)]),
        len(keep),
        given=q.given,
        spread=q.spread,
        floor=q.floor,
    )
    likelihood.network = Wired(likelihood.network, inputs=keep, size=size)
    prior = {block: priors.StandardNormal(len(keep))}
    return with_parts(vae, prior=prior, posterior={block: narrow}, likelihood=likelihood)
