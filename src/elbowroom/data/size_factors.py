"""How much was counted in each row: size factors, by which counts are compared."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import InputError
from elbowroom.numerics.text import name_list

from .count_look import look_at, refuse_no_counts
from .notation import absent
from .raw import Raw

__all__ = [
    "LATENT",
    "NONE",
    "OBSERVED",
    "SizeFactors",
    "given_sizes",
    "refuse_empty",
    "rows_named",
    "sizes_of",
    "sizes_of_others",
]

OBSERVED, LATENT, NONE = "observed", "latent", "none"


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


def given_sizes(values: Any, name: str, n: int) -> NDArray[np.float64]:
    """A size factor of a column, or of an array: a finite number for each row.

    Parameters
    ----------
    values : array or list
        One number per row.
    name : str
        Of the column.
    n : int
        How many rows there are.

    Returns
    -------
    array
        [n].

    Raises
    ------
    InputError
        For another shape, for words and for gaps.
    """
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


def refuse_empty(raw: Raw, totals: NDArray[np.float64], said: str) -> None:
    """Refuse rows of which nothing was counted.

    Parameters
    ----------
    raw : Raw
        Which names the rows.
    totals : array
        Sizes, [n].
    said : str
        What they are, in words.

    Raises
    ------
    InputError
        For sizes of 0 or less.
    """
    bad = np.flatnonzero(totals <= 0)
    if len(bad):
        raise InputError(
            f"{len(bad):,} of {len(totals):,} rows have a size factor of 0 or less ({rows_named(raw, bad)}), where "
            f"nothing could have been counted; it is {said}: leave out those rows (adata[adata.X.sum(1) > 0]), or say "
            "size_factor='none'."
        )


def rows_named(raw: Raw, rows: NDArray[np.int64]) -> str:
    """Some rows by their names, in words."""
    return name_list(raw.row_names[row] if raw.row_names else row for row in rows.tolist())


def sizes_of(
    word: str, totals: NDArray[np.float64], train: NDArray[np.int64], batches: Tensor | None, raw: Raw
) -> tuple[SizeFactors, Tensor]:
    """Sizes of all rows, and what is known of those in train.

    Parameters
    ----------
    word : str
        "observed", "latent" or a column's name.
    totals : array
        What was counted in each row, [n].
    train : array
        Numbers of the training rows.
    batches : Tensor, optional
        One-hot [n, batches].
    raw : Raw
        All columns that were read.

    Returns
    -------
    SizeFactors
        Means and spreads.
    Tensor
        [n, 1].
    """
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
    look = look_at(raw.x)
    refuse_no_counts(raw, look, ["size_factor="])
    totals = look.totals if word == OBSERVED else given_sizes(raw.taken[word], word, raw.x.shape[0])
    refuse_empty(raw, totals, "the row's total" if word == OBSERVED else f"the row's {word!r}")
    return torch.from_numpy((totals / known["mean"]).astype(np.float32))[:, None]
