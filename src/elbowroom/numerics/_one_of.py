"""One refusal for every option that is a word."""

from collections.abc import Iterable
from typing import Any

from .errors import InputError

__all__ = ["one_of"]


def one_of(name: str, value: Any, words: Iterable[Any], *, otherwise: str = "") -> None:
    """Refuse a value that is none of the words.

    Parameters
    ----------
    name : str
        What the argument is called.
    value : Any
        What was given.
    words : iterable of str
        What may be given.
    otherwise : str, default ""
        What else may be given, as it ends the list.

    Raises
    ------
    InputError
        Where `value` is not one of `words`.

    Examples
    --------
    >>> one_of("start", "encoder", ("posterior", "prior"))
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: start must be 'posterior' or 'prior'; got 'encoder'.
    """
    words = list(words)
    if value in words:
        return
    *first, last = [*map(repr, words), *([otherwise] if otherwise else [])]
    raise InputError(f"{name} must be {', '.join(first)}{' or ' if first else ''}{last}; got {value!r}.")
