"""Models that no file can be made with."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom import likelihoods as lik
from elbowroom.distributions._log_prob_seen import check_order
from elbowroom.numerics import CapabilityError, Given, InputError
from elbowroom.vae import VAE

from .cells import families_in
from .contexts import Contexts

__all__ = ["refuse_cells_in_order", "refuse_other_contexts", "refuse_other_gaps", "refuse_what_reads_more"]


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


def refuse_cells_in_order(vae: VAE) -> None:
    """Refuse cells that read others, where a file is to give back means.

    Parameters
    ----------
    vae : VAE
        The model.

    Raises
    ------
    CapabilityError
        With the way out.
    """
    if any(isinstance(one, lik.Autoregressive) for one in families_in(vae.likelihood)):
        raise CapabilityError(
            "A lossy file gives back the mean of p(x | z), which an autoregressive one does not have in closed form: "
            "write a file without loss."
        )


def refuse_other_gaps(vae: VAE, seen: NDArray[np.bool_] | None) -> None:
    """Refuse missing cells that an autoregressive p(x | z) cannot leave out.

    Parameters
    ----------
    vae : VAE
        The rounded model.
    seen : array or None
        [n, D], False where a cell is missing.

    Raises
    ------
    CapabilityError
        Where one is missing before another that is seen.
    """
    start = 0
    for family in families_in(vae.likelihood):
        size = math.prod(family.event)
        if seen is not None and isinstance(family, lik.Autoregressive):
            zeros = torch.zeros(1, 1, *family.event).double()
            p_x = family.distribution((zeros,) * family.parts, {})
            check_order(p_x, torch.from_numpy(seen[:, start : start + size]).reshape(-1, *family.event))
        start += size


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
