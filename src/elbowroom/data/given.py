"""Contexts by words and numbers, as the networks read them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from elbowroom.numerics import InputError

__all__ = ["Known", "given_values", "known_contexts", "shown_values"]

Known = Mapping[str, tuple[Sequence[int], Sequence[str] | None]]
"""Context → shape of one example, and the words of its classes where it is one-hot."""


def known_contexts(summary: Mapping[str, Any]) -> dict[str, tuple[list[int], list[str] | None]]:
    """What a data set knows of its contexts, from its `summary` as a run's recipe holds it.

    Parameters
    ----------
    summary : mapping
        Of a `Dataset`.

    Returns
    -------
    dict
        Context → shape of one example, and the words of its classes; the labels are "label".

    Examples
    --------
    >>> known_contexts({"label_names": ["cat", "dog"], "context": {"age": [1]}})
    {'label': ([2], ['cat', 'dog']), 'age': ([1], None)}
    """
    labels, words = summary.get("label_names"), summary.get("beside_classes", {})
    own = {"label": ([len(labels)], list(labels))} if labels else {}
    return own | {name: (list(shape), words.get(name)) for name, shape in summary.get("context", {}).items()}


def given_values(known: Known, given: Mapping[str, Any]) -> dict[str, Tensor]:
    """Contexts for one example, as a model reads them.

    Parameters
    ----------
    known : mapping
        As `known_contexts` returns it.
    given : mapping
        Context → a class by its name, or numbers.

    Returns
    -------
    dict of Tensor
        Context → [1, ...], a class one-hot.

    Raises
    ------
    InputError
        For a context or a class that is not known, and for what is no number.

    Examples
    --------
    >>> given_values({"kind": ([2], ["cat", "dog"]), "age": ([1], None)}, {"kind": "dog", "age": 3})
    {'kind': tensor([[0., 1.]]), 'age': tensor([[3.]])}
    """
    found = {}
    for name, value in given.items():
        if name not in known:
            there = ", ".join(known) or "none"
            raise InputError(f"There is no context {name!r} that could be given; there is: {there}.")
        shape, words = known[name]
        found[name] = _numbers(name, value, shape) if words is None else _class(name, value, words)
    return found


def _class(name: str, value: Any, words: Sequence[str]) -> Tensor:
    said = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if said not in words:
        shown = ", ".join(words[:_MOST]) + (f", … ({len(words) - _MOST} more)" if len(words) > _MOST else "")
        raise InputError(f"The context {name!r} has no class {said!r}; it has: {shown}.")
    return torch.nn.functional.one_hot(torch.tensor([list(words).index(said)]), len(words)).float()


_MOST = 20


def _numbers(name: str, value: Any, shape: Sequence[int]) -> Tensor:
    """Numbers, of text with commas between them, in the shape of the context."""
    size = torch.Size(shape).numel()
    try:
        asked = [float(one) for one in value.split(",")] if isinstance(value, str) else value
        numbers = torch.as_tensor(asked, dtype=torch.float32).reshape(1, *shape)
    except (TypeError, ValueError, RuntimeError) as error:
        what = "a number" if size == 1 else f"{size} numbers"
        raise InputError(f"The context {name!r} is {what}; got {value!r}.") from error
    if not bool(numbers.isfinite().all()):
        raise InputError(f"The context {name!r} needs finite numbers; got {value!r}.")
    return numbers


def shown_values(known: Known, context: Mapping[str, Tensor]) -> dict[str, Any]:
    """Contexts as columns of a table: classes in words, several numbers each in a column of its own.

    Parameters
    ----------
    known : mapping
        As `known_contexts` returns it.
    context : mapping of str to Tensor
        Context → [n, ...].

    Returns
    -------
    dict of array
        Name → [n].

    Examples
    --------
    >>> shown = shown_values({"kind": ([2], ["cat", "dog"])}, {"kind": torch.eye(2), "at": torch.eye(2)})
    >>> {name: list(map(str, column)) for name, column in shown.items()}
    {'kind': ['cat', 'dog'], 'at 1': ['1.0', '0.0'], 'at 2': ['0.0', '1.0']}
    """
    columns: dict[str, Any] = {}
    for name, value in context.items():
        words = known.get(name, ((), None))[1]
        if words:
            columns[name] = [words[code] for code in value.flatten(1).argmax(1).tolist()]
            continue
        numbers = value.flatten(1).double().numpy()
        names = [name] if numbers.shape[1] == 1 else [f"{name} {i + 1}" for i in range(numbers.shape[1])]
        columns |= dict(zip(names, numbers.T, strict=True))
    return columns
