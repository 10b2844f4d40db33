"""Models that no file can be made with."""

import torch

from elbowroom import likelihoods as lik
from elbowroom.numerics import CapabilityError, Given, InputError
from elbowroom.vae import VAE

from .contexts import Contexts

__all__ = ["refuse_other_contexts", "refuse_what_reads_more"]


def refuse_what_reads_more(vae: VAE) -> None:
    """Refuse models that read what a file does not hold.

    Parameters
    ----------
    vae : VAE
        The model.

    Raises
    ------
    CapabilityError
        With the reason.
    """
    if vae.reads_beta or any("index" in block.given for block in vae.posterior.values()):
        raise CapabilityError(
            "The encoder of this model reads more than x (the weight of the rate, or the place of a row), which a "
            "decoder does not know: train one whose q(z | x) reads x alone."
        )


@torch.no_grad()
def refuse_other_contexts(vae: VAE, contexts: Contexts) -> None:
    """Refuse contexts of other shapes than the networks of a model take.

    Parameters
    ----------
    vae : VAE
        The rounded model.
    contexts : Contexts
        Of the rows.

    Raises
    ------
    InputError
        Where a network does not take them.
    """
    given: Given = {"x": torch.zeros(1, 1, *vae.likelihood.event).double(), **contexts.given(slice(0, 1))}
    given["seen"] = torch.ones_like(given["x"])
    given |= {name: torch.zeros(1, 1, *block.event).double() for name, block in vae.prior.items()}
    for part in (*vae.prior.values(), *vae.posterior.values(), vae.likelihood):
        if part.network is None or not contexts.all:
            continue
        try:
            part.network_output(given)
        except (RuntimeError, IndexError) as error:
            shapes = ", ".join(f"{one.name!r} {one.event}" for one in contexts.all)
            raise InputError(
                f"The networks of this model do not take contexts of these shapes, {shapes} a row: give them as when "
                f"it was trained, classes by their words or as a 1 among zeros."
            ) from error
