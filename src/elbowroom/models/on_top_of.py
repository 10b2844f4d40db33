"""Layers of z on top of a model that was trained before."""

import copy

import torch
from torch import nn

from elbowroom.numerics import InputError
from elbowroom.recipes import recipe_of
from elbowroom.vae import VAE

__all__ = ["on_top_of"]


def on_top_of(vae: VAE, below: VAE) -> VAE:
    """Put q(z | x) and p(x | z) of a trained model into the place of the lowest layer's, as constants.

    Parameters
    ----------
    vae : VAE
        Of several layers, of which only the lowest, "z", touches x.
    below : VAE
        Of the one block "z", of as many dimensions, over the same preprocessed x.

    Returns
    -------
    VAE
        `vae`.

    Raises
    ------
    InputError
        Where the two do not fit together.
    """
    q, likelihood = vae.posterior, vae.likelihood
    if list(below.posterior) != ["z"] or len(q) < 2 or "x" in q[list(q)[-1]].given or set(likelihood.given) - {"z"}:
        raise InputError(
            "below= is a model of one block, 'z', and the recipe on top of it one of two layers or more, latents=[20, "
            "10], of which the lowest alone touches x: say so many, and no contexts."
        )
    if not _same(below.preprocess, vae.preprocess) or below.likelihood.event != likelihood.event:
        raise InputError(
            "The model below was made for other data, or data that were preprocessed otherwise: give one that was "
            "trained on these."
        )
    if below.posterior["z"].event != q["z"].event:
        raise InputError(
            f"The model below has {below.latents} latents and the lowest layer of the recipe {q['z'].event[0]}: say "
            f"latents=[{below.latents}, …]."
        )
    q["z"] = copy.deepcopy(below.posterior["z"]).requires_grad_(False)
    vae.likelihood = copy.deepcopy(below.likelihood).requires_grad_(False)
    return vae


def _same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    alike = ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())
    return alike and recipe_of(one) == recipe_of(other)
