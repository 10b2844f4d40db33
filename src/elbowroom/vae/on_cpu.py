"""Modules where keyed generators are."""

import copy
from itertools import chain
from typing import TypeVar

from torch import nn

__all__ = ["on_cpu"]

M = TypeVar("M", bound=nn.Module)


def on_cpu(module: M) -> M:
    """The module, or a copy of it on the CPU where it stands elsewhere: what is drawn by keyed generators is drawn there.

    Parameters
    ----------
    module : Module
        Stays where it is.

    Returns
    -------
    Module
        The same, or its copy.

    Examples
    --------
    >>> net = nn.Linear(1, 1)
    >>> on_cpu(net) is net
    True
    """
    tensors = chain(module.parameters(), module.buffers())
    return module if all(one.device.type == "cpu" for one in tensors) else copy.deepcopy(module).cpu()
