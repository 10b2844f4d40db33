"""Batches and noise of which every member of a stack has its own."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from elbowroom.numerics import Batch, Noise

__all__ = ["Batches", "Noises", "tensors_of"]


class Batches(Batch):
    """A batch for each member of a stack: all tensors of a `Batch` with a leading dimension of members."""

    __slots__ = ()

    @classmethod
    def of(cls, batches: Sequence[Batch]) -> "Batches":
        """One of each member's, [members, batch, ...]."""
        return cls(**tree_map(lambda *tensors: torch.stack(tensors), *map(tensors_of, batches)))


class Noises(Noise):
    """The noise of each member of a stack: all tensors of a `Noise` with a leading dimension of members."""

    @classmethod
    def of(cls, noises: Sequence[Noise], shapes: Mapping[str, Sequence[int]]) -> "Noises":
        """One of each member's, [members, draws, batch, *shape], with zeros where a shape has more than its member."""
        return cls({name: torch.stack([_filled(one[name], shapes.get(name)) for one in noises]) for name in noises[0]})


def tensors_of(batch: Batch) -> dict[str, Any]:
    """What makes a batch again, without what it lacks."""
    every = {field.name: getattr(batch, field.name) for field in fields(Batch)}
    return {name: value for name, value in every.items() if value is not None}


def _filled(noise: Tensor, shape: Sequence[int] | None) -> Tensor:
    """Noise [draws, batch, ...] with zeros behind it on every axis, up to [draws, batch, *shape]."""
    if shape is None or tuple(noise.shape[2:]) == tuple(shape):
        return noise
    whole = noise.new_zeros(*noise.shape[:2], *shape)
    whole[tuple(map(slice, noise.shape))] = noise
    return whole
