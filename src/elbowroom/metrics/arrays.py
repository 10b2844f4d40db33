"""Reading the arrays of data and samples."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from elbowroom import numerics
from elbowroom.numerics import InputError

__all__ = ["Array", "as_images", "as_rows", "as_tensor", "equal_sizes"]

Array = Tensor | ArrayLike


def as_tensor(x: Array, name: str) -> Tensor:
    """Check an array or tensor of rows or images.

    Parameters
    ----------
    x : array or Tensor
        [n, *event].
    name : str
        What errors call it.

    Returns
    -------
    Tensor
        The same on the CPU, as floats that hold whole numbers exactly.

    Raises
    ------
    InputError
        Where it is empty or not finite.
    """
    values = numerics.as_tensor(x, name).cpu()
    if not values.is_floating_point():
        values = values.float() if values.element_size() <= 2 else values.double()
    if values.ndim < 2 or not values.numel():
        raise InputError(f"The {name} must be rows or images [n, *event]; they have the shape {tuple(values.shape)}.")
    if not bool(torch.isfinite(values).all()):
        raise InputError(f"The {name} hold NaN (as missing cells are) or infinite numbers; leave these rows out.")
    return values


def as_rows(x: Array, name: str) -> NDArray[np.float64]:
    """Rows of numbers.

    Parameters
    ----------
    x : array or Tensor
        [n, *event].
    name : str
        What errors call it.

    Returns
    -------
    array
        [n, elements], float64.
    """
    return as_tensor(x, name).flatten(1).double().numpy()


def as_images(x: Array, name: str, image_shape: Sequence[int] | None = None) -> Tensor:
    """Images with their channels.

    Parameters
    ----------
    x : array or Tensor
        [n, H, W], [n, C, H, W], or rows with `image_shape`.
    name : str
        What errors call it.
    image_shape : sequence of int, optional
        (H, W) or (C, H, W) of rows.

    Returns
    -------
    Tensor
        [n, C, H, W].

    Raises
    ------
    InputError
        For what are no images.
    """
    values = as_tensor(x, name)
    shape = tuple(values.shape[1:] if image_shape is None else image_shape)
    if len(shape) not in (2, 3) or math.prod(shape) != values[0].numel():
        raise InputError(
            f"The {name} are no images: each has the shape {tuple(values.shape[1:])}, read as {shape}; give "
            "image_shape=(H, W) or (C, H, W)."
        )
    return values.reshape(len(values), *(shape if len(shape) == 3 else (1, *shape)))


def equal_sizes(data: Array, samples: Array, fewest: int, what: str) -> None:
    """Refuse data and samples of different shapes, or too few.

    Parameters
    ----------
    data : array or Tensor
        [n, *event].
    samples : array or Tensor
        [n, *event].
    fewest : int
        Rows that are needed on each side.
    what : str
        What needs them, as the sentence begins.

    Raises
    ------
    InputError
        In one sentence.
    """
    shapes = [tuple(numerics.as_tensor(x, f"examples of {what}").shape) for x in (data, samples)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"{what} compares equally many examples of one shape; got {shapes[0]} and {shapes[1]}: cut the larger set."
        )
    if not shapes[0] or shapes[0][0] < fewest:
        raise InputError(
            f"{what} needs {fewest:,} examples or more on each side; got {shapes[0][0] if shapes[0] else 'a number'}."
        )
