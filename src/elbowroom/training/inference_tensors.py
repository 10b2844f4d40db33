"""Parameters and buffers made in inference mode, which nothing can train."""

from torch import Tensor, nn

__all__ = ["leave_inference"]


def leave_inference(module: nn.Module) -> None:
    """Put copies in the place of parameters and buffers made in inference mode, so that steps can move them.

    Parameters
    ----------
    module : nn.Module
        Changed in place; one that stands in several places stays one.
    """
    made: dict[int, Tensor] = {}
    for part in module.modules():
        held: dict[str, Tensor | None]
        for held in (part._parameters, part._buffers):  # type: ignore[assignment]
            for name, tensor in held.items():
                if tensor is not None and tensor.is_inference():
                    held[name] = made.setdefault(id(tensor), _copy(tensor))


def _copy(tensor: Tensor) -> Tensor:
    copied = tensor.detach().clone()
    return nn.Parameter(copied, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else copied
