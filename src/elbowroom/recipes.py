"""Recipes: how each part of a model was made, as plain values, and the same part made again from them."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import numpy as np
from torch import nn

from elbowroom.numerics import InputError, plain, plain_arguments

__all__ = ["Described", "build", "described", "recipe_of"]

_KINDS: dict[str, type] = {}
_OLDER: dict[str, dict[str, Any]] = {}
_SAME = "same-as"

C = TypeVar("C", bound=type)


class Described(Protocol):
    """An object of a class registered with `described`.

    Attributes
    ----------
    kind : str
        The name that its class is registered under.
    arguments : dict
        What it was made with, by name.
    """

    kind: str
    arguments: dict[str, Any]


def described(kind: str, *, older: Mapping[str, Any] = MappingProxyType({})) -> Callable[[C], C]:
    """Class decorator: register a class under a name, and let its objects remember what they were made with.

    A subclass that is not registered itself is not described.

    Parameters
    ----------
    kind : str
        The name, which recipes hold. It may be registered once only.
    older : mapping, default {}
        Arguments that recipes written before these arguments existed lack, and what they mean there: a recipe holds
        defaults too, so that one without an argument is older than it.

    Returns
    -------
    callable
        The decorator. The class's arguments must be plain values (numbers, strings, sequences of them), modules, or
        sequences of modules; NumPy numbers are stored as Python's, and defaults are included.

    Raises
    ------
    ValueError
        If another class has that name.

    Examples
    --------
    >>> from elbowroom import priors
    >>> prior = priors.StandardNormal(2)      # of a class under @described("standard-normal")
    >>> prior.kind, prior.arguments
    ('standard-normal', {'event': 2})
    """

    def register(cls: C) -> C:
        if kind in _KINDS:
            raise ValueError(f"Two classes claim the kind {kind!r}: {_KINDS[kind].__name__} and {cls.__name__}.")
        original = cls.__init__  # type: ignore[misc]
        signature = inspect.signature(original)

        @functools.wraps(original)
        def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
            bound = signature.bind(self, *map(_own_numbers, args), **{k: _own_numbers(v) for k, v in kwargs.items()})
            bound.apply_defaults()
            original(*bound.args, **bound.kwargs)
            arguments = dict(list(bound.arguments.items())[1:])
            object.__setattr__(self, "arguments", arguments)

        cls.__init__ = plain_arguments(__init__)  # type: ignore[misc]
        cls.kind = kind  # type: ignore[attr-defined]
        _KINDS[kind], _OLDER[kind] = cls, dict(older)
        return cls

    return register


def _own_numbers(value: Any) -> Any:
    """NumPy's numbers as Python's, also within a list or tuple."""
    several = value if isinstance(value, list | tuple) else [value]
    return plain(value) if any(isinstance(one, np.generic | np.ndarray) for one in several) else value


def recipe_of(value: Any, name: str | Mapping[str, Any] = "module") -> Any:
    """The recipe of a value: plain values, for YAML, from which `build` makes it again.

    A module in several places is described in one of them, the least nested, and the others refer to it by its keys
    from the top: {"same-as": "posterior.z"}. A module of a class that is not registered becomes {"module": name}.

    Parameters
    ----------
    value : Any
        Described objects, modules, plain values, and mappings and sequences of them.
    name : str or mapping, default "module"
        Name of modules that are not registered; a mapping gives one for each key of `value`. A second module of the
        same name also gets the name of its argument, "encoder.flow".

    Returns
    -------
    Any
        Mappings, lists, numbers, strings, booleans and None.

    Raises
    ------
    InputError
        If an argument is neither plain nor a module.

    Examples
    --------
    >>> from elbowroom import priors
    >>> recipe_of(priors.StandardNormal(2))
    {'kind': 'standard-normal', 'event': 2}
    """
    return _Writer().whole(value, name)


class _Writer:
    """Writes one recipe: the description of every module in it, and the names of those not registered."""

    def __init__(self) -> None:
        self._of: dict[int, dict[str, Any]] = {}
        self._names: dict[str, nn.Module] = {}

    def whole(self, value: Any, name: str | Mapping[str, Any]) -> Any:
        tree = self._by_name(value, name)
        described_here = {id(node) for node in self._of.values()}
        places: dict[int, tuple[str, ...]] = {}
        for path, node in _nodes(tree):
            if id(node) in described_here and len(path) < len(places.get(id(node), (*path, ""))):
                places[id(node)] = path
        return _with_references(tree, (), places)

    def _by_name(self, value: Any, name: str | Mapping[str, Any]) -> Any:
        if isinstance(name, str):
            return self._plain(value, name)
        return {key: self._by_name(item, name[key]) for key, item in value.items()}

    def _plain(self, value: Any, name: str, key: str = "") -> Any:
        if isinstance(value, nn.Module):
            if id(value) not in self._of:
                self._of[id(value)] = self._module(value, name, key)
            return self._of[id(value)]
        if _is_described(value):
            return self._fields(value, name)
        if isinstance(value, Mapping):
            return {key: self._plain(item, name, str(key)) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return [self._plain(item, name, key) for item in value]
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise InputError(f"{name}: a {type(value).__name__} cannot stand in a recipe; use numbers, strings or modules.")

    def _module(self, module: nn.Module, name: str, key: str) -> dict[str, Any]:
        if _is_described(module):
            return self._fields(module, name)
        free = (f"{name}{more}" for more in ("", f".{key}", *(f".{i}" for i in range(2, 100))))
        name = next(each for each in free if each not in self._names)
        self._names[name] = module
        return {"module": name}

    def _fields(self, value: Any, name: str) -> dict[str, Any]:
        now = {key: _as_it_stands(value, key, each) for key, each in value.arguments.items()}
        return {"kind": value.kind, **{key: self._plain(each, name, key) for key, each in now.items()}}


def _is_described(value: Any) -> bool:
    return "kind" in vars(type(value)) and hasattr(value, "arguments")


def _as_it_stands(value: Any, key: str, argument: Any) -> Any:
    """An argument as the object holds it now: its network or scale may have been set after it was made."""
    held = {**vars(value), **vars(value).get("_modules", {})}.get(key, argument)
    modules = isinstance(held, nn.Module) and (argument is None or isinstance(argument, nn.Module))
    numbers = all(isinstance(one, bool | int | float | str) for one in (argument, held))
    return held if modules or numbers else argument


def _parts(node: Any) -> list[tuple[str, Any]]:
    """What a mapping or list holds, by key."""
    if isinstance(node, Mapping):
        return [(str(key), item) for key, item in node.items()]
    return [(str(key), item) for key, item in enumerate(node)] if isinstance(node, list) else []


def _nodes(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every mapping and value of a recipe, with the keys that lead to it."""
    yield path, node
    for key, item in _parts(node):
        yield from _nodes(item, (*path, key))


def _with_references(node: Any, path: tuple[str, ...], places: Mapping[int, tuple[str, ...]]) -> Any:
    """The recipe with every description but one of each module replaced by a reference."""
    if places.get(id(node), path) != path and "module" not in node:
        return {_SAME: ".".join(places[id(node)])}
    if isinstance(node, Mapping):
        return {key: _with_references(item, (*path, str(key)), places) for key, item in node.items()}
    if isinstance(node, list):
        return [_with_references(item, (*path, str(key)), places) for key, item in enumerate(node)]
    return node


def build(recipe: Any, *, modules: Mapping[str, nn.Module] | None = None) -> Any:
    """The object that `recipe_of` described; a module that is referred to is made once.

    Parameters
    ----------
    recipe : Any
        The recipe.
    modules : mapping of str to nn.Module, default None
        The modules that are not registered, by their names in the recipe.

    Returns
    -------
    Any
        The object.

    Raises
    ------
    InputError
        For an unknown kind, a wrong argument, a module that was not given, or a reference that leads nowhere.

    Examples
    --------
    >>> from elbowroom import priors
    >>> build({"kind": "standard-normal", "event": 2})
    StandardNormal()
    """
    return _Builder(recipe, modules or {}).build(recipe)


class _Builder:
    """Builds one object: what has been made, by the place of its description."""

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
            self._built[id(recipe)] = self._make(recipe)
        return self._built[id(recipe)]

    def _make(self, recipe: Mapping[str, Any]) -> Any:
        own = next((word for word in ("kind", "module", _SAME) if isinstance(recipe.get(word), str)), None)
        if own == "module":
            return self._foreign(recipe["module"])
        if own == _SAME:
            return self.build(self._at(recipe[_SAME]))
        if own is None:  # parts by name, which may be any of these words
            return {key: self.build(item) for key, item in recipe.items()}
        fields = {key: self.build(item) for key, item in recipe.items() if key != "kind"}
        if recipe["kind"] not in _KINDS:
            raise InputError(f"Unknown kind {recipe['kind']!r}; known kinds: {', '.join(sorted(_KINDS))}.")
        try:
            return _KINDS[recipe["kind"]](**{**_OLDER[recipe["kind"]], **fields})
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
