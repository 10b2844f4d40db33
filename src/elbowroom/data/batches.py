"""The batch that each row comes from, as a context of classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import InputError
from elbowroom.numerics.text import name_list

from .notation import absent

__all__ = ["batches_of", "refuse_unseen_batches"]

_MOST = 2_000


def batches_of(values: Any, n: int) -> tuple[Tensor, list[str]]:
    """Batches as one-hot columns, and their names in the order of these.

    Parameters
    ----------
    values : array [n]
        Words, or numbers that name a class each.
    n : int
        How many rows there are.

    Returns
    -------
    one_hot : Tensor
        [n, batches].
    names : list of str
        Numbers in their order, else words in theirs.

    Raises
    ------
    InputError
        For rows without a batch, one batch alone, and numbers that are measurements.

    Examples
    --------
    >>> batches_of(np.array([10, 9, 10, 9]), 4)[1], batches_of(np.array(["b", "a", "a"]), 3)[0].tolist()
    (['9', '10'], [[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    """
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (n,):
        raise InputError(f"batch= has shape {array.shape} for {n:,} rows: give the batch of each, or a column's name.")
    gaps = np.array([absent(cell) for cell in array.tolist()], bool)
    if gaps.any():
        raise InputError(
            f"{int(gaps.sum()):,} of {n:,} rows have no batch (NaN or empty): name it there, 'unknown' if need be, or "
            "leave out those rows."
        )
    if array.dtype.kind == "f" and (array % 1 != 0).any():
        raise InputError(
            "The batch column holds fractions, so it measures something: a batch is a class; give a measurement as "
            "context=."
        )
    found, codes = np.unique(_whole(array), return_inverse=True)
    if len(found) < 2:
        raise InputError(
            f"All rows are of one batch, {str(found[0])!r}: there is nothing to tell apart; leave batch= out."
        )
    if len(found) > _MOST or 2 * len(found) > n > 20:
        raise InputError(
            f"The batch column has {len(found):,} different values for {n:,} rows: a batch is a class of many rows; "
            "give a measurement as context=."
        )
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(codes.astype(np.int64)), len(found))
    return one_hot.to(torch.float32), [str(one) for one in found.tolist()]


def _whole(array: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers as such, anything else as words."""
    if array.dtype.kind in "iub":
        return array
    return array.astype(np.int64) if array.dtype.kind == "f" else array.astype(str)


def refuse_unseen_batches(one_hot: Tensor, names: Sequence[str], parts: dict[str, NDArray[np.int64]]) -> list[str]:
    """Refuse batches that no training row is of; a note on those that validation lacks.

    Parameters
    ----------
    one_hot : Tensor
        [n, batches].
    names : sequence of str
        Of the batches.
    parts : dict of array
        Row numbers of "train", "validation" and "test".

    Returns
    -------
    list of str
        A sentence, or none.

    Raises
    ------
    InputError
        Where a model would be asked about a batch that it has not learned.
    """
    counts = {part: one_hot[torch.from_numpy(rows)].sum(0).numpy() for part, rows in parts.items()}
    unseen = [name for name, many in zip(names, counts["train"], strict=True) if not many]
    if unseen:
        rows = int(one_hot.sum(0).numpy()[[names.index(one) for one in unseen]].sum())
        raise InputError(
            f"No training row is of batch {name_list(unseen)} ({rows:,} rows in all), so that nothing of it would be "
            "learned: leave those rows out, join them with another batch, or draw other parts by seed=."
        )
    lacking = [name for name, many in zip(names, counts["validation"], strict=True) if not many]
    if lacking and len(parts["validation"]):
        return [f"No validation row is of batch {name_list(lacking)}: epochs are chosen without it."]
    return []
