"""Arrays of any layout as tensors."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .errors import InputError

__all__ = ["as_tensor", "for_torch", "outside_inference"]


def for_torch(x: NDArray[Any]) -> NDArray[Any]:
    """The same numbers as an array that torch can read.

    Parameters
    ----------
    x : array
        Numbers, of any byte order, strides and width.

    Returns
    -------
    array
        In rows, in the machine's own byte order and in a type that torch computes with.

    Examples
    --------
    >>> for_torch(np.arange(3, dtype=">u2")[::-1])
    array([2, 1, 0], dtype=int32)
    """
    wider: Any = {"u2": np.int32, "u4": np.int64, "u8": np.int64}.get(x.dtype.str[1:])
    if wider is None:
        wider = np.float64 if x.dtype.kind == "f" and x.dtype.itemsize > 8 else x.dtype.newbyteorder("=")
    return np.ascontiguousarray(x, dtype=wider)


def outside_inference(x: Tensor) -> Tensor:
    """The tensor, or a copy where it was made in inference mode and that is left: gradients pass no such tensor.

    Parameters
    ----------
    x : Tensor
        Any.

    Returns
    -------
    Tensor
        The same numbers.

    Examples
    --------
    >>> with torch.inference_mode():
    ...     x = torch.ones(2)
    >>> outside_inference(x).is_inference()
    False
    """
    return x.clone() if x.is_inference() else x


def as_tensor(x: Any, name: str) -> Tensor:
    """Numbers as a tensor, from whatever holds them.

    Parameters
    ----------
    x : array, tensor, DataFrame or list
        Numbers, in any layout.
    name : str
        What an error calls them.

    Returns
    -------
    Tensor
        The same numbers without a gradient; a tensor is not copied.

    Raises
    ------
    InputError
        For what are no numbers, and for sparse ones.

    Examples
    --------
    >>> as_tensor(np.arange(4.0).reshape(2, 2)[::-1], "codes")
    tensor([[2., 3.],
            [0., 1.]], dtype=torch.float64)
    """
    if isinstance(x, Tensor):
        if x.layout != torch.strided:
            raise InputError(f"The {name} are sparse: make them dense first.")
        return outside_inference(x.detach())
    try:
        values = np.asarray(x)
    except (ValueError, TypeError) as error:
        raise InputError(f"The {name} are no table of numbers: every row needs the same number of values.") from error
    if values.dtype.kind not in "buif":
        raise InputError(f"The {name} must be numbers; this {type(x).__name__} holds {values.dtype} values.")
    values = for_torch(values)
    return torch.from_numpy(values if values.flags.writeable else values.copy())
