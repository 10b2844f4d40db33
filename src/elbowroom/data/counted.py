"""Counts of cells: checked, their totals as size factors, their genes chosen on training rows."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import InputError, Support

from .csr_on_disk import CsrOnDisk
from .gene_choice import residual_variances
from .notation import absent
from .raw import Raw, name_list
from .values import is_sparse

__all__ = ["LATENT", "NONE", "OBSERVED", "Counts", "SizeFactors", "counted", "sizes_of_others"]

OBSERVED, LATENT, NONE = "observed", "latent", "none"
AUTO = "auto"
_GENES = 2_000  # of "auto": what is usual for single cells
_CELLS_AT_ONCE = 2**22


@dataclass(frozen=True)
class SizeFactors:
    """How much was counted in the rows of a data set, by which counts are compared.

    A size is a number of the row divided by the mean of that number over the training rows, so that sizes are about 1.

    Parameters
    ----------
    word : str
        "observed" (totals; the context "size"), "latent" (totals are fitted, no context) or the column that held them.
    mean : float
        Of the totals, or of the column, over the training rows: what sizes were divided by.
    log_mean : Tensor
        Mean of log size over the training rows, [batches], or [1] where there are none.
    log_sd : Tensor
        Its standard deviation; of batches with one size alone that of all rows.
    columns : int
        How many columns were read, over which totals were taken.
    names : str, default ""
        A short hash of the names of these columns, whatever their order; "" where they have none.
    """

    word: str
    mean: float
    log_mean: Tensor
    log_sd: Tensor
    columns: int
    names: str = ""


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


@dataclass(frozen=True)
class _Look:
    """One pass over counts."""

    low: float
    high: float
    fraction: float | None
    totals: NDArray[np.float64]
    gaps: int


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
    if isinstance(genes, str):
        if genes != AUTO:
            raise InputError(f"genes must be a whole number or {AUTO!r}; got {genes!r}.")
        genes = _GENES if cells and not stated and raw.x.shape[1] > _GENES else None
        raw = raw if genes is None else replace(raw, notes=[*raw.notes, "genes= keeps another number of columns."])
    words = [f"size_factor={size_factor!r}"] * isinstance(size_factor, str) + [f"genes={genes}"] * (genes is not None)
    asked = bool(words) or size_factor is not None
    if not asked and (stated or not cells):
        return raw, Counts()
    if len(raw.x.shape) != 2:
        raise InputError(
            f"{(words or ['size_factor='])[0]} is for counts [rows, columns]; these are images {raw.x.shape}."
        )
    if raw.classes:
        raise InputError(f"{(words or ['size_factor='])[0]} is for counts alone; {name_list(raw.classes)} hold words.")
    look, train = _look(raw.x), draw()
    _refuse_no_counts(raw, look, words)
    if by_default and cells and look.high > 1:
        size_factor = OBSERVED
    notes = list(raw.notes)
    totals, said = look.totals, f"the row's total over all {raw.x.shape[1]:,} columns that were read"
    if size_factor is not None:
        word = size_factor if isinstance(size_factor, str) else "array"
        if word not in (OBSERVED, LATENT):
            totals = _given(raw.taken[word] if isinstance(size_factor, str) else size_factor, word, raw.x.shape[0])
            said = f"the row's {word!r}" if isinstance(size_factor, str) else "what was given for the row"
        _refuse_empty(raw, totals, said)
    elif cells and not totals.all():
        empty = np.flatnonzero(totals == 0)
        notes.append(f"Rows without any count: {len(empty):,} of {len(totals):,} ({_rows_named(raw, empty)}).")
    found = Counts()
    if size_factor is not None:
        sizes, size = _sizes(word, totals, train, batches, raw)
        found = Counts(sizes, None if word == LATENT else size)
        use = (
            "Sizes, whose logarithm is fitted for the prior of a latent size," if word == LATENT else "The size factor"
        )
        notes.append(
            f"{use} {'are' if word == LATENT else 'is'} {said}, divided by {sizes.mean:.6g}, its mean in train."
        )
    raw = replace(raw, notes=notes)
    if raw.support is None and not stated:
        raw.support = Support("binary" if look.high <= 1 else "counts")
    if genes is not None:
        raw = _with_chosen(raw, train, genes, batches)
    return raw, found


def _look(x: Any) -> _Look:
    low, high, fraction, gaps = np.inf, -np.inf, None, 0
    totals = np.zeros(x.shape[0])
    step = max(_CELLS_AT_ONCE // max(x.shape[1], 1), 1) * (10 if is_sparse(x) else 1)
    for start in range(0, x.shape[0], step):
        block = x[start : start + step]
        values = block.data if is_sparse(block) else np.asarray(block).ravel()
        totals[start : start + step] = np.asarray(block.sum(1), np.float64).ravel()
        if not values.size:
            continue
        values = values.astype(np.float64)
        gaps += int(np.isnan(values).sum())
        low, high = min(low, float(np.nanmin(values))), max(high, float(np.nanmax(values)))
        odd = values[(values % 1 != 0) & ~np.isnan(values)]
        fraction = float(odd[0]) if fraction is None and len(odd) else fraction
    if is_sparse(x):
        low, high = min(low, 0.0), max(high, 0.0)
    return _Look(low, high, fraction, totals, gaps)


def _refuse_no_counts(raw: Raw, look: _Look, words: list[str]) -> None:
    """Fractions, negative values and gaps are no counts; where counts are is said."""
    why = ""
    if look.fraction is not None:
        why = f"holds fractions, such as {look.fraction:.6g}, so no counts (normalised or log-transformed values?)"
    if not np.isfinite([look.low, look.high]).all():
        why = "holds infinite values"
    elif look.low < 0:
        why = f"holds negative values, down to {look.low:.6g}, so no counts (scaled values?)"
    if look.gaps:
        why = f"holds {look.gaps:,} cells without a value, and counts have none: 0 says that nothing was counted"
    if not why and not look.high:
        raise InputError(
            f"{raw.what} holds zeros alone, so that nothing was counted in it: give another table or layer."
        )
    if not why:
        return
    others = raw.counts_elsewhere() if raw.counts_elsewhere else []
    ways = [f"say {' or '.join(others)}, which hold{'s' * (len(others) == 1)} counts"] if others else []
    if raw.counts_elsewhere and not words:
        ways.append("say support='real' to model the values as they are")
    if words and not others:
        ways.append(f"give the counts, or leave {words[0].partition('=')[0]}= out")
    if not others and raw.counts_elsewhere:
        why += "; no other layer of it holds counts"
    raise InputError(f"{raw.what} {why}: {', or '.join(ways)}.")


def _given(values: Any, name: str, n: int) -> NDArray[np.float64]:
    """A size factor of a column."""
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.shape != (n,):
        raise InputError(f"size_factor= has shape {array.shape} for {n:,} rows: give one number per row.")
    try:
        numbers = np.array([np.nan if absent(cell) else float(cell) for cell in array.tolist()])
    except (TypeError, ValueError) as error:
        raise InputError(f"The size factor {name!r} holds words: give numbers, or a batch as batch=.") from error
    gaps = ~np.isfinite(numbers)
    if gaps.any():
        raise InputError(f"{int(gaps.sum()):,} of {n:,} size factors {name!r} are no number (NaN): fill them in.")
    return numbers


def _refuse_empty(raw: Raw, totals: NDArray[np.float64], said: str) -> None:
    bad = np.flatnonzero(totals <= 0)
    if len(bad):
        raise InputError(
            f"{len(bad):,} of {len(totals):,} rows have a size factor of 0 or less ({_rows_named(raw, bad)}), where "
            f"nothing could have been counted; it is {said}: leave out those rows (adata[adata.X.sum(1) > 0]), or say "
            "size_factor='none'."
        )


def _rows_named(raw: Raw, rows: NDArray[np.int64]) -> str:
    return name_list(raw.row_names[row] if raw.row_names else row for row in rows.tolist())


def _sizes(
    word: str, totals: NDArray[np.float64], train: NDArray[np.int64], batches: Tensor | None, raw: Raw
) -> tuple[SizeFactors, Tensor]:
    mean = float(totals[train].mean())
    size = torch.from_numpy((totals / mean).astype(np.float32))[:, None]
    logs = np.log(totals[train] / mean)
    codes = np.zeros(len(train), np.int64) if batches is None else batches.argmax(1).numpy()[train]
    groups = [logs[codes == code] for code in range(1 if batches is None else batches.shape[1])]
    whole = float(logs.std(ddof=1)) if len(logs) > 1 else 0.0
    spread = [float(some.std(ddof=1)) if len(some) > 1 and np.ptp(some) > 0 else whole for some in groups]
    centre = [float(some.mean()) if len(some) else float(logs.mean()) for some in groups]
    read = raw.x.shape[1], _names_digest(raw.columns)
    return SizeFactors(word, mean, torch.tensor(centre), torch.tensor(spread), *read), size


def _names_digest(columns: list[str] | None) -> str:
    return hashlib.sha256("\0".join(sorted(columns)).encode()).hexdigest()[:16] if columns else ""


def sizes_of_others(raw: Raw, known: Mapping[str, Any]) -> Tensor:
    """Sizes of other rows on the scale of those that a model was trained on.

    Parameters
    ----------
    raw : Raw
        The other rows, with all columns that are read of them.
    known : mapping
        "word", "mean", "columns" and "names" of the sizes that the model knows, as `Dataset.summary` says them.

    Returns
    -------
    Tensor
        [n, 1].

    Raises
    ------
    InputError
        Where totals would be over other columns or are of no counts, and for sizes of 0.
    """
    word = known["word"]
    if word == OBSERVED and raw.x.shape[1] != known["columns"]:
        raise InputError(
            f"The sizes of the model are totals over {known['columns']:,} columns and these rows have "
            f"{raw.x.shape[1]:,}: totals over them would be other sizes; give the rows with all columns."
        )
    if word == OBSERVED and known.get("names") and raw.columns and _names_digest(raw.columns) != known["names"]:
        raise InputError(
            f"The sizes of the model are totals over the {known['columns']:,} columns it was trained with, and these "
            "rows have others by name: totals over them would be other sizes; give the rows with the same columns."
        )
    look = _look(raw.x)
    _refuse_no_counts(raw, look, ["size_factor="])
    totals = look.totals if word == OBSERVED else _given(raw.taken[word], word, raw.x.shape[0])
    _refuse_empty(raw, totals, "the row's total" if word == OBSERVED else f"the row's {word!r}")
    return torch.from_numpy((totals / known["mean"]).astype(np.float32))[:, None]


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
    columns = raw.columns and [raw.columns[place] for place in kept]
    x = raw.x.of_columns(kept) if isinstance(raw.x, CsrOnDisk) else raw.x[:, kept]
    note = (
        f"{genes:,} of {every:,} columns were chosen on the {len(train):,} training rows alone, by the variance of "
        "Pearson residuals (Lause, Berens & Kobak 2021)."
    )
    return replace(raw, x=x, columns=columns, notes=[*raw.notes, note])
