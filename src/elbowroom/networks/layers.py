"""Building blocks of the networks: activations and normalisations by name, inputs side by side."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from elbowroom.numerics import InputError

__all__ = ["activation_layers", "at_least_one", "dense_step", "norm_layers", "side_by_side"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "leaky-relu": lambda: nn.LeakyReLU(0.2),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def activation_layers(word: str | None) -> list[nn.Module]:
    """The activation of a name.

    Parameters
    ----------
    word : str or None
        A name in `ACTIVATIONS`; None for none. Leaky ReLU has slope 0.2 below zero.

    Returns
    -------
    list of nn.Module
        One module, or none.

    Raises
    ------
    InputError
        For another name.
    """
    if word is None:
        return []
    if word not in ACTIVATIONS:
        raise InputError(f"There is no activation {word!r}; choose from: {', '.join(ACTIVATIONS)}.")
    return [ACTIVATIONS[word]()]


def norm_layers(word: str | None, width: int, image: bool = False, channels: int | None = None) -> list[nn.Module]:
    """The normalisation of a name.

    Parameters
    ----------
    word : {"batch", "group", None}
        "batch" keeps running statistics; "group" works on each example alone, in groups of 16 channels, or in one group
        where 16 does not divide them.
    width : int
        Number of features or channels.
    image : bool, default False
        Whether they are channels of an image.
    channels : int or None, default None
        Channels of the image that flat features are still to be reshaped to, so that the groups are the image's.

    Returns
    -------
    list of nn.Module
        One module, or none.

    Raises
    ------
    InputError
        For another name.

    References
    ----------
    Wu & He, "Group normalization" (2018).
    """
    if word is None:
        return []
    if word == "batch":
        return [nn.BatchNorm2d(width) if image else nn.BatchNorm1d(width)]
    if word == "group":
        channels = channels or width
        return [nn.GroupNorm(channels // 16 if channels % 16 == 0 else 1, width)]
    raise InputError(f"There is no normalisation {word!r}; choose from: batch, group, or None.")


def dense_step(
    width: int, wider: int, norm: str | None, activation: str | None, channels: int | None = None
) -> list[nn.Module]:
    """A linear layer, its normalisation and its activation.

    Parameters
    ----------
    width : int
        Number of inputs.
    wider : int
        Number of outputs.
    norm : {"batch", "group", None}
        Name of the normalisation.
    activation : str or None
        Name of the activation.
    channels : int or None, default None
        As in `norm_layers`.

    Returns
    -------
    list of nn.Module
        The layers, in order.
    """
    return [
        nn.Linear(width, wider),
        *norm_layers(norm, wider, channels=channels),
        *activation_layers(activation),
    ]


def side_by_side(inputs: Sequence[Tensor], width: int, name: str) -> Tensor:
    """The inputs, flattened and side by side.

    Parameters
    ----------
    inputs : sequence of Tensor
        [N, *event_i] each.
    width : int
        Numbers per example that they should have in all.
    name : str
        What has this width, as the error names it.

    Returns
    -------
    Tensor
        [N, width]; a single flat input is returned untouched.

    Raises
    ------
    InputError
        For inputs of another size, and numbers without rows.
    """
    if any(x.ndim < 2 for x in inputs):
        shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
        raise InputError(f"A network reads a row of numbers per example, [n, …]; got inputs of shape {shapes}.")
    flat = [x if x.ndim == 2 else x.flatten(1) for x in inputs]
    joined = flat[0] if len(flat) == 1 else torch.cat(flat, 1)
    if joined.shape[1] != width:
        sizes = " + ".join(str(x.shape[1]) for x in flat)
        sizes += f" = {joined.shape[1]}" if len(flat) > 1 else ""
        raise InputError(f"{name} is {width}, but the inputs bring {sizes} numbers per example: build it with that.")
    return joined


def at_least_one(values: Sequence[int], name: str) -> tuple[int, ...]:
    """Whole numbers of 1 or more, checked.

    Parameters
    ----------
    values : sequence of int
        The numbers.
    name : str
        What they are, as the error names it.

    Returns
    -------
    tuple of int
        The same numbers.

    Raises
    ------
    InputError
        For no numbers, or one that is not whole or below 1.
    """
    if not values or any(not isinstance(v, int) or v < 1 for v in values):
        raise InputError(f"{name} must be whole numbers of 1 or more; got {tuple(values)}.")
    return tuple(values)
