"""x σ(x) in one pass forth and one back, where many models are mapped over: torch maps its gradient over as eight."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

__all__ = ["with_one_pass"]


def with_one_pass(module: nn.Module) -> None:
    """Put such a module in the place of every `nn.SiLU` that stands in a module; numbers stay what they are alone.

    Parameters
    ----------
    module : Module
        Changed in place.
    """
    for part in list(module.modules()):
        for name, child in part._modules.items():  # every place, as one may stand in two
            if type(child) is nn.SiLU:
                part._modules[name] = _SiLU()


class _SiLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = _Value.apply(x)
        return found


class _Value(Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.ops.aten.silu.default(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        return _Slope.apply(slope, *ctx.saved_tensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int], x: Tensor) -> tuple[Any, int]:
        return torch.ops.aten.silu.default(x), in_dims[0]


class _Slope(Function):
    @staticmethod
    def forward(slope: Tensor, x: Tensor) -> Tensor:
        return torch.ops.aten.silu_backward.default(slope, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, again: Tensor) -> Any:
        slope, x = ctx.saved_tensors
        s = x.sigmoid()
        return again * s * (1 + x * (1 - s)), again * slope * s * (1 - s) * (2 + x * (1 - 2 * s))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, int | None], slope: Tensor, x: Tensor) -> tuple[Any, int]:
        slope, x = (one if at is None else one.movedim(at, 0) for one, at in zip((slope, x), in_dims, strict=True))
        return torch.ops.aten.silu_backward.default(slope, x), 0
