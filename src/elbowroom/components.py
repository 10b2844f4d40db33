"""Components, the parts of a model: modules from named tensors to a distribution."""

import copy
import math
from collections.abc import ItemsView, Mapping, Sequence, ValuesView
from contextlib import nullcontext
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from elbowroom.networks import ScaledInputs, Standardised
from elbowroom.numerics import Given, InputError, plain_arguments, whole_products

__all__ = ["Blocks", "Component", "Form", "Over", "as_event", "at_least_two"]

Form = Literal[
    "independent normal",
    "normal",
    "mixture",
    "classes",
    "grid of classes",
    "uniform",
    "bounded",
    "sphere",
    "simplex",
    "other",
]
Over = Literal["real numbers", "classes", "a grid of classes", "the unit box", "the sphere", "the simplex"]


@plain_arguments
def as_event(event: int | Sequence[int], what: str) -> tuple[int, ...]:
    """An event shape from a size or a shape.

    Parameters
    ----------
    event : int or sequence of int
        The shape of one draw; a number n stands for (n,).
    what : str
        What is checked, as the error names it.

    Returns
    -------
    tuple of int
        The shape.

    Raises
    ------
    InputError
        For an empty shape, or an entry below 1.

    Examples
    --------
    >>> as_event(3, "A prior"), as_event([1, 8, 8], "A likelihood")
    ((3,), (1, 8, 8))
    """
    shape = (event,) if isinstance(event, int) else tuple(event)
    if not shape or min(shape) < 1:
        raise InputError(f"{what} needs a size of 1 or more; got {event!r}.")
    return shape


@plain_arguments
def at_least_two(classes: int) -> int:
    """A number of classes, checked.

    Parameters
    ----------
    classes : int
        The number of classes of a block.

    Returns
    -------
    int
        The same number.

    Raises
    ------
    InputError
        For fewer than 2 classes.

    Examples
    --------
    >>> at_least_two(10)
    10
    """
    if classes < 2:
        raise InputError(f"A Categorical block needs at least 2 classes; got {classes}.")
    return classes


@plain_arguments
class Component(nn.Module):
    """A part of a model, from named tensors to a distribution: a prior, a posterior block or a likelihood.

    A subclass defines `forward(given)`.

    Parameters
    ----------
    event : int or sequence of int
        Shape of one draw; a number n stands for (n,).
    given : sequence of str, default ()
        Names of the tensors that the network reads, in the order of its arguments.
    network : nn.Module or None, default None
        From ordinary batches [N, …] of these tensors to numbers [N, …]; None for a component without a network.

    Attributes
    ----------
    event : tuple of int
        Shape of one draw.
    noise_shape : tuple of int
        Shape of the standard-normal noise of one draw.
    reads : tuple of str
        What the network reads of `given`; all of it, unless a class says otherwise.
    classes : int
        Number of classes, or of components of a mixture, that a pass lays out and sums over in a posterior block; 1 for
        a block that is drawn.
    form : str
        What the class returns, a word of `Form`: KLs between normals, between classes, and from uniforms are in closed
        form.
    over : {"real numbers", "classes", "a grid of classes", "the unit box", "the sphere", "the simplex"}
        Where draws lie: prior and posterior of a block are over the same, or their densities cannot be compared.
    units : Tensor or None
        Which elements of a latent block are the model's own, [*event] bool, while it is trained in one stack with
        larger ones; None: all are.

    Raises
    ------
    InputError
        For an empty event, or one with an entry below 1.

    Examples
    --------
    >>> from torch.distributions import Independent, Normal
    >>> class Narrow(Component):
    ...     def forward(self, given):
    ...         return Independent(Normal(torch.zeros(1, 1, *self.event), 0.1), 1)
    >>> Narrow(2)({}).event_shape
    torch.Size([2])
    """

    classes: int = 1
    form: Form = "other"
    over: Over = "real numbers"
    units: Tensor | None
    arguments: dict[str, Any]

    def __init__(
        self, event: int | Sequence[int], *, given: Sequence[str] = (), network: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.event = as_event(event, type(self).__name__)
        self.noise_shape = self.event
        self.given = self.reads = tuple(given)
        self.network = network
        self.register_buffer("units", None, persistent=False)

    def forward(self, given: Given) -> Distribution:
        """The distribution given the named tensors.

        Parameters
        ----------
        given : Given
            Tensors [draws or 1, batch, *event] by name: "x", latent blocks, contexts.

        Returns
        -------
        Distribution
            With batch shape [draws or 1, batch or 1] and the component's event.
        """
        raise NotImplementedError

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Take from the training data what was left open, before training.

        Parameters
        ----------
        y : Tensor
            Preprocessed training data, [n, *event].
        step : float or None
            Step of the grid that y lies on; None where there is no grid.
        latents : int
            Number of latent dimensions of the model.

        Returns
        -------
        list of str
            What was settled, in sentences for the user.
        """
        if isinstance(self.network, Standardised) and self.given[:1] == ("x",):
            self.network.settle(y)
        return []

    def settle_contexts(self, contexts: Mapping[str, Tensor]) -> None:
        """Take from the training data the scale on which the network reads contexts of numbers, before training.

        Parameters
        ----------
        contexts : mapping of str to Tensor
            Name → [n, ...].
        """
        for module in self.network.modules() if self.network is not None else ():
            if isinstance(module, ScaledInputs):
                for position in module.scaled:
                    module.settle(position, contexts[self.reads[position]])

    def weigh_against(self, examples: int) -> None:
        """Take the number of training examples, before training; most components have no use for it.

        Parameters
        ----------
        examples : int
            How many.
        """

    def weight_penalty(self) -> Tensor | None:
        """What training adds to every objective, nats per example: −log p(weights) / N; None for no such prior."""
        return None

    def state_words(self) -> list[str]:
        """What was settled or learned and a reader would ask for, in a few words each: a scale, its floor."""
        return []

    def parameters_from(self, given: Given, parts: int) -> tuple[Tensor, ...]:
        """The network's output as tensors of the event's shape.

        Parameters
        ----------
        given : Given
            Tensors [draws or 1, batch, *event] by name.
        parts : int
            Numbers per element; the network returns all elements of the first part, then all of the second, and so on.

        Returns
        -------
        tuple of Tensor
            `parts` tensors [draws, batch, *event].

        Raises
        ------
        InputError
            For a name that is not in `given`, or an output of another size.
        """
        out = self.numbers_from(given, parts * math.prod(self.event))
        if parts == 1:
            return (out.view(*out.shape[:2], *self.event),)
        return out.view(*out.shape[:2], parts, *self.event).unbind(2)

    def numbers_from(self, given: Given, numbers: int) -> Tensor:
        """The network's output on the named tensors.

        The tensors are broadcast to one [draws, batch] and flattened to [N, …]; the network's output [N, …] is
        flattened per example.

        Parameters
        ----------
        given : Given
            Tensors [draws or 1, batch, *event] by name.
        numbers : int
            Numbers per example that the network is to return.

        Returns
        -------
        Tensor
            [draws, batch, numbers].

        Raises
        ------
        InputError
            For a name that is not in `given`, or an output of another size.
        """
        out = self.network_output(given)
        if out.shape[2:].numel() != numbers:
            each = numbers / math.prod(self.event)
            raise InputError(
                f"{type(self).__name__} over {self.event} needs {numbers} numbers per example "
                f"from its network ({each:g} per element); it returned {tuple(out.shape[2:])}."
            )
        return out.reshape(*out.shape[:2], numbers)

    def network_output(self, given: Given) -> Tensor:
        """The network's output on the named tensors, as it comes.

        Parameters
        ----------
        given : Given
            Tensors [draws or 1, batch, *event] by name.

        Returns
        -------
        Tensor
            [draws, batch, …].

        Raises
        ------
        InputError
            For a name that is not in `given`.
        """
        assert self.network is not None
        inputs = self._inputs(given)
        lead = inputs[0].shape[:2]
        if len(inputs) > 1:
            lead = torch.Size(np.broadcast_shapes(*(t.shape[:2] for t in inputs)))  # torch's own takes 10 µs
            inputs = [t.expand(*lead, *t.shape[2:]) for t in inputs]
        measured = inputs[0].is_cuda and not self.training  # on the CPU a product is whole anyway
        with whole_products() if measured else nullcontext():
            out: Tensor = self.network(*(t.flatten(0, 1) for t in inputs))
        return out.unflatten(0, lead)

    def with_network(self, network: nn.Module, given: Sequence[str]) -> "Component":
        """The same component, whose other modules are shared, with another network in the place of its own.

        Parameters
        ----------
        network : nn.Module
            From ordinary batches of the tensors named in `given` to as many numbers as the component's own network.
        given : sequence of str
            Names of the tensors that it reads, in the order of its arguments.

        Returns
        -------
        Component
            Of the same class.
        """
        other = copy.copy(self)
        other.__dict__["_modules"] = {**self._modules, "network": network}  # a copy would share the dictionary
        other.given = other.reads = tuple(given)
        if "arguments" in vars(self):  # a recipe tells of what stands here
            other.arguments = {**vars(self)["arguments"], "network": network, "given": tuple(given)}
        return other

    def _inputs(self, given: Given) -> list[Tensor]:
        missing = [name for name in self.reads if name not in given]
        if missing:
            raise InputError(
                f"{type(self).__name__} reads {missing[0]!r}, which is not at hand; there is: {', '.join(given)}."
            )
        return [given[name] for name in self.reads]


class Blocks(nn.ModuleDict):
    """Components by the name of the latent block they are over.

    Parameters
    ----------
    part : Component or Mapping[str, Component]
        Components by name, in order; a single component is the block "z".

    Raises
    ------
    InputError
        For a name that is empty, has a dot or is an attribute of torch's ModuleDict.

    Examples
    --------
    >>> list(Blocks({"top": Component(2), "z": Component(3)}))
    ['top', 'z']
    """

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
