"""Torch's modes of the library's own: what is measured or trained is not to depend on those of who asks."""

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar, cast

import torch

from .errors import InputError

__all__ = ["own_modes", "without_autocast"]

F = TypeVar("F", bound=Callable[..., Any])
_KINDS = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def without_autocast() -> Iterator[None]:
    """For a while autocast is off on every device; what was set before comes back.

    Yields
    ------
    None
        While it is.

    Examples
    --------
    >>> with torch.autocast("cpu"), without_autocast():
    ...     torch.is_autocast_enabled("cpu")
    False
    """
    with ExitStack() as stack:
        for kind in _KINDS:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def own_modes(door: F) -> F:
    """Decorator of a public function: it runs in modes of its own, whatever `no_grad`, `autocast` it is called in.

    Parameters
    ----------
    door : callable
        A function; a generator would leave the modes at its first value.

    Returns
    -------
    callable
        The same. It raises InputError where a tensor made in inference mode stands in the way of a gradient.

    Examples
    --------
    >>> @own_modes
    ... def slope(at: float) -> float:
    ...     x = torch.tensor(at, requires_grad=True)
    ...     return torch.autograd.grad(x**2, x)[0].item()
    >>> with torch.no_grad():
    ...     slope(3.0)
    6.0
    """

    @functools.wraps(door)
    def in_own(*args: Any, **kwargs: Any) -> Any:
        with torch.inference_mode(False), torch.enable_grad(), without_autocast():
            try:
                return door(*args, **kwargs)
            except RuntimeError as error:
                if "nference tensor" not in str(error):
                    raise
                raise InputError(
                    "A tensor of the model or of the data was made under torch.inference_mode(), and no gradient "
                    "passes such a tensor: make it outside, or hand over a clone() made outside."
                ) from error

    return cast(F, in_own)
