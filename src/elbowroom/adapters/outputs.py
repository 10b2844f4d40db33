"""The tensors in whatever a module returns, by name."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

__all__ = ["outputs"]

_DEEPEST = 4


def outputs(out: Any) -> dict[str, Tensor]:
    """The tensors with a row per example in what a module returned, in their order; a number for all is left out.

    Parameters
    ----------
    out : Any
        A tensor; a tuple, list, named tuple, mapping or object of them, nested or not; a normal stands for its mean and
        standard deviation.

    Returns
    -------
    dict of Tensor
        Name or place → tensor.

    Examples
    --------
    >>> import torch
    >>> list(outputs((torch.zeros(2, 3), {"mu": torch.ones(2, 1), "loss": torch.tensor(0.0)})))
    ['0', '1.mu']
    """
    return {name: value for name, value in _tensors(out, "", 0) if value.dim() > 1}


def _tensors(out: Any, name: str, depth: int) -> Iterator[tuple[str, Tensor]]:
    if isinstance(out, Tensor):
        yield name or "the output", out
    elif depth < _DEEPEST:
        for key, value in _items(out):
            yield from _tensors(value, f"{name}.{key}" if name else str(key), depth + 1)


def _items(out: Any) -> list[tuple[Any, Any]]:
    if isinstance(out, Mapping):
        return list(out.items())
    if hasattr(out, "_fields"):  # a named tuple
        return list(zip(out._fields, out, strict=True))
    if isinstance(out, tuple | list):
        return list(enumerate(out))
    for names in (("loc", "scale"), ("mean", "logvar")):  # a distribution of torch, or of diffusers
        if all(isinstance(getattr(out, name, None), Tensor) for name in names):
            return [(name, getattr(out, name)) for name in names]
    return list(vars(out).items()) if hasattr(out, "__dict__") else []
