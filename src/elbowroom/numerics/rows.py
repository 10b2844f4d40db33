"""Examples served by rows, from whatever people hold."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._as_tensor import for_torch, outside_inference
from ._plain_arguments import plain_arguments
from .batch import Batch
from .errors import InputError

__all__ = ["Rows", "as_batch", "as_rows", "in_parts"]

_ROWS_AT_ONCE, _CELLS_AT_ONCE = 1_000, 2**22


@runtime_checkable
class Rows(Protocol):
    """Examples served by rows: a batch, a part of a data set, or a reader of a file or sparse matrix.

    Attributes
    ----------
    index : Tensor
        The position of each example in its data set, [n], int64, which seeds its noise.
    """

    index: Tensor

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def rows(self, positions: Tensor | slice) -> "Batch":
        """The examples at these positions, from 0 to len − 1, in their order."""
        ...


def as_rows(examples: Any) -> Rows:
    """Examples by rows, from whatever holds them.

    Parameters
    ----------
    examples : array, tensor, DataFrame, list, Batch or part of a data set
        Numbers [n, *event], NaN or masked where a cell is missing; a batch and a part of a data set are returned as
        they are.

    Returns
    -------
    Rows
        The examples.

    Raises
    ------
    InputError
        For values that are no numbers or infinite, and for a whole data set.

    Examples
    --------
    >>> len(as_rows(np.zeros((3, 2))))
    3
    """
    frame = hasattr(examples, "iloc")  # whose columns may have any name, "rows" among them
    if isinstance(examples, Rows) and not frame:
        return examples
    if not frame and all(hasattr(examples, part) for part in ("train", "validation", "test")):
        raise InputError("A data set has three parts: say which one is meant, as in data.test.")
    x = examples if isinstance(examples, Tensor) else torch.from_numpy(_numbers(examples, frame))
    if x.layout != torch.strided:
        raise InputError("Sparse examples are read by rows: load them with load_data from a scipy.sparse matrix.")
    x = outside_inference(x.detach())
    if x.is_complex():
        raise InputError("Examples are rows of real numbers; these are complex.")
    if x.dim() < 2:
        raise InputError(f"Examples have shape {tuple(x.shape)}: give one row per example, as in x[None].")
    if x.is_floating_point() and bool(x.isinf().any()):
        raise InputError("The examples hold infinite values: leave these rows out, or make them NaN, which is missing.")
    return _with_gaps(x) if x.is_floating_point() and bool(x.isnan().any()) else Batch(x, torch.arange(len(x)))


def _with_gaps(x: Tensor) -> Batch:
    """Examples whose NaN are missing cells, which hold a value that is seen in their column, where there is one."""
    seen = ~x.isnan()
    least = torch.where(seen, x, torch.inf).amin(0)
    filled = torch.where(seen, x, torch.where(least.isinf(), 0.0, least))
    return Batch(filled, torch.arange(len(x)), seen=seen)


def _numbers(examples: Any, frame: bool) -> NDArray[Any]:
    """The examples as an array of numbers, in this machine's byte order; NaN where they are masked."""
    if hasattr(examples, "obs_names"):
        raise InputError(
            "Cells come as an AnnData, which holds counts in several places: load_data reads them as a data set, and "
            "er.annotations.annotate(vae, adata, data=…) scores the cells of one as the model's own."
        )
    if hasattr(examples, "tocsr"):
        raise InputError("Sparse examples are read by rows: load them with load_data, which keeps them sparse.")
    if np.ma.is_masked(examples):
        examples = np.ma.filled(examples.astype(np.result_type(examples.dtype, np.float32)), np.nan)
    try:
        values = examples.to_numpy(dtype=np.float64, na_value=np.nan) if frame else np.asarray(examples)
    except (ValueError, TypeError) as error:
        why = "columns of numbers alone are needed" if frame else "every row needs the same number of values"
        raise InputError(f"The examples are no table of numbers: {why}.") from error
    if values.dtype.kind not in "buif":
        raise InputError(f"Examples are rows of numbers; this {type(examples).__name__} holds {values.dtype} values.")
    return for_torch(values).copy()


def as_batch(examples: Any) -> Batch:
    """All examples as one batch, from whatever holds them.

    Parameters
    ----------
    examples : array, tensor, DataFrame, list, Batch or part of a data set
        As for `as_rows`.

    Returns
    -------
    Batch
        The examples.

    Raises
    ------
    InputError
        As for `as_rows`.

    Examples
    --------
    >>> as_batch([[0.0, 1.0], [2.0, 3.0]]).index
    tensor([0, 1])
    """
    rows = as_rows(examples)
    return rows if isinstance(rows, Batch) else rows.rows(slice(None))


@plain_arguments
def in_parts(rows: Rows, *, most: int = _ROWS_AT_ONCE) -> Iterator[Batch]:
    """All examples as batches in turn, of so few that wide ones stay within memory.

    Parameters
    ----------
    rows : Rows
        The examples.
    most : int, default 1000
        Of a batch, and fewer where an example is large.

    Yields
    ------
    Batch
        The next of them.

    Examples
    --------
    >>> [len(part) for part in in_parts(as_rows(np.zeros((2_100, 2))))]
    [1000, 1000, 100]
    """
    n = len(rows)
    size = rows.rows(slice(0, 1)).x[0].numel() if n else 1
    step = min(max(_CELLS_AT_ONCE // max(size, 1), 1), most)
    for start in range(0, n, step):
        yield rows.rows(slice(start, min(start + step, n)))
