"""Contexts of numbers as networks like them."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from elbowroom import networks

__all__ = ["at_scale"]


def at_scale(network: nn.Module, reads: Sequence[str], context: Mapping[str, Tensor]) -> nn.Module:
    """The network, which from training on reads contexts of numbers on their own scale, and classes as they are.

    Parameters
    ----------
    network : Module
        Reads what is named, in this order.
    reads : sequence of str
        Names of its inputs.
    context : mapping of str to Tensor
        Contexts of the training data, [n, ...] each.

    Returns
    -------
    Module
        The network itself where it reads no context of numbers.
    """
    numbers = {name: context[name] for name in reads if name in context and not _one_hot(context[name])}
    if not numbers:
        return network
    return networks.ScaledInputs(network, [numbers[n].shape[1:] if n in numbers else None for n in reads])


def _one_hot(value: Tensor) -> bool:
    return bool(((value == 0) | (value == 1)).all())
