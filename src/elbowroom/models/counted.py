"""How many numbers a component asks of its network."""

from typing import Any

from elbowroom.components import Component
from elbowroom.numerics import Given, InputError

__all__ = ["numbers_of"]


class _Asked(Exception):
    """Carries how many numbers a component asked of its network."""

    def __init__(self, numbers: int) -> None:
        super().__init__(numbers)
        self.numbers = numbers


def numbers_of(component: Component, given: Given) -> int:
    """How many numbers per example a component asks of its network, found by letting it ask.

    Parameters
    ----------
    component : Component
        With any network.
    given : dict of Tensor
        One example, as it would read it.

    Returns
    -------
    int
        Per example.

    Raises
    ------
    InputError
        Where it asks nothing.
    """

    def ask(_: Given, numbers: int) -> Any:
        raise _Asked(numbers)

    setattr(component, "numbers_from", ask)  # noqa: B010
    try:
        component(given)
    except _Asked as asked:
        return asked.numbers
    raise InputError(f"A {type(component).__name__} asks nothing of its network, so words cannot size it.")
