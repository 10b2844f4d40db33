"""Models whose tensors are too coarse for log-densities, or hold no values."""

from torch import nn

from elbowroom.numerics import InputError

__all__ = ["refuse_coarse"]

_BYTES = 4  # of a 32-bit float, whose rounding is some 1e-7 of a log-density


def refuse_coarse(module: nn.Module, what: str = "model") -> None:
    """Refuse modules in half precision, whose log-densities are nats off, and those on the device "meta".

    Parameters
    ----------
    module : nn.Module
        A model, or a part of one.
    what : str, default "model"
        What the sentence calls it.

    Raises
    ------
    InputError
        Naming the first such parameter or buffer.
    """
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        at = f" (its {name})" if name else ""
        if tensor.is_meta:
            raise InputError(
                f"The {what} is on the device 'meta'{at}, where tensors have shapes and no values: make it on a real "
                f"device, or load its weights there."
            )
        if tensor.is_floating_point() and tensor.itemsize < _BYTES:
            raise InputError(
                f"The {what} is in {tensor.dtype}, too coarse for log-densities, which would be nats off{at}: "
                f".float() it."
            )
