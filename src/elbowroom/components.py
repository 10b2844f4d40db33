"""The one kind of component: a module from named tensors to a distribution."""

import math
from collections.abc import ItemsView, Mapping, Sequence, ValuesView
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from elbowroom.networks import Standardised
from elbowroom.numerics import Given, InputError

__all__ = ["Blocks", "Component", "as_event", "at_least_two"]


def as_event(event: int | Sequence[int], what: str) -> tuple[int, ...]:
    """An event shape from a size or a shape; every entry is at least 1."""
    shape = (event,) if isinstance(event, int) else tuple(event)
    if not shape or min(shape) < 1:
        raise InputError(f"{what} needs a size of 1 or more; got {event!r}.")
    return shape


def at_least_two(classes: int) -> int:
    """A number of classes."""
    if classes < 2:
        raise InputError(f"A Categorical block needs at least 2 classes; got {classes}.")
    return classes


class Component(nn.Module):
    """Named tensors → distribution: prior, posterior block and likelihood alike.

    event: shape of one draw; noise_shape: shape of the standard-normal noise of one draw; given: the names the
    network reads, in the order of its arguments; classes: of a posterior block whose classes a pass lays out
    and sums over; 1 for a block that is drawn.
    """

    classes: int = 1

    def __init__(self, event: int | Sequence[int], given: Sequence[str] = (), network: nn.Module | None = None) -> None:
        super().__init__()
        self.event = as_event(event, type(self).__name__)
        self.noise_shape = self.event
        self.given = tuple(given)
        self.network = network

    def forward(self, given: Given) -> Distribution:
        """The distribution given the named tensors, each [draws or 1, batch, *event]."""
        raise NotImplementedError

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Take from the training data [n, *event] what was left to them; returns notes for the user."""
        if isinstance(self.network, Standardised) and self.given[:1] == ("x",):
            self.network.settle(y)
        return []

    def state_words(self) -> list[str]:
        """What was settled or learned and a person would ask for, in a few words each: a scale, its floor."""
        return []

    def parameters_from(self, given: Given, parts: int) -> tuple[Tensor, ...]:
        """Run the network on ordinary batches: `parts` tensors [draws, batch, *event].

        Raises InputError for a name that is not there or an output of another size.
        """
        out = self.numbers_from(given, parts * math.prod(self.event))
        if parts == 1:
            return (out.view(*out.shape[:2], *self.event),)
        return out.view(*out.shape[:2], parts, *self.event).unbind(2)

    def numbers_from(self, given: Given, numbers: int) -> Tensor:
        """Run the network on ordinary batches: [draws, batch, numbers].

        The inputs are broadcast to one [draws, batch], flattened to [N, ...], and the network's output [N, ...] is
        flattened per example. Raises InputError for a name that is not there or an output of another size.
        """
        assert self.network is not None
        inputs = self._inputs(given)
        lead = inputs[0].shape[:2]
        if len(inputs) > 1:
            lead = torch.broadcast_shapes(*(t.shape[:2] for t in inputs))
            inputs = [t.expand(*lead, *t.shape[2:]) for t in inputs]
        out = self.network(*(t.flatten(0, 1) for t in inputs))
        if out.shape[1:].numel() != numbers:
            each = numbers / math.prod(self.event)
            raise InputError(
                f"{type(self).__name__} over {self.event} needs {numbers} numbers per example "
                f"from its network ({each:g} per element); it returned {tuple(out.shape[1:])}."
            )
        return out.reshape(*lead, numbers)

    def _inputs(self, given: Given) -> list[Tensor]:
        missing = [name for name in self.given if name not in given]
        if missing:
            raise InputError(
                f"{type(self).__name__} reads {missing[0]!r}, which is not at hand; there is: {', '.join(given)}."
            )
        return [given[name] for name in self.given]


class Blocks(nn.ModuleDict):
    """Components by the name of the latent block they are over; a lone component is the block "z"."""

    def __init__(self, part: Component | Mapping[str, Component]) -> None:
        blocks = {"z": part} if isinstance(part, Component) else dict(part)
        for name in blocks:
            if (
                not isinstance(name, str)
                or not name
                or "." in name
                or hasattr(nn.ModuleDict, name)
                or name == "training"
            ):
                raise InputError(f"A latent block cannot be called {name!r}: take a plain word, without a dot.")
        super().__init__(blocks)

    def items(self) -> ItemsView[str, Component]:
        """Names and components, in order."""
        return cast(ItemsView[str, Component], super().items())

    def values(self) -> ValuesView[Component]:
        """Components, in order."""
        return cast(ValuesView[Component], super().values())

    def __getitem__(self, name: str) -> Component:
        return cast(Component, super().__getitem__(name))
