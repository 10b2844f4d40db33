"""Errors a person can act on."""

__all__ = ["CapabilityError", "InputError"]


class InputError(ValueError):
    """What was given cannot be used; the message names the thing and the way out.

    The command line prints it as one sentence and exits with code 2.
    """


class CapabilityError(TypeError):
    """A distribution or model lacks what was asked of it; the message names what would do."""
