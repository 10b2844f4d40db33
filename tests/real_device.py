"""A GPU that is there, with the draws of the CPU in the place of its own, so that it can be asked for the same numbers.

All else is computed by its kernels: what `pretend_device` cannot see.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pretend_device import DEVICE, generators_named, mapped
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["needs_cuda", "real_device"]

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device on this machine")


class _DrawnHere(TorchDispatchMode):
    """Whatever draws on the device draws on the CPU, from its generator, and is moved there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors: list[Tensor] = []
        mapped(tensors.append, [*args, *kwargs.values()])
        there = any(one.is_cuda for one in tensors) or torch.device(kwargs.get("device") or "cpu").type == "cuda"
        if not there or torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        plain = {name: mapped(Tensor.cpu, value) for name, value in kwargs.items()}
        found = func(*mapped(Tensor.cpu, args), **plain)
        if func._schema.is_mutable:
            return args[0].copy_(found)
        return mapped(lambda one: one.to(DEVICE), found)


@contextlib.contextmanager
def real_device() -> Iterator[torch.device]:
    """The first GPU, while it is open; its products are of 32 bits, as torch leaves them, also in convolutions."""
    with generators_named(), _DrawnHere():
        yield DEVICE
