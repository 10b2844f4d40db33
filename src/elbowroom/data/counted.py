"""Counts of cells: checked, their totals as size factors, their genes chosen on training rows."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import InputError, Support
from elbowroom.numerics.text import name_list
from elbowroom.vae.meanings import SIZE

from .count_look import look_at, refuse_no_counts
from .gene_choice import residual_variances
from .raw import Raw
from .size_factors import LATENT, NONE, OBSERVED, SizeFactors, given_sizes, refuse_empty, rows_named, sizes_of

__all__ = ["Counts", "counted", "refuse_size_names"]

LOG_SIZE = "log_size"  # the latent block that size factors make
AUTO = "auto"
_GENES = 2_000  # of "auto": what is usual for single cells


@dataclass(frozen=True)
class Counts:
    """What is known of counted data beside x.

    Parameters
    ----------
    sizes : SizeFactors or None
        Where a size factor was asked for.
    size : Tensor or None
        [n, 1], where it is a context.
    """

    sizes: SizeFactors | None = None
    size: Tensor | None = None


def counted(
    raw: Raw,
    draw: Callable[[], NDArray[np.int64]],
    *,
    size_factor: str | NDArray[Any] | None = None,
    genes: int | str | None = None,
    batches: Tensor | None = None,
    stated: bool = False,
) -> tuple[Raw, Counts]:
    """Check counts, measure sizes, and choose genes; data of another kind are handed back as they are.

    Parameters
    ----------
    raw : Raw
        The data; tables of cells are always looked at, others where a size factor or genes are asked for.
    draw : callable
        Gives the row numbers of the training part.
    size_factor : str or array, optional
        As for `load_data`.
    genes : int, optional
        As for `load_data`.
    batches : Tensor, optional
        One-hot [n, batches].
    stated : bool, default False
        Whether the caller states the support.

    Returns
    -------
    raw : Raw
        With fewer columns where genes were chosen, and notes.
    counts : Counts
        Sizes.

    Raises
    ------
    InputError
        For what are no counts, for rows without any count, and for more genes than there are.
    """
    by_default = size_factor is None and not stated
    size_factor = None if isinstance(size_factor, str) and size_factor == NONE else size_factor
    cells = raw.counts_elsewhere is not None
    raw, genes = _how_many(raw, genes, cells and not stated)
    words = [f"size_factor={size_factor!r}"] * isinstance(size_factor, str) + [f"genes={genes}"] * (genes is not None)
    asked = bool(words) or size_factor is not None
    if not asked and (stated or not cells):
        return raw, Counts()
    _refuse_no_matrix(raw, (words or ["size_factor="])[0])
    look, train = look_at(raw.x), draw()
    refuse_no_counts(raw, look, words)
    if by_default and cells and look.high > 1:
        size_factor = OBSERVED
    if size_factor is not None:
        raw, found = _with_sizes(raw, look.totals, size_factor, train, batches)
    else:
        raw, found = (_with_empty_named(raw, look.totals) if cells else raw), Counts()
    raw = replace(raw)
    if raw.support is None and not stated:
        raw.support = Support("binary" if look.high <= 1 else "counts")
    return (raw if genes is None else _with_chosen(raw, train, genes, batches)), found


def _how_many(raw: Raw, genes: int | str | None, unstated_cells: bool) -> tuple[Raw, int | None]:
    """How many genes are kept, with a note where nobody said it."""
    if not isinstance(genes, str):
        return raw, genes
    if genes != AUTO:
        raise InputError(f"genes must be a whole number or {AUTO!r}; got {genes!r}.")
    if not unstated_cells or raw.x.shape[1] <= _GENES:
        return raw, None
    return replace(raw, notes=[*raw.notes, "genes= keeps another number of columns."]), _GENES


def _refuse_no_matrix(raw: Raw, word: str) -> None:
    if len(raw.x.shape) != 2:
        raise InputError(f"{word} is for counts [rows, columns]; these are images {raw.x.shape}.")
    if raw.classes:
        raise InputError(f"{word} is for counts alone; {name_list(raw.classes)} hold words.")


def _with_sizes(
    raw: Raw,
    totals: NDArray[np.float64],
    size_factor: str | NDArray[Any],
    train: NDArray[np.int64],
    batches: Tensor | None,
) -> tuple[Raw, Counts]:
    """The sizes of the rows, and a note that says what they are."""
    word, said = "array", f"the row's total over all {raw.x.shape[1]:,} columns that were read"
    if not isinstance(size_factor, str):
        totals, said = given_sizes(size_factor, word, raw.x.shape[0]), "what was given for the row"
    elif (word := size_factor) not in (OBSERVED, LATENT):
        totals, said = given_sizes(raw.taken[word], word, raw.x.shape[0]), f"the row's {word!r}"
    refuse_empty(raw, totals, said)
    sizes, size = sizes_of(word, totals, train, batches, raw)
    latent = word == LATENT
    use = "Sizes, whose logarithm is fitted for the prior of a latent size, are" if latent else "The size factor is"
    note = f"{use} {said}, divided by {sizes.mean:.6g}, its mean in train."
    return replace(raw, notes=[*raw.notes, note]), Counts(sizes, None if latent else size)


def _with_empty_named(raw: Raw, totals: NDArray[np.float64]) -> Raw:
    empty = np.flatnonzero(totals == 0)
    if not len(empty):
        return raw
    note = f"Rows without any count: {len(empty):,} of {len(totals):,} ({rows_named(raw, empty)})."
    return replace(raw, notes=[*raw.notes, note])


def _with_chosen(raw: Raw, train: NDArray[np.int64], genes: int, batches: Tensor | None) -> Raw:
    """The genes that vary most on training rows, in the order of the file."""
    every = raw.x.shape[1]
    if not 0 < genes <= every:
        raise InputError(f"genes= is from 1 to the {every:,} columns that there are; got {genes:,}.")
    codes = None if batches is None else batches.argmax(1).numpy()
    variances = residual_variances(raw.x, train, codes)
    there = int((variances > 0).sum())
    if there < genes:
        raise InputError(
            f"Of {every:,} columns {there:,} vary in the training rows, fewer than genes={genes:,}: ask for so many."
        )
    kept = np.sort(np.argsort(-variances, kind="stable")[:genes])
    note = (
        f"{genes:,} of {every:,} columns were chosen on the {len(train):,} training rows alone, by the variance of "
        "Pearson residuals (Lause, Berens & Kobak 2021)."
    )
    return replace(raw.with_columns(kept), notes=[*raw.notes, note])


def refuse_size_names(counts: Counts, context: Collection[str], none: bool) -> None:
    """Refuse a context of the user's that bears the name of a size factor, for which it would be taken.

    Parameters
    ----------
    counts : Counts
        What is known of the data.
    context : collection of str
        Names.
    none : bool
        Whether it was said that there is no size factor.

    Raises
    ------
    InputError
        For "size" where no size factor was said to be there, and for "log_size" beside a latent one.
    """
    if none and SIZE in context:
        raise InputError(
            f"A context is called {SIZE!r}, as the observed size factor of counts, for which it would be taken in "
            f"log p(x | {SIZE}): say size_factor= with that column, or give the context another name."
        )
    if counts.sizes is not None and counts.size is None and LOG_SIZE in context:
        raise InputError(
            f"A context is called {LOG_SIZE!r}, as the latent block that size_factor='latent' makes: give it another "
            "name."
        )
