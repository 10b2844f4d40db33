"""Errors that say what to do."""

__all__ = ["CapabilityError", "InputError"]


class InputError(ValueError):
    """An argument cannot be used; the message names it and says what to do.

    The command line prints the message and exits with code 2.
    """


class CapabilityError(TypeError):
    """A distribution or model cannot do what was asked; the message names one that can."""
