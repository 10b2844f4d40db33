"""The two choices a data set needs: its support and its preprocessing."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import InputError, Support, infer_support
from elbowroom.preprocess import Affine, Binarise, Chain, Columns, Dequantise, Identity, Preprocess, Standardise

__all__ = ["choose_preprocess", "state_support", "support_with_words"]

_KINDS = ("binary", "unit", "grid", "real", "counts", "categorical", "mixed")
_WORDS = ("auto", "dequantise", "dequantise-symmetric", "binarise", "binarise-fixed", "standardise", "none")


def state_support(x: NDArray, stated: str | Support | Sequence[str | Support]) -> Support:
    """The stated support, where it holds the data; a bare "grid" or "categorical" takes its levels from them.

    "mixed" infers the support of each column of a table; a sequence states them.
    """
    if isinstance(stated, Support) and stated.kind == "mixed":
        stated = stated.columns
    if stated == "mixed" or not isinstance(stated, str | Support):
        return _of_columns(x, None if isinstance(stated, str) else stated)
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


def support_with_words(
    x: NDArray,
    stated: str | Support | Sequence[str | Support] | None,
    columns: list[str],
    classes: dict[str, list[str]],
) -> Support:
    """The support of a table some of whose columns came in words: these are categorical, the others as for "mixed".

    Raises InputError where something else is stated for a column of words.
    """
    words = [Support("categorical", max(2, len(classes[c]))) if c in classes else None for c in columns]
    if stated is None or stated == "mixed":
        found = [one or infer_support(column) for one, column in zip(words, x.T, strict=True)]
    else:
        found = list(state_support(x, stated).columns) or [state_support(x, stated)] * len(columns)
    for name, word, one in zip(columns, words, found, strict=True):
        if word and one.kind != "categorical":
            raise InputError(f"Column {name!r} holds words, so its support is 'categorical'; got {one.kind!r}.")
    return Support("mixed", columns=tuple(word or one for word, one in zip(words, found, strict=True)))


def _of_columns(x: NDArray, stated: Sequence[str | Support] | None) -> Support:
    if x.ndim != 2 or (stated is not None and len(stated) != x.shape[1]):
        raise InputError(f"A mixed support has one support per column of a table; got data {x.shape} and {stated}.")
    found = [infer_support(column) for column in x.T] if stated is None else stated
    return Support("mixed", columns=tuple(state_support(c, one) for c, one in zip(x.T, found, strict=True)))


def choose_preprocess(word: str | Preprocess, support: Support, train: Tensor, seed: int) -> Preprocess:
    """The map that a word means for data of this support; what it learns, it learns from `train` alone."""
    if isinstance(word, Preprocess):
        word.support(support)
        return word
    if word not in _WORDS:
        raise InputError(f"There is no preprocessing {word!r}; known are {', '.join(_WORDS)}, or a Preprocess module.")
    event = tuple(train.shape[1:])
    if word == "auto" and support.kind == "mixed":
        steps: list[Preprocess] = [Standardise((n,)) if s.kind == "real" else Identity() for s, n in support.groups]
        columns = Columns(steps, [n for _, n in support.groups])
        for step, part in columns.split(train):
            if isinstance(step, Standardise):
                step.fit(part)
        return columns
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
