"""Independent cells of a grid, each of one of several classes."""

from collections.abc import Sequence

from torch import Tensor
from torch.distributions import Distribution, Independent, OneHotCategorical

__all__ = ["categorical_grid", "classes_last"]


def categorical_grid(logits: Tensor) -> Distribution:
    """Cells that are independent, each one-hot over its classes.

    Parameters
    ----------
    logits : Tensor
        [draws or 1, batch or 1, *cells, classes], each cell's up to a constant.

    Returns
    -------
    Distribution
        With event [*cells, classes].

    Examples
    --------
    >>> import torch
    >>> categorical_grid(torch.zeros(1, 5, 8, 8, 3)).event_shape
    torch.Size([8, 8, 3])
    """
    return Independent(OneHotCategorical(logits=logits, validate_args=False), logits.dim() - 3, validate_args=False)


def classes_last(numbers: Tensor, event: Sequence[int]) -> Tensor:
    """Logits as `categorical_grid` takes them, of numbers as networks return them.

    Parameters
    ----------
    numbers : Tensor
        [draws, batch, classes × cells]: the first class in all cells, then the second, and so on.
    event : sequence of int
        (*cells, classes).

    Returns
    -------
    Tensor
        [draws, batch, *cells, classes].

    Examples
    --------
    >>> import torch
    >>> classes_last(torch.arange(6.0).view(1, 1, 6), (3, 2))[0, 0]
    tensor([[0., 3.],
            [1., 4.],
            [2., 5.]])
    """
    *cells, classes = event
    return numbers.unflatten(2, (classes, *cells)).movedim(2, -1)
