"""Which members of a stack can be trained as one."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from torch import nn

from elbowroom.networks import stackable

__all__ = ["groups"]


def groups(steps: Sequence[nn.Module]) -> list[list[int]]:
    """Positions of the steps, those together that differ in nothing but the values of parameters and buffers.

    What cannot be stacked stands alone.

    >>> groups([nn.Linear(2, 2), nn.Linear(2, 3), nn.Linear(2, 2), nn.BatchNorm1d(2), nn.BatchNorm1d(2)])
    [[0, 2], [1], [3], [4]]
    """
    found: list[tuple[Any, list[int]]] = []
    for position, step in enumerate(steps):
        structure = _structure(step) if stackable(step) and not _shares(step) else position
        for other, members in found:
            if other == structure:
                members.append(position)
                break
        else:
            found.append((structure, [position]))
    return [members for _, members in found]


def _shares(module: nn.Module) -> bool:
    """Whether one parameter stands under two names, which a stack would tear apart."""
    return len(list(module.named_parameters())) < len(list(module.named_parameters(remove_duplicate=False)))


def _structure(module: nn.Module) -> list[Any]:
    """All that makes two modules compute the same function of their parameters and buffers."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    shapes = [(name, t.shape, t.dtype, t.requires_grad) for name, t in tensors]
    return [shapes, *((name, type(part), _attributes(part)) for name, part in module.named_modules())]


def _attributes(module: nn.Module) -> dict[str, Any]:
    """What is set on the module itself, beside what every module has; `arguments` only repeat how it was made."""
    kept = set(vars(module)) - set(vars(nn.Module())) - {"arguments"}
    cached = {name for name in kept if isinstance(getattr(type(module), name, None), cached_property)}
    return {name: _comparable(vars(module)[name]) for name in kept - cached}


def _comparable(value: Any) -> Any:
    """Plain values as they are; anything else only equals itself."""
    if isinstance(value, list | tuple):
        return [_comparable(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else id(value)
