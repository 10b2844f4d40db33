"""Recipes: every part of a model can say, in plain values, how it was made, and be made again from that."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
from torch import nn

from elbowroom.numerics import InputError

__all__ = ["Described", "build", "described", "recipe_of"]

_KINDS: dict[str, type] = {}
_SAME = "same-as"

C = TypeVar("C", bound=type)


class Described(Protocol):
    """A class registered with `described`: it remembers its kind and the arguments it was made with."""

    kind: str
    arguments: dict[str, Any]


def described(kind: str) -> Callable[[C], C]:
    """Register a class under `kind` and remember the constructor's arguments, defaults included.

    The arguments must be plain values (numbers, strings, sequences of them), modules, or sequences of modules; NumPy's
    numbers become Python's. A subclass that is not registered itself counts as a class of the user's.
    """

    def register(cls: C) -> C:
        if kind in _KINDS:
            raise ValueError(f"Two classes claim the kind {kind!r}: {_KINDS[kind].__name__} and {cls.__name__}.")
        original = cls.__init__  # type: ignore[misc]
        signature = inspect.signature(original)

        @functools.wraps(original)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            bound = signature.bind(self, *map(_own_number, args), **{k: _own_number(v) for k, v in kwargs.items()})
            bound.apply_defaults()
            original(*bound.args, **bound.kwargs)
            arguments = dict(list(bound.arguments.items())[1:])
            object.__setattr__(self, "arguments", arguments)

        cls.__init__ = __init__  # type: ignore[misc]
        cls.kind = kind  # type: ignore[attr-defined]
        _KINDS[kind] = cls
        return cls

    return register


def _own_number(value: Any) -> Any:
    """NumPy's numbers as Python's, also within a list or tuple."""
    if isinstance(value, list | tuple) and any(isinstance(item, np.generic) for item in value):
        return [_own_number(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def recipe_of(value: Any, name: str | Mapping[str, Any] = "module") -> Any:
    """Plain values (for YAML) that describe `value`; each module is described once.

    A module that stands in several places is described at one of them, the least nested, and the others refer to it:
    {"same-as": "posterior.z"}, the keys from the top, with dots. A foreign module becomes {"module": name}.

    Parameters
    ----------
    value : Any
        Described objects, modules, plain values, and tables and sequences of them.
    name : str or mapping
        What foreign modules are called; a mapping says it key by key of a table. A second one of that name is called
        by its argument too, as "encoder.flow".

    Raises
    ------
    InputError
        Where an argument is neither plain nor a module.
    """
    return _Writer().whole(value, name)


class _Writer:
    """One recipe in the making: the description of every module in it, and the names of the foreign ones."""

    def __init__(self) -> None:
        self._of: dict[int, dict[str, Any]] = {}
        self._names: dict[str, nn.Module] = {}

    def whole(self, value: Any, name: str | Mapping[str, Any]) -> Any:
        tree = self._named(value, name)
        described_here = {id(node) for node in self._of.values()}
        kept: dict[int, tuple[str, ...]] = {}
        for path, node in _nodes(tree):
            if id(node) in described_here and len(path) < len(kept.get(id(node), (*path, ""))):
                kept[id(node)] = path
        return _referring(tree, (), kept)

    def _named(self, value: Any, name: str | Mapping[str, Any]) -> Any:
        if isinstance(name, str):
            return self._plain(value, name)
        return {key: self._named(item, name[key]) for key, item in value.items()}

    def _plain(self, value: Any, name: str, key: str = "") -> Any:
        if isinstance(value, nn.Module):
            if id(value) not in self._of:
                self._of[id(value)] = self._module(value, name, key)
            return self._of[id(value)]
        if _is_described(value):
            return self._described(value, name)
        if isinstance(value, Mapping):
            return {key: self._plain(item, name, str(key)) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return [self._plain(item, name, key) for item in value]
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise InputError(f"{name}: a {type(value).__name__} cannot stand in a recipe; use numbers, strings or modules.")

    def _module(self, module: nn.Module, name: str, key: str) -> dict[str, Any]:
        if _is_described(module):
            return self._described(module, name)
        free = (f"{name}{more}" for more in ("", f".{key}", *(f".{i}" for i in range(2, 100))))
        name = next(each for each in free if each not in self._names)
        self._names[name] = module
        return {"module": name}

    def _described(self, value: Any, name: str) -> dict[str, Any]:
        now = {key: _as_it_stands(value, key, each) for key, each in value.arguments.items()}
        return {"kind": value.kind, **{key: self._plain(each, name, key) for key, each in now.items()}}


def _is_described(value: Any) -> bool:
    return "kind" in vars(type(value)) and hasattr(value, "arguments")


def _as_it_stands(value: Any, key: str, argument: Any) -> Any:
    """An argument as the object holds it now: its network or its scale may have been set since it was made."""
    held = {**vars(value), **vars(value).get("_modules", {})}.get(key, argument)
    modules = isinstance(held, nn.Module) and (argument is None or isinstance(argument, nn.Module))
    numbers = all(isinstance(one, bool | int | float | str) for one in (argument, held))
    return held if modules or numbers else argument


def _parts(node: Any) -> list[tuple[str, Any]]:
    """What a table or sequence holds, by key."""
    if isinstance(node, Mapping):
        return [(str(key), item) for key, item in node.items()]
    return [(str(key), item) for key, item in enumerate(node)] if isinstance(node, list) else []


def _nodes(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every table and value of a recipe with the keys that lead to it."""
    yield path, node
    for key, item in _parts(node):
        yield from _nodes(item, (*path, key))


def _referring(node: Any, path: tuple[str, ...], kept: Mapping[int, tuple[str, ...]]) -> Any:
    """The recipe with every module but the kept one replaced by a reference; foreign ones are names already."""
    if kept.get(id(node), path) != path and "module" not in node:
        return {_SAME: ".".join(kept[id(node)])}
    if isinstance(node, Mapping):
        return {key: _referring(item, (*path, str(key)), kept) for key, item in node.items()}
    if isinstance(node, list):
        return [_referring(item, (*path, str(key)), kept) for key, item in enumerate(node)]
    return node


def build(recipe: Any, *, modules: Mapping[str, nn.Module] | None = None) -> Any:
    """The object that `recipe_of` described; what is described once is made once, wherever it stands.

    Parameters
    ----------
    recipe : Any
        What `recipe_of` gave.
    modules : mapping of str to nn.Module, optional
        The foreign modules by their names.

    Raises
    ------
    InputError
        For an unknown kind, a wrong argument, a module that was not given, or a reference that leads nowhere.
    """
    return _Builder(recipe, modules or {}).build(recipe)


class _Builder:
    """One object in the making: what has been built, by the place of its description."""

    def __init__(self, root: Any, modules: Mapping[str, nn.Module]) -> None:
        self._root, self._modules = root, modules
        self._built: dict[int, Any] = {}
        self._open: set[int] = set()

    def build(self, recipe: Any) -> Any:
        if isinstance(recipe, list):
            return [self.build(item) for item in recipe]
        if not isinstance(recipe, Mapping):
            return recipe
        if id(recipe) not in self._built:
            if id(recipe) in self._open:
                raise InputError("A part of the recipe refers to itself: save the model again.")
            self._open.add(id(recipe))
            self._built[id(recipe)] = self._made(recipe)
        return self._built[id(recipe)]

    def _made(self, recipe: Mapping[str, Any]) -> Any:
        if set(recipe) == {"module"}:
            return self._foreign(recipe["module"])
        if set(recipe) == {_SAME}:
            return self.build(self._at(recipe[_SAME]))
        if "kind" not in recipe:
            return {key: self.build(item) for key, item in recipe.items()}
        fields = {key: self.build(item) for key, item in recipe.items() if key != "kind"}
        if recipe["kind"] not in _KINDS:
            raise InputError(f"Unknown kind {recipe['kind']!r}; known kinds: {', '.join(sorted(_KINDS))}.")
        try:
            return _KINDS[recipe["kind"]](**fields)
        except TypeError as error:
            raise InputError(f"The recipe of {recipe['kind']!r} does not fit this version: {error}.") from error

    def _foreign(self, name: str) -> nn.Module:
        if name not in self._modules:
            raise InputError(f"The model holds a module of its own, {name!r}: load it with modules={{{name!r}: net}}.")
        return self._modules[name]

    def _at(self, path: Any) -> Any:
        node = self._root
        for key in str(path).split("."):
            parts = dict(_parts(node))
            if key not in parts:
                raise InputError(f"The recipe refers to {path!r}, which it does not hold: save the model again.")
            node = parts[key]
        return node
