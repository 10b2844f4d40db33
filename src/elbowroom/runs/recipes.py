"""Recipes: every part of a model can say, in plain values, how it was made, and be made again from that."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from torch import nn

from elbowroom.numerics import InputError

__all__ = ["Described", "build", "described", "recipe_of"]

_KINDS: dict[str, type] = {}

C = TypeVar("C", bound=type)


class Described(Protocol):
    """A class registered with `described`: it remembers its kind and the arguments it was made with."""

    kind: str
    arguments: dict[str, Any]


def described(kind: str) -> Callable[[C], C]:
    """Register a class under `kind` and remember the constructor's arguments, defaults included.

    The arguments must be plain values (numbers, strings, sequences of them), modules, or sequences of modules.
    """

    def register(cls: C) -> C:
        if kind in _KINDS:
            raise ValueError(f"Two classes claim the kind {kind!r}: {_KINDS[kind].__name__} and {cls.__name__}.")
        original = cls.__init__  # type: ignore[misc]
        signature = inspect.signature(original)

        @functools.wraps(original)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            original(self, *args, **kwargs)
            arguments = dict(list(bound.arguments.items())[1:])
            object.__setattr__(self, "arguments", arguments)

        cls.__init__ = __init__  # type: ignore[misc]
        cls.kind = kind  # type: ignore[attr-defined]
        _KINDS[kind] = cls
        return cls

    return register


def recipe_of(value: Any, name: str = "module") -> Any:
    """Plain values (for YAML) that describe `value`; a foreign module becomes {"module": name}.

    Raises InputError where an argument is neither plain nor a module.
    """
    if hasattr(value, "kind") and hasattr(value, "arguments"):
        inner = {key: recipe_of(argument, name) for key, argument in value.arguments.items()}
        return {"kind": value.kind, **inner}
    if isinstance(value, nn.Module):
        return {"module": name}
    if isinstance(value, Mapping):
        return {key: recipe_of(item, name) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [recipe_of(item, name) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise InputError(f"{name}: a {type(value).__name__} cannot stand in a recipe; use numbers, strings or modules.")


def build(recipe: Any, modules: Mapping[str, nn.Module] | None = None) -> Any:
    """The object that `recipe_of` described; foreign modules come from `modules` by their names.

    Raises InputError for an unknown kind, a wrong argument, or a module that was not given.
    """
    modules = modules or {}
    if isinstance(recipe, list):
        return [build(item, modules) for item in recipe]
    if not isinstance(recipe, Mapping):
        return recipe
    if set(recipe) == {"module"}:
        name = recipe["module"]
        if name not in modules:
            raise InputError(
                f"The model holds a module of its maker's, {name!r}: load it with modules={{{name!r}: net}}."
            )
        return modules[name]
    if "kind" not in recipe:
        return {key: build(item, modules) for key, item in recipe.items()}
    fields = {key: build(item, modules) for key, item in recipe.items() if key != "kind"}
    if recipe["kind"] not in _KINDS:
        raise InputError(f"Unknown kind {recipe['kind']!r}; known kinds: {', '.join(sorted(_KINDS))}.")
    try:
        return _KINDS[recipe["kind"]](**fields)
    except TypeError as error:
        raise InputError(f"The recipe of {recipe['kind']!r} does not fit this version: {error}.") from error
