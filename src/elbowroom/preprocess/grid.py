"""What maps of data on a grid share."""

from torch import Tensor

from elbowroom.numerics import InputError, Support

__all__ = ["off_grid", "on_grid", "uniforms"]


def uniforms(noise: Tensor | None, x: Tensor, who: str) -> Tensor:
    """The noise, checked: uniforms of the shape of x."""
    if noise is None or noise.shape != x.shape:
        got = "none" if noise is None else tuple(noise.shape)
        raise InputError(f"{who} needs uniform noise of the data's shape {tuple(x.shape)}; got {got}.")
    return noise.to(x.dtype)


def on_grid(before: Support, levels: int, after: Support, who: str) -> Support:
    """What a step makes of the support `before`: `after`, where that holds no more levels than the step knows."""
    held = 2 if before.kind == "binary" else before.levels if before.kind == "grid" else None
    if held is None or held > levels:
        raise InputError(f"{who} was made for the integer grid 0…{levels - 1}; these data are {before}.")
    return after


def off_grid(x: Tensor, levels: float) -> Tensor:
    """Which cells are none of the whole numbers 0 … levels − 1; NaN, a missing cell, is not meant."""
    return (x < 0) | (x > levels - 1) | x.isinf() | ((x != x.floor()) & ~x.isnan())
