"""A model with one part replaced."""

import copy
from collections.abc import Mapping

from elbowroom.components import Blocks, Component
from elbowroom.likelihoods import Likelihood
from elbowroom.numerics import CapabilityError
from elbowroom.vae import VAE

__all__ = ["one_row", "own_prior", "with_parts"]

_CACHED = ("prior_order", "_closed_blocks")


def with_parts(
    vae: VAE,
    *,
    prior: Mapping[str, Component] | None = None,
    posterior: Mapping[str, Component] | None = None,
    likelihood: Likelihood | None = None,
) -> VAE:
    """A copy of a model with some of its parts replaced, in evaluation mode.

    Parameters
    ----------
    vae : VAE
        The model, which stays as it is.
    prior : mapping of str to Component, optional
        Blocks that are new, or take the place of those of the same name.
    posterior : mapping of str to Component, optional
        The same of q; new ones are drawn last.
    likelihood : Likelihood, optional
        The new p(x | z).

    Returns
    -------
    VAE
        Its new parts have the type and the place of the model's numbers.
    """
    other = copy.deepcopy(vae)
    for name in _CACHED:
        vars(other).pop(name, None)
    if prior is not None:
        other.prior = Blocks({**dict(other.prior.items()), **prior})
    if posterior is not None:
        other.posterior = Blocks({**dict(other.posterior.items()), **posterior})
    if likelihood is not None:
        other.likelihood = likelihood
    other._check_blocks()
    return other.to(vae.device, vae.dtype).requires_grad_(True).eval()


def own_prior(vae: VAE, remedy: str) -> str:
    """The one block whose prior reads nothing and lies on the real line: the one that can be refitted to draws of q.

    Parameters
    ----------
    vae : VAE
        The model.
    remedy : str
        Which asks, as the error names it.

    Returns
    -------
    str
        Name of the block.

    Raises
    ------
    CapabilityError
        For none, or several.
    """
    free = [name for name, block in vae.prior.items() if not block.given]
    if len(free) != 1:
        kinds = ", ".join(free) if free else "none, as every p(z) of the model reads a context"
        raise CapabilityError(
            f"{remedy} replaces the one p(z) that reads nothing else, and here these read nothing: {kinds}; refit such "
            f"blocks by training, er.fit with procedures.Phase(..., parts=('prior',))."
        )
    block = vae.prior[free[0]]
    if block.over != "real numbers" or vae.posterior[free[0]].form == "classes":
        raise CapabilityError(
            f"{remedy} fits a density over real numbers, and block {free[0]!r} is over {block.over}: give it a learned "
            f"prior, such as priors.Categorical, and train."
        )
    return free[0]


def one_row(vae: VAE, block: str, what: str) -> int:
    """Number of latents of a block that is one row; a CapabilityError in words where it is not."""
    event = vae.posterior[block].event
    if len(event) > 1:
        raise CapabilityError(f"{what} is over one row of latents, and block {block!r} has the event {event}.")
    return event[0]
