"""The two choices a data set needs: its support and its preprocessing."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import InputError, Support
from elbowroom.preprocess import Affine, Binarise, Chain, Dequantise, Identity, Preprocess, Standardise

__all__ = ["choose_preprocess", "state_support"]

_KINDS = ("binary", "unit", "grid", "real", "counts", "categorical")
_WORDS = ("auto", "dequantise", "dequantise-symmetric", "binarise", "binarise-fixed", "standardise", "none")


def state_support(x: NDArray, stated: str | Support) -> Support:
    """The stated support, where it holds the data; a bare "grid" or "categorical" takes its levels from them."""
    if isinstance(stated, str):
        if stated not in _KINDS:
            raise InputError(f"There is no support {stated!r}; known are {', '.join(_KINDS)}.")
        needs = stated in ("grid", "categorical")
        levels = max(2, math.floor(float(x.max())) + 1) if needs else None
        stated = Support(stated, levels)  # type: ignore[arg-type]
    low, high = float(x.min()), float(x.max())
    top = {"binary": 1.0, "unit": 1.0, "grid": (stated.levels or 0) - 1.0, "categorical": (stated.levels or 0) - 1.0}
    inside = stated.kind == "real" or (low >= 0 and high <= top.get(stated.kind, math.inf))
    whole = stated.kind in ("real", "unit") or bool((x == np.round(x)).all())
    if not (inside and whole):
        raise InputError(
            f"The data do not lie in the stated support, {stated}: they reach from {low:g} to {high:g}"
            f"{'' if whole else ' and hold fractions'}; rescale them or leave support= out."
        )
    return stated


def choose_preprocess(word: str | Preprocess, support: Support, train: Tensor, seed: int) -> Preprocess:
    """The map that a word means for data of this support; what it learns, it learns from `train` alone."""
    if isinstance(word, Preprocess):
        word.support(support)
        return word
    if word not in _WORDS:
        raise InputError(f"There is no preprocessing {word!r}; known are {', '.join(_WORDS)}, or a Preprocess module.")
    event = tuple(train.shape[1:])
    if word == "auto":
        word = {"grid": "dequantise", "real": "standardise"}.get(support.kind, "none")
    chosen = _made(word, support, event)
    chosen.support(support)
    for step, x in _before_standardise(chosen, train, seed):
        step.fit(x)
    return chosen


def _made(word: str, support: Support, event: tuple[int, ...]) -> Preprocess:
    takes = {"dequantise": ("grid", "binary"), "binarise": ("grid", "binary", "unit")}
    takes["standardise"] = ("grid", "binary", "unit", "real")  # counts keep their own likelihoods
    needed = takes.get(word.removesuffix("-symmetric"))
    if needed and support.kind not in needed:
        raise InputError(f"preprocess={word!r} needs data that are {' or '.join(needed)}; these are {support}.")
    grid = support.kind in ("grid", "binary")
    levels = support.levels or 2
    if word == "dequantise":
        return Dequantise(levels, event)
    if word == "dequantise-symmetric":
        return Chain([Dequantise(levels, event), Affine(2.0, -1.0)])
    if word == "binarise":
        return Binarise(levels, event)
    if word == "standardise":
        return Chain([Dequantise(levels, event), Standardise(event)]) if grid else Standardise(event)
    return Identity()


def _before_standardise(chosen: Preprocess, train: Tensor, seed: int) -> list[tuple[Standardise, Tensor]]:
    """The standardising step of the map, where there is one, with the data as they reach it."""
    if isinstance(chosen, Standardise):
        return [(chosen, train)]
    if not isinstance(chosen, Chain):
        return []
    first, last = chosen.steps[0], chosen.steps[-1]
    if not isinstance(last, Standardise):
        return []
    uniforms = torch.rand(train.shape, generator=torch.Generator().manual_seed(seed))
    return [(last, first(train, uniforms)[0])]
