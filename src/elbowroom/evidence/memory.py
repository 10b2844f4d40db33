"""How much memory a pass may take: budgets in words, and a count of what a pass allocates."""

import ctypes
import os
import re
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from elbowroom.numerics import InputError

__all__ = ["Bytes", "Counter", "FreedMemory", "MEMORY", "Memory", "as_bytes", "hand_back", "resident_bytes"]

Memory = int | str
"""Bytes, or words such as "1 GiB" and "500 MB"."""
MEMORY: Memory = "1 GiB"
"""The default."""
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}


def as_bytes(memory: Memory) -> int:
    """A memory budget in bytes.

    Parameters
    ----------
    memory : int or str
        Bytes, or words such as "1.5 GiB" or "500 MB".

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> as_bytes("1.5 GiB")
    1610612736
    """
    match = re.fullmatch(r"\s*([\d.]+)\s*([kmg]?i?)b?\s*", str(memory).lower())
    try:
        return int(float(match[1]) * _UNITS[match[2]])  # type: ignore[index]
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"memory must be bytes or words such as '1 GiB'; got {memory!r}.") from error


class Counter(TorchDispatchMode):
    """Counts something of every operation, in `total`, while it is open as a context."""

    total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would load its compiler, which takes a second, only to keep it away from here."""
        return False


class Bytes(Counter):
    """Counts the bytes of every new tensor."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        old = {t.untyped_storage().data_ptr() for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        new = {t.untyped_storage() for t in tree_leaves(out) if isinstance(t, Tensor)}
        self.total += sum(storage.nbytes() for storage in new if storage.data_ptr() not in old)
        return out


class FreedMemory:
    """What passes free is kept for the next one, and handed back where it has become much more than one needs.

    Whatever outlives a pass, be it a few bytes, lies between blocks that were freed, and a hole that is a little too
    small for the next pass's blocks stays empty: over hundreds of passes glibc's heap grows to many times what is in
    use. Elsewhere than on glibc and Linux, nothing is done.

    Parameters
    ----------
    most : int
        Bytes by which the process may grow, from here or from the last time that memory was handed back.
    """

    def __init__(self, most: int) -> None:
        _keep_freed()
        self.most, self.before = most, resident_bytes()

    def look(self) -> None:
        """Hand back what is free, if the process has grown by more."""
        if resident_bytes() - self.before > self.most:
            hand_back()
            self.before = resident_bytes()


def hand_back() -> None:
    """Let glibc return to the system what is free in its heap; elsewhere, nothing is done."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(0)


def resident_bytes() -> int:
    """What this process holds of the machine's memory, as Linux counts it; 0 elsewhere.

    >>> resident_bytes() >= 0
    True
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _keep_freed() -> None:
    """Let glibc reuse the memory that a pass frees, as page faults otherwise double the time of elementwise operations.

    glibc keeps freed blocks up to the size of the largest it has seen freed (32 MiB at most) and returns larger ones to
    the system; so one block of nearly that size is allocated and freed.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)
