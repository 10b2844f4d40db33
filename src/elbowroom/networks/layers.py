"""What the networks are made of: activations and normalisations by their words, inputs side by side."""

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
    """The activation of that name in a list, empty for None; leaky ReLU has slope 0.2 below zero."""
    if word is None:
        return []
    if word not in ACTIVATIONS:
        raise InputError(f"There is no activation {word!r}; choose from: {', '.join(ACTIVATIONS)}.")
    return [ACTIVATIONS[word]()]


def norm_layers(word: str | None, width: int, image: bool = False, channels: int | None = None) -> list[nn.Module]:
    """The normalisation of that name over `width` features or channels in a list, or an empty list for None.

    "batch" keeps running statistics; "group" works on each example alone, in groups of 16 channels (one group
    where 16 does not divide them), as in Wu and He, "Group Normalization", 2018. `channels` is given where
    flat features are an image still to be reshaped, so that its groups are those of the image.
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
    """A linear layer, its normalisation and its activation."""
    return [
        nn.Linear(width, wider),
        *norm_layers(norm, wider, channels=channels),
        *activation_layers(activation),
    ]


def side_by_side(inputs: Sequence[Tensor], width: int, name: str) -> Tensor:
    """The inputs [N, *event_i] flattened and side by side, [N, width]; one flat input passes untouched."""
    flat = [x if x.ndim == 2 else x.flatten(1) for x in inputs]
    joined = flat[0] if len(flat) == 1 else torch.cat(flat, 1)
    if joined.shape[1] != width:
        sizes = " + ".join(str(x.shape[1]) for x in flat)
        sizes += f" = {joined.shape[1]}" if len(flat) > 1 else ""
        raise InputError(f"{name} is {width}, but the inputs bring {sizes} numbers per example: build it with that.")
    return joined


def at_least_one(values: Sequence[int], name: str) -> tuple[int, ...]:
    """The values, each a whole number of 1 or more, or an InputError."""
    if not values or any(not isinstance(v, int) or v < 1 for v in values):
        raise InputError(f"{name} must be whole numbers of 1 or more; got {tuple(values)}.")
    return tuple(values)
