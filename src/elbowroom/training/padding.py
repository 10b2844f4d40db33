"""Masked units: a model in the shape of one with more latents, of which it never sees those that are not its own."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

import torch
from torch import Size, Tensor, nn

from elbowroom.components import Component

from .training_step import TrainingStep

__all__ = ["Padding", "largest", "sizes"]

Event = tuple[int, ...]

Places = tuple[Tensor, ...]
"""Where a tensor lies in a larger one: positions along every axis."""


def sizes(step: TrainingStep) -> dict[str, tuple[int, ...]]:
    """Shapes of the latent blocks of a step's model.

    Parameters
    ----------
    step : TrainingStep
        The step.

    Returns
    -------
    dict of str to tuple of int
        Block → event.
    """
    return {name: block.event for name, block in step.vae.prior.items()}


def largest(steps: Sequence[TrainingStep]) -> TrainingStep:
    """The step whose model has the most latents; one of those that are trained as one holds all others.

    Parameters
    ----------
    steps : sequence of TrainingStep
        The steps.

    Returns
    -------
    TrainingStep
        The first such.
    """
    return max(steps, key=lambda step: step.vae.latents)


class Padding:
    """How a step's tensors lie in those of one that has more latents and is alike otherwise.

    What they do not fill there is 0, stays 0, and is told apart by `Component.units`.

    Parameters
    ----------
    step : TrainingStep
        The step.
    whole : TrainingStep
        The one with more latents.

    Raises
    ------
    ValueError
        Where it cannot be told how a tensor lies in the other.
    """

    def __init__(self, step: TrainingStep, whole: TrainingStep) -> None:
        self.units = {}
        for part in ("prior", "posterior"):
            for name, block in getattr(step.vae, part).items():
                self.units[f"vae.{part}.{name}.units"] = _units(block, getattr(whole.vae, part)[name])
        self.places: dict[str, Places] = {}
        every, larger = _tensors(step), _tensors(whole)
        for name, tensor in every.items():
            if tensor.shape != larger[name].shape:
                names = [alias for alias, other in every.items() if other is tensor]
                self.places[name] = _places(names, tensor.shape, larger[name].shape, step, whole)
        self._shapes = {name: larger[name].shape for name in self.places}

    def pad(self, name: str, tensor: Tensor) -> Tensor:
        """The tensor of this name in the shape of the larger step's."""
        if name not in self.places:
            return tensor
        found = tensor.new_zeros(self._shapes[name])
        found[torch.meshgrid(*self.places[name], indexing="ij")] = tensor.detach()
        return found

    def crop(self, name: str, tensor: Tensor) -> Tensor:
        """A tensor of the larger step's shape as it is alone."""
        return tensor[torch.meshgrid(*self.places[name], indexing="ij")] if name in self.places else tensor


def _tensors(step: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, under every name."""
    return dict([*step.named_parameters(remove_duplicate=False), *step.named_buffers(remove_duplicate=False)])


def _units(block: Component, larger: Component) -> Tensor:
    """Which units of the larger block the other has, [*event] bool."""
    found = torch.zeros(larger.event, dtype=torch.bool)
    found[tuple(map(slice, block.event))] = True
    return found


def _places(names: Sequence[str], shape: Size, larger: Size, step: TrainingStep, whole: TrainingStep) -> Places:
    """Where a tensor with these names lies: along every axis what a component reads, or as parts of its event."""
    for name in names:
        found = [
            torch.arange(size) if size == more else _along(name, size, more, len(shape) == 2 and axis == 1, step, whole)
            for axis, (size, more) in enumerate(zip(shape, larger, strict=True))
        ]
        if all(place is not None for place in found):
            return tuple(place for place in found if place is not None)
    raise ValueError(f"which numbers in {names[0]} belong to which unit cannot be told")


def _along(name: str, size: int, more: int, reads: bool, step: TrainingStep, whole: TrainingStep) -> Tensor | None:
    """Positions along one axis; a matrix reads along its second."""
    part, larger = _component(name, step), _component(name, whole)
    if part is None or larger is None:
        return None
    ways = [_as_parts(part.event, larger.event, size, more), _as_read(part, sizes(step), sizes(whole), size, more)]
    return next((way for way in (reversed(ways) if reads else ways) if way is not None), None)


def _component(name: str, step: TrainingStep) -> Component | None:
    """The innermost component around a tensor."""
    module: nn.Module = step
    found = None
    for word in name.split(".")[:-1]:
        module = getattr(module, word)
        found = module if isinstance(module, Component) else found
    return found


def _as_parts(event: Sequence[int], larger: Sequence[int], size: int, more: int) -> Tensor | None:
    """All units of one part, then all of the next, as networks return them."""
    parts, rest = divmod(size, event[0])
    if len(event) > 1 or rest or more != parts * larger[0]:
        return None
    return torch.cat([torch.arange(event[0]) + part * larger[0] for part in range(parts)])


def _as_read(
    part: Component, own: Mapping[str, Event], there: Mapping[str, Event], size: int, more: int
) -> Tensor | None:
    """Latent blocks in the order in which they are read, beside contexts."""
    runs = [(name in own, list(names)) for name, names in groupby(part.reads, lambda name: name if name in own else "")]
    known, wide = (sum(math.prod(of[name]) for name in part.reads if name in own) for of in (own, there))
    if sum(not latent for latent, _ in runs) > 1 or size - known != more - wide or size < known:
        return None
    found, start = [], 0
    for latent, names in runs:
        width, room = (math.prod(of[names[0]]) for of in (own, there)) if latent else (size - known, size - known)
        found.append(torch.arange(width) + start)
        start += room
    return torch.cat(found) if start == more and sum(map(len, found)) == size else None
