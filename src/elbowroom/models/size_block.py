"""The size factor of counts: a context that the likelihood reads, or a latent block with a prior of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from elbowroom import priors
from elbowroom.components import Component
from elbowroom.data import Dataset
from elbowroom.numerics import InputError, Support

__all__ = ["LOG_SIZE", "SIZE", "refuse_for_one_block", "size_arguments", "size_prior", "sized_word"]

SIZE, LOG_SIZE = "size", "log_size"
_BATCH = "batch"
_SIZED = {"counts": "negative-binomial", "binary": "detection"}
_ONE_BLOCK = ("beta-tc", "total-correlation", "adversarial", "discrepancy", "dip", "semi-amortised")


def size_arguments(data: Dataset) -> dict[str, Any]:
    """What a likelihood with a size factor is told by default, as the data were loaded.

    Parameters
    ----------
    data : Dataset
        Whose size factor was said, or not.

    Returns
    -------
    dict
        Arguments by name; how many batches there are among them.
    """
    found: dict[str, Any] = {}
    if data.sizes is not None:
        latent = data.size_factor == "latent"
        found = {"size_factor": LOG_SIZE if latent else SIZE, "size_scale": "log" if latent else "linear"}
    batch = data.train.context.get(_BATCH)
    return found if batch is None else {**found, "batches": batch.shape[1]}


def size_prior(data: Dataset, contexts: Sequence[str]) -> Component:
    """p(log size), fixed at the mean and spread of the logarithms of training totals.

    Parameters
    ----------
    data : Dataset
        Loaded with size_factor="latent".
    contexts : sequence of str
        What the networks read: of each batch there is a prior where "batch" is among it.

    Returns
    -------
    Component
        Over one number.
    """
    sizes = data.sizes
    assert sizes is not None
    mean, std = sizes.log_mean.double(), sizes.log_sd.double()
    if len(mean) > 1 and _BATCH in contexts:
        return priors.FixedNormal(1, mean=_plain(mean), std=_plain(_above_0(std)), given=(_BATCH,))
    share = torch.ones(1).double()
    if len(mean) > 1:
        share = data.train.context[_BATCH].double().mean(0)
    whole = (share * mean).sum()
    spread = (share * (std**2 + (mean - whole) ** 2)).sum().sqrt()
    return priors.FixedNormal(1, mean=whole.item(), std=_above_0(spread).item())


def sized_word(data: Dataset, support: Support, options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What the likelihood "auto" means: of counts and detections with a size factor, one that it multiplies.

    Parameters
    ----------
    data : Dataset
        Whose `size_factor` was said, or not.
    support : Support
        Of preprocessed x.
    options : mapping
        Of the word.

    Returns
    -------
    str
        The kind.
    dict
        Its options.
    """
    if data.sizes is None or support.kind not in _SIZED:
        return "auto", dict(options)
    others = {name: value for name, value in options.items() if name != "scale"}
    if "scale" in options and support.kind == "counts":
        others["dispersion"] = options["scale"]
    return _SIZED[support.kind], others


def _above_0(std: torch.Tensor) -> torch.Tensor:
    """Where all totals are alike the size is all but known."""
    return std.clamp_min(1e-3)


def _plain(numbers: torch.Tensor) -> list[float]:
    return [float(one) for one in numbers]


def refuse_for_one_block(objective: str) -> None:
    """Refuse an objective over one block of z for a model that has a latent size beside it."""
    if objective in _ONE_BLOCK:
        raise InputError(
            f"The objective {objective!r} is over z alone, and these data were loaded with size_factor='latent', which "
            f"adds a block {LOG_SIZE!r}: take 'elbo' or 'iwae', or load them with size_factor='observed'."
        )
