"""The values of an axis."""

from collections.abc import Iterable, Mapping
from typing import Any

from elbowroom.models.words import text
from elbowroom.numerics import InputError, plain

__all__ = ["axis_values"]


def axis_values(name: str, values: Any, *, wanted: str = "a list") -> list[Any]:
    """The plain values of an axis, in order.

    Parameters
    ----------
    name : str
        Of the axis.
    values : Any
        What was given for it.
    wanted : str, default "a list"
        What can be given.

    Returns
    -------
    list
        At least one value, all distinct.

    Raises
    ------
    InputError
        Where that is not what was given.

    Examples
    --------
    >>> axis_values("beta", (0.1, 1.0))
    [0.1, 1.0]
    """
    many = isinstance(values, Iterable) and not isinstance(values, str | Mapping)
    found = [plain(value) for value in values] if many else []
    if not found or len(set(map(text, found))) < len(found):
        raise InputError(f"The values of {name} must be {wanted}, at least one and all distinct; got {values!r}.")
    return found
