"""The contexts of what is drawn from a run: given in words, or those of its training rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from elbowroom.data.given import given_values, known_contexts
from elbowroom.numerics import InputError
from elbowroom.vae import VAE

from ._run_data import run_data
from .run_folder import read_recipe

__all__ = ["conditions_of", "refuse_no_size", "refuse_unread"]


def conditions_of(
    vae: VAE, folder: Path, given: Mapping[str, Any], n: int, *, source: Any = None, seed: int = 0
) -> dict[str, Tensor]:
    """The contexts of n draws.

    Parameters
    ----------
    vae : VAE
        The run's model.
    folder : Path
        The run folder.
    given : mapping
        Context → a class by its name, or numbers.
    n : int
        How many draws.
    source : Any, optional
        The data, where the run's recipe does not find them.
    seed : int, default 0
        Draws the training rows whose contexts stand where none was given.

    Returns
    -------
    dict of Tensor
        Context → [n, ...]; empty for a model that reads none.

    Raises
    ------
    InputError
        For a context that the model does not read, and a class that it does not know.
    """
    refuse_unread(vae, given, folder)
    known = known_contexts(read_recipe(folder)["data"])
    fixed = {name: value.expand(n, *value.shape[1:]) for name, value in given_values(known, given).items()}
    refuse_no_size(vae, fixed)
    if set(fixed) == set(vae.context_names):
        return fixed
    train = run_data(folder, source=source).train
    like = torch.stack(
        [(train.context[name] == value[:1]).flatten(1).all(1) for name, value in fixed.items()]
        or [torch.ones(len(train), dtype=torch.bool)]
    ).all(0)
    rows = like.nonzero()[:, 0] if bool(like.any()) else torch.arange(len(train))
    drawn = rows[torch.randint(len(rows), (n,), generator=torch.Generator().manual_seed(seed))]
    return {name: fixed.get(name, train.context[name][drawn]) for name in vae.context_names}


def refuse_no_size(vae: VAE, fixed: Mapping[str, Tensor]) -> None:
    """Refuse a size factor of 0 or less, at which nothing could be counted."""
    name = str(getattr(vae.likelihood, "size_factor", None))
    if name in fixed and vae.likelihood.size_scale == "linear" and bool((fixed[name] <= 0).any()):
        raise InputError(
            f"The size factor {name!r} multiplies every mean and is above 0; got {float(fixed[name].min()):g}: 1 is "
            "the mean of the training rows."
        )


def refuse_unread(vae: VAE, given: Mapping[str, Any], folder: Path) -> None:
    """Refuse a context that the model of a run does not read; InputError, with those that it reads."""
    for name in given:
        if name not in vae.context_names:
            read = ", ".join(vae.context_names)
            what = f"it reads: {read}" if read else "it reads none, so leave given= out"
            raise InputError(f"The model of {folder} reads no context {name!r}; {what}.")
