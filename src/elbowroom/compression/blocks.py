"""How each block of latents is coded, by the kinds of its prior and its posterior."""

from elbowroom import posteriors, priors
from elbowroom.components import Component
from elbowroom.numerics import CapabilityError
from elbowroom.vae import VAE

from .dependent import Chained, chain_of
from .latents import Block, Classes, Normals, Reference

__all__ = ["block_of", "refuse_other_blocks"]

_NORMALS = (priors.StandardNormal, priors.Relevance, priors.Normal, priors.FixedNormal)


def refuse_other_blocks(vae: VAE) -> None:
    """Refuse priors and posteriors without exact masses, with the reason.

    Parameters
    ----------
    vae : VAE
        The rounded model.
    """
    for name, posterior in vae.posterior.items():
        block_of(name, vae.prior[name], posterior, 4, None)


def block_of(name: str, prior: Component, posterior: Component, bits: int, reference: Reference | None) -> Block:
    """How a block of latents is coded.

    Parameters
    ----------
    name : str
        Of the block.
    prior : Component
        p(z).
    posterior : Component
        q(z | x).
    bits : int
        As for `Normals`.
    reference : Reference or None
        As for `Normals`.

    Returns
    -------
    Normals, Chained or Classes
        By the classes of the two.

    Raises
    ------
    CapabilityError
        For a prior or a posterior without buckets.
    """
    normal = isinstance(posterior, posteriors.DiagonalNormal | posteriors.Ladder)
    if normal and isinstance(prior, _NORMALS):
        return Normals(prior, posterior, bits, reference)
    chain = chain_of(prior) if isinstance(posterior, posteriors.DiagonalNormal) else None
    if chain is not None:
        return Chained(prior, posterior, bits, reference, chain)
    if isinstance(prior, priors.Flow):
        raise CapabilityError(
            f"Block {name!r} has a flow for its prior, of several layers or not of affine maps, where nobody knows the "
            f"masses of one latent given those before it: files are made with flow='autoregressive' and transforms=1."
        )
    if isinstance(posterior, posteriors.Categorical) and isinstance(prior, priors.Categorical):
        return Classes(prior, posterior)
    raise CapabilityError(
        f"Block {name!r} has a {type(prior).__name__} prior and a {type(posterior).__name__} posterior, whose masses "
        f"over buckets are not known exactly: files are made with a diagonal normal q under normals, "
        f"mixtures, a VampPrior or an autoregressive flow of one layer, and with classes."
    )
