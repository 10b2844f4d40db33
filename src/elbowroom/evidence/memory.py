"""How much memory a pass may take: budgets in words, and counting what a pass makes."""

import re
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from elbowroom.numerics import InputError

__all__ = ["Bytes", "MEMORY", "Memory", "as_bytes", "keep_freed_memory"]

Memory = int | str
"""Bytes, or words such as "1 GiB" and "500 MB"."""
MEMORY: Memory = "1 GiB"
"""What a pass may hold where nobody says."""
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def as_bytes(memory: Memory) -> int:
    """A memory budget in bytes.

    >>> as_bytes("1.5 GiB")
    1610612736
    """
    match = re.fullmatch(r"\s*([\d.]+)\s*([kmg]?i?)b?\s*", str(memory).lower())
    try:
        return int(float(match[1]) * _UNITS[match[2]])  # type: ignore[index]
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"memory must be bytes or words such as '1 GiB'; got {memory!r}.") from error


class Bytes(TorchDispatchMode):
    """Adds up the storage of every new tensor."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        old = {t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        new = {t.untyped_storage() for t in tree_leaves(out) if isinstance(t, Tensor)}
        self.total += sum(storage.nbytes() for storage in new if storage.data_ptr() not in old)
        return out


def keep_freed_memory() -> None:
    """Let glibc reuse what a pass frees.

    It does so up to the size of the largest block, of 32 MiB at most, that it has seen freed; the rest it hands back
    to the system, whose page faults then double the time of elementwise operations.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)
