"""The part of a module that one way through it needs, so that encoder and decoder have weights of their own."""

import copy
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from elbowroom.vae.evaluating import evaluating

from .listening import FAILURES

__all__ = ["alone", "without"]

M = TypeVar("M", bound=nn.Module)


def without(module: M, names: Sequence[str]) -> M:
    """A module without some of its submodules and parameters; all others are shared.

    Parameters
    ----------
    module : nn.Module
        The module, which stays as it is.
    names : sequence of str
        Of submodules and parameters, with dots; those that it does not have are passed over.

    Returns
    -------
    nn.Module
        A shallow copy; the module itself where nothing is left out.

    Examples
    --------
    >>> both = nn.ModuleDict({"encoder": nn.Linear(2, 1), "decoder": nn.Linear(1, 2)})
    >>> half = without(both, ["decoder"])
    >>> list(half), half["encoder"] is both["encoder"], list(both)
    (['encoder'], True, ['encoder', 'decoder'])
    """
    if not names:
        return module
    half, out = copy.copy(module), set(names)
    half.__dict__["_parameters"] = {name: one for name, one in module._parameters.items() if name not in out}
    half.__dict__["_modules"] = {
        name: None if child is None else without(child, _below(names, name))
        for name, child in module._modules.items()
        if name not in out
    }
    return half


def _below(names: Sequence[str], child: str) -> list[str]:
    return [name.removeprefix(f"{child}.") for name in names if name.startswith(f"{child}.")]


@torch.enable_grad()
def alone(part: nn.Module, values: Sequence[Tensor]) -> list[str]:
    """What of a part's network has no influence on what the part returns, by gradients.

    Parameters
    ----------
    part : nn.Module
        With a module `network` in it.
    values : sequence of Tensor
        What it reads, one after the other; of which it must take the first.

    Returns
    -------
    list of str
        Names for `without`, the greatest submodules first; none where the part does not work without them.
    """
    tried = copy.deepcopy(part).requires_grad_(True)
    with evaluating(tried), torch.random.fork_rng([]):
        found = [(value, tried(value)) for value in _taken(tried, values)]
        network: nn.Module = tried.network  # type: ignore[assignment]
        used = {name for _, result in found for name in _used(network, result)}
        if not used:
            return []
        names = _unused(network, sorted(used), "")
        tried.network = without(network, names)
        try:
            return names if all(_equal(tried(value), result) for value, result in found) else []
        except FAILURES:
            return []


@torch.no_grad()
def _taken(part: nn.Module, values: Sequence[Tensor]) -> Iterator[Tensor]:
    """The first value, and those of the others that a part takes."""
    for place, value in enumerate(values):
        try:
            part(value)
        except FAILURES:
            if place == 0:
                raise
            continue
        yield value


def _used(network: nn.Module, result: Tensor) -> list[str]:
    """Parameters that have an influence on a result."""
    named = dict(network.named_parameters())
    if not result.requires_grad or not named:
        return []
    slopes = torch.autograd.grad(result.sum(), list(named.values()), allow_unused=True)
    return [name for name, slope in zip(named, slopes, strict=True) if slope is not None]


def _equal(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, equal_nan=True)


def _unused(module: nn.Module, used: Sequence[str], prefix: str) -> list[str]:
    """The greatest submodules and parameters with parameters, of which none is used."""
    names = [f"{prefix}{name}" for name, one in module._parameters.items() if one is not None]
    found = [name for name in names if name not in used]
    for name, child in module.named_children():
        here = f"{prefix}{name}"
        if not any(one.startswith(f"{here}.") for one in used) and any(True for _ in child.parameters()):
            found.append(here)
        else:
            found += _unused(child, used, f"{here}.")
    return found
