"""What `load_data` was told, in plain values, so that a run finds the very same data again."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from elbowroom.numerics import Support
from elbowroom.preprocess import Preprocess

__all__ = ["loading_of", "options_of"]

_ARRAY = ("array",)  # stands for an argument that no recipe can hold


def loading_of(source: Any, named: bool, told: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of what `load_data` was told.

    Parameters
    ----------
    source : Any
        Its first argument.
    named : bool
        Whether that is the name of a public data set.
    told : mapping
        Its other arguments by name.

    Returns
    -------
    dict
        Where the data are ("named"; "path" as given and "absolute"; or "held", the type of what was held in memory),
        the "options", and, where there are any, the names of options that were arrays ("arrays").

    Examples
    --------
    >>> loading_of("digits", True, {"seed": 3, "labels": np.arange(9), "flat": None})
    {'named': 'digits', 'options': {'seed': 3}, 'arrays': ['labels']}
    """
    if named:
        where = {"named": source}
    elif isinstance(source, str | Path):
        where = {"path": str(source), "absolute": str(Path(source).expanduser().absolute())}
    else:
        where = {"held": type(source).__name__}
    options = {name: _plain(value) for name, value in told.items() if value is not None}
    if not isinstance(options.get("labels"), str | int | None):  # one word for each example
        options["labels"] = _ARRAY
    arrays = [name for name, value in options.items() if _holds_array(value)]
    kept = {name: value for name, value in options.items() if name not in arrays}
    return {**where, "options": kept, **({"arrays": arrays} if arrays else {})}


def options_of(loading: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `load_data` that a loading says.

    Parameters
    ----------
    loading : mapping
        As `loading_of` returns it.

    Returns
    -------
    dict
        Arguments of `load_data` by name, without its source and without arrays.

    Examples
    --------
    >>> str(options_of(loading_of("digits", True, {"support": Support("grid", 17)}))["support"])
    'integer grid 0…16'
    """
    return {name: _stated(value) if name == "support" else value for name, value in loading["options"].items()}


def _plain(value: Any) -> Any:
    """Plain values as they are, supports as mappings, "none" for a module of preprocessing, and a mark for arrays."""
    if isinstance(value, Support):
        return _plain_support(value)
    if isinstance(value, Preprocess):  # it stands in the model
        return "none"
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):  # of contexts or latent blocks: names of columns, or arrays
        return {str(name): one if isinstance(one, str) else _ARRAY for name, one in value.items()}
    if isinstance(value, Sequence) and all(isinstance(one, str | Support) for one in value):
        return [_plain(one) for one in value]
    return _ARRAY


def _plain_support(support: Support) -> dict[str, Any]:
    fields = {field.name: getattr(support, field.name) for field in dataclasses.fields(support)}
    said = {name: value for name, value in fields.items() if value is not None and value != ()}
    return {name: list(map(_plain, value)) if isinstance(value, tuple) else value for name, value in said.items()}


def _stated(value: Any) -> Any:
    """A word, a support, or a list of them."""
    if isinstance(value, list):
        return [_stated(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    said: dict[str, Any] = {n: tuple(map(_stated, one)) if isinstance(one, list) else one for n, one in value.items()}
    return Support(**said)


def _holds_array(value: Any) -> bool:
    return value == _ARRAY or (isinstance(value, Mapping) and any(map(_holds_array, value.values())))
