"""Rows that hold what a model's data cannot be."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elbowroom.networks import PerExample
from elbowroom.numerics import Batch, InputError, Rows
from elbowroom.numerics.text import name_list

from ._check_readings import check_cell_by_cell
from .coarse import refuse_coarse
from .core import LOG_BETA, VAECore
from .meanings import refuse_other_meanings

__all__ = ["coded", "refuse_misfits", "refuse_other_columns", "refuse_outside"]

_TAKEN = {
    "x": "the observation",
    "seen": "which of its cells are not missing",
    "index": "its place in the data set",
    LOG_BETA: "the weight of the rate, which the model serves itself",
}

_CELLS_AT_ONCE = 2**20
_MOST_ROWS_AT_ONCE = 1_000


@dataclass
class _Found:
    """A cell outside the support."""

    row: int
    place: int
    value: str
    holds: str


@torch.no_grad()
def refuse_outside(vae: VAECore, rows: Rows, *, columns: Sequence[str] | None = None) -> None:
    """Refuse rows that hold values which the model's data cannot be: they have no probability, whatever it computes.

    They are read once, in batches; a missing cell is outside nothing.

    Parameters
    ----------
    vae : VAE
        The model, whose preprocessing and likelihood say which values there are.
    rows : Rows
        [n, *event], on the user's scale.
    columns : sequence of str, optional
        What the sentence calls the cells of a row, such as "column 'age'"; by default they are counted from 0.

    Raises
    ------
    InputError
        Where there is such a row; the first is named.
    """
    bad, first = 0, None
    for start, batch in _batches(rows, math.prod(vae.likelihood.event)):
        batch = batch.to(vae.device)
        raw = _seen(vae.preprocess.outside(batch.x), batch)
        found = raw | _seen(vae.likelihood.outside(_mapped(vae, batch, raw)), batch)
        hit = found.flatten(1).any(1)
        if first is None and bool(hit.any()):
            first = _described(vae, batch, raw, found, start)
        bad += int(hit.sum())
    if first is not None:
        at = _cell(first.place, vae.likelihood.event) if columns is None else columns[first.place]
        raise InputError(_sentence(first, at, bad, len(rows)))


def refuse_misfits(vae: VAECore, rows: Rows) -> None:
    """Refuse examples of another shape, or without what the model reads; of their values nothing is asked.

    Parameters
    ----------
    vae : VAE
        The model.
    rows : Rows
        The examples, of which the first is read.

    Raises
    ------
    InputError
        Where they do not fit the model, or it is too coarse to measure.
    """
    refuse_coarse(vae)
    if not len(rows):
        raise InputError("There are no examples; give at least one.")
    first = rows.rows(slice(0, 1))
    if tuple(first.x.shape[1:]) != vae.likelihood.event:
        raise InputError(
            f"The examples have shape {tuple(first.x.shape[1:])} each and the model is over "
            f"{vae.likelihood.event}: give examples like those it was made for."
        )
    if first.seen is not None:
        check_cell_by_cell(vae, first)
    missing = [name for name in vae.context_names if name not in first.context]
    refuse_other_meanings(vae, rows)
    if missing:
        raise InputError(f"The model reads the context {missing[0]!r}, which these examples do not have.")
    for block in vae.posterior.values():
        if isinstance(block.network, PerExample):
            block.network.places(rows.index)
    for name, what in _TAKEN.items():
        if name in first.context:
            raise InputError(f"A context cannot be called {name!r}: that is {what}.")
    for name, (value, _) in first.observed.items():
        if name not in vae.posterior:
            has = ", ".join(vae.posterior)
            raise InputError(f"The block {name!r} is observed and the model has only {has}: leave it out.")
        if tuple(value.shape[1:]) != vae.posterior[name].event:
            raise InputError(
                f"The observed block {name!r} has values of shape {tuple(value.shape[1:])} and the model's has "
                f"{vae.posterior[name].event}: classes are given one-hot."
            )


def refuse_other_columns(known: Sequence[tuple[str, Sequence[str]]], examples: Any) -> None:
    """Refuse a table whose columns have other names or another order than the model's, or codes that mean other words.

    Parameters
    ----------
    known : sequence of (str, sequence of str)
        Names of the model's columns, and the words that codes mean; nothing where the model knows none.
    examples : Any
        A part of a data set or a DataFrame; anything else has no names.

    Raises
    ------
    InputError
        In one sentence.
    """
    if hasattr(examples, "iloc") and not hasattr(examples, "columns"):
        raise InputError(
            "A pandas Series is no table of examples: give one row as df.iloc[[0]], which stays a table, instead of "
            "df.iloc[0], and one column as df[['a']]."
        )
    named = [str(name) for name in getattr(examples, "columns", ())] if hasattr(examples, "iloc") else None
    table = dict(getattr(examples, "table", ())) if named is None else dict.fromkeys(named, ())
    if not known or not table:
        return
    if list(table) != [name for name, _ in known]:
        raise InputError(
            f"These examples have the columns {name_list(table)}, and the model was fitted to "
            f"{name_list(name for name, _ in known)}: give these columns, in this order."
        )
    for name, words in known:
        if named is None and tuple(table[name]) != tuple(words):
            raise InputError(
                f"The codes of column {name!r} mean {name_list(table[name]) or 'numbers'} in these examples and "
                f"{name_list(words) or 'numbers'} in the model's: load both in one table, so that a code means one "
                "word."
            )


def coded(known: Sequence[tuple[str, Sequence[str]]], examples: Any) -> Any:
    """A DataFrame with the codes that the model has for words in place of the words; anything else as it is.

    Parameters
    ----------
    known : sequence of (str, sequence of str)
        Names of the model's columns, and the words that codes mean; the frame has these columns.
    examples : Any
        What was given.

    Returns
    -------
    Any
        The same, or a frame of numbers; a cell without a value is NaN.

    Raises
    ------
    InputError
        For a word that the model does not know.
    """
    if not hasattr(examples, "iloc"):
        return examples
    codes = {name: _codes(examples[name], words) for name, words in known}
    return examples.assign(**{name: _coded(name, examples[name], own) for name, own in codes.items() if own})


def _codes(column: Any, words: Sequence[str]) -> dict[Any, float]:
    """What a column [n] may hold → its code: words, or of numbers those that words state; none where it has codes."""
    if column.dtype.kind not in "biuf":
        return {word: float(code) for code, word in enumerate(words)}
    found: dict[Any, float] = {}
    for code, word in enumerate(words if column.dtype.kind != "b" else ()):
        with suppress(ValueError):
            found.setdefault(float(word), float(code))
    return found


def _coded(name: str, column: Any, codes: Mapping[Any, float]) -> Any:
    """The codes of a column [n], as floats."""
    seen, values = column.notna(), column.astype(object)  # a pandas Categorical takes no other values
    if column.dtype.kind not in "iuf":
        values = values.where(~seen, values.astype(str))
    strange = [value for value in values[seen].unique() if value not in codes]
    if strange:
        known = [word if isinstance(word, str) else f"{word:g}" for word in codes]
        raise InputError(
            f"Column {name!r} holds {str(strange[0])!r}, which the model does not know ({name_list(known)}): leave "
            "these rows out, or make the cells missing."
        )
    return values.map(codes).astype(float)


def _batches(rows: Rows, cells: int) -> Iterator[tuple[int, Batch]]:
    """The rows in turn, each batch with its first row; never more at once than a batch."""
    step = min(max(_CELLS_AT_ONCE // max(cells, 1), 1), _MOST_ROWS_AT_ONCE)
    return ((start, rows.rows(slice(start, start + step))) for start in range(0, len(rows), step))


def _seen(found: Tensor, batch: Batch) -> Tensor:
    return found if batch.seen is None else found & batch.seen


def _mapped(vae: VAECore, batch: Batch, raw: Tensor) -> Tensor:
    """y in the model's own type, from noise in the middle; NaN where x is outside already."""
    x = batch.x if batch.x.is_floating_point() else batch.x.double()
    x = x.masked_fill(raw, torch.nan)
    noise = None if vae.preprocess.noise_shape is None else torch.full_like(x, 0.5)
    return vae.preprocess(x, noise)[0].to(vae.dtype)


def _described(vae: VAECore, batch: Batch, raw: Tensor, found: Tensor, start: int) -> _Found:
    """The first cell of a batch that was found, and what it may hold: as the step or the likelihood says."""
    row = int(found.flatten(1).any(1).nonzero()[0])
    place = int(found[row].flatten().nonzero()[0])
    value = batch.x[row].flatten()[place]
    says = vae.preprocess if bool(raw[row].flatten()[place]) else vae.likelihood
    holds = says.holds(place)
    if says is vae.likelihood and holds == "finite numbers" and bool(value.isfinite()):
        holds = f"numbers that {torch.finfo(vae.dtype).bits} bits can hold"
    return _Found(start + row, place, str(value.numpy(force=True)).removesuffix(".0"), holds)


def _sentence(first: _Found, cell: str, bad: int, n: int) -> str:
    lie, them = ("lies", "it") if bad == 1 else ("lie", "them")
    where = f"row {first.row}" if bad == 1 else f"row {first.row} is the first"
    return (
        f"{bad:,} of {n:,} rows {lie} outside what the model was made for, {first.holds}: {where}, its {cell} holds "
        f"{first.value} (counted from 0); leave {them} out, or fit a model to data with such values."
    )


def _cell(place: int, event: tuple[int, ...]) -> str:
    if len(event) == 1:
        return f"column {place}"
    position: list[int] = []
    for size in reversed(event):
        place, at = divmod(place, size)
        position.append(at)
    return f"cell {tuple(reversed(position))}"
