"""The two choices a data set needs: its support and its preprocessing."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import InputError, Limits, Support, infer_support
from elbowroom.preprocess import (
    Affine,
    Atoms,
    Binarise,
    Chain,
    Codes,
    Columns,
    Dequantise,
    Identity,
    Preprocess,
    Standardise,
)

from .by_columns import by_columns
from .values import Values, is_sparse

__all__ = ["choose_preprocess", "fill_for", "state_support"]

_KINDS = ("binary", "unit", "grid", "real", "counts", "categorical", "mixed")
_WORDS = ("auto", "dequantise", "dequantise-symmetric", "binarise", "binarise-fixed", "standardise", "none")


def state_support(x: Any, limits: Limits, stated: str | Support | Sequence[str | Support]) -> Support:
    """The stated support, where it holds the data.

    Parameters
    ----------
    x : array or sparse matrix
        The data; of a bare "grid" or "categorical" they say how many levels there are.
    limits : Limits
        Of x.
    stated : str, Support or sequence of these
        As for `load_data`: "mixed" infers the support of each column of a table, a sequence states them.

    Returns
    -------
    Support
        With its levels.

    Raises
    ------
    InputError
        Where the data do not lie in it.
    """
    if isinstance(stated, Support) and stated.kind == "mixed":
        stated = stated.columns
    if stated == "mixed" or not isinstance(stated, str | Support):
        return _of_columns(x, None if isinstance(stated, str) else stated)
    return _support_that_holds(limits, stated)


def _support_that_holds(limits: Limits, stated: str | Support) -> Support:
    """The stated support; InputError where it does not hold what has these limits."""
    low, high = limits.low, limits.high
    if isinstance(stated, str):
        if stated not in _KINDS:
            raise InputError(f"There is no support {stated!r}; known are {', '.join(_KINDS)}.")
        needs = stated in ("grid", "categorical")
        stated = Support(stated, max(2, math.floor(high) + 1) if needs else None)  # type: ignore[arg-type]
    top = {"binary": 1.0, "unit": 1.0, "grid": (stated.levels or 0) - 1.0, "categorical": (stated.levels or 0) - 1.0}
    least, most = (stated.values[0], stated.values[-1]) if stated.values else (0.0, top.get(stated.kind, math.inf))
    inside = stated.kind == "real" or (low >= least and high <= most)
    whole = stated.kind in ("real", "unit") or bool(stated.values) or limits.whole
    if not (inside and whole):
        raise InputError(
            f"The data do not lie in the stated support, {stated}: they reach from {low:g} to {high:g}"
            f"{'' if whole else ' and hold fractions'}; rescale them or leave support= out."
        )
    return stated


def _of_columns(x: Any, stated: Sequence[str | Support] | None) -> Support:
    if len(x.shape) != 2 or (stated is not None and len(stated) != x.shape[1]):
        raise InputError(f"A mixed support has one support per column of a table; got data {x.shape} and {stated}.")
    limits = [Limits.of(column) for column in _columns(x)]
    found = [infer_support(one) for one in limits] if stated is None else stated
    return Support(
        "mixed", columns=tuple(_support_that_holds(one, kind) for one, kind in zip(limits, found, strict=True))
    )


def _columns(x: Any) -> Iterator[NDArray[Any]]:
    """The columns of a table one by one, a sparse one densified by column."""
    if not is_sparse(x):
        return iter(x.T)
    by_column = x.tocsc()
    return (by_column[:, [i]].toarray().ravel() for i in range(x.shape[1]))


def choose_preprocess(word: str | Preprocess, support: Support, train: Values, seed: int) -> Preprocess:
    """The preprocessing that a word means for data of this support.

    Parameters
    ----------
    word : str or Preprocess
        As for `load_data`.
    support : Support
        Of the data.
    train : Values
        The training part, from which means and scales are taken.
    seed : int
        Draws the noise of dequantising while these are taken.

    Returns
    -------
    Preprocess
        Ready for use.

    Raises
    ------
    InputError
        For an unknown word, or one that does not suit the support.
    """
    if isinstance(word, Preprocess):
        word.support(support)
        return word
    if word not in _WORDS:
        raise InputError(f"There is no preprocessing {word!r}; known are {', '.join(_WORDS)}, or a Preprocess module.")
    if word == "auto" and (support.kind == "mixed" or support.values or support.atoms or support.step):
        return by_columns(support, train, seed)
    if word == "auto":
        word = {"grid": "dequantise", "real": "standardise"}.get(support.kind, "none")
    chosen = _preprocess_for(word, support, train.event)
    if support.values and word != "none":  # the maps of grids begin at 0
        chosen = Chain([Codes(support.values), *(chosen.steps if isinstance(chosen, Chain) else [chosen])])
    chosen.support(support)
    _fit_standardise(chosen, train, seed)
    return chosen


def fill_for(chosen: Preprocess, event: tuple[int, ...]) -> Tensor:
    """What a batch holds where a cell is missing: the mean, where preprocessing subtracts one, else 0.

    Parameters
    ----------
    chosen : Preprocess
        The preprocessing.
    event : tuple of int
        Shape of one example.

    Returns
    -------
    Tensor
        [*event].
    """
    if isinstance(chosen, Standardise):
        return chosen.mean.clone()
    if isinstance(chosen, Atoms):
        return fill_for(chosen.inner, event)
    if isinstance(chosen, Chain):
        return fill_for(chosen.steps[-1], event)  # type: ignore[arg-type]
    if isinstance(chosen, Codes):
        return torch.full(event, chosen.values[0], dtype=torch.float64)
    if isinstance(chosen, Columns):
        steps = zip(chosen.steps, chosen.sizes, strict=True)
        return torch.cat([fill_for(step, (size,)) for step, size in steps])  # type: ignore[arg-type]
    return torch.zeros(event, dtype=torch.float64)


def _preprocess_for(word: str, support: Support, event: tuple[int, ...]) -> Preprocess:
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
        return Chain([Dequantise(levels, event), Affine(2.0, shift=-1.0)])
    if word == "binarise":
        return Binarise(levels, event)
    if word == "standardise":
        return Chain([Dequantise(levels, event), Standardise(event)]) if grid else Standardise(event)
    return Identity()


def _fit_standardise(chosen: Preprocess, train: Values, seed: int) -> None:
    """Fit the standardising step of the map, where there is one, to the data as they reach it."""
    if isinstance(chosen, Standardise):
        chosen.fit(train.pieces())
    elif isinstance(chosen, Chain) and isinstance(chosen.steps[-1], Standardise):
        first, generator = Chain(list(chosen.steps[:-1])), torch.Generator().manual_seed(seed)  # type: ignore[arg-type]
        chosen.steps[-1].fit(first(x, torch.rand(x.shape, generator=generator))[0] for x in train.pieces())
