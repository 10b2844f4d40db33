"""Convolutions as matrix products, for stacks on a GPU: one product of all members, where grouped kernels are slow."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import pad
from torch.overrides import TorchFunctionMode

__all__ = ["Unfolded"]

Pair = tuple[int, int]


class Unfolded(TorchFunctionMode):
    """While it is open, 2-d convolutions and transposed ones of one group are products of unfolded images.

    They are what they were up to rounding. Other convolutions are left as they are.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        own = _OWN.get(func)
        found = None if own is None else own(*args, **kwargs)
        return func(*args, **kwargs) if found is None else found


def _convolved(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    """x [N, C, H, W], weight [O, C, k, l] → [N, O, H', W']; None for what is no such convolution."""
    if x.dim() != 4 or groups != 1 or isinstance(padding, str) or _pair(dilation) != (1, 1):
        return None
    above, beside = _pair(padding)
    x = pad(x, (beside, beside, above, above)) if above or beside else x
    windows = _Windows.apply(x, tuple(weight.shape[2:]), _pair(stride))
    n, _, height, width = windows.shape[:4]
    columns = windows.permute(1, 4, 5, 0, 2, 3).reshape(-1, n * height * width)
    y = weight.flatten(1).mm(columns).unflatten(1, (n, height, width)).transpose(0, 1)
    return _with_bias(y, bias)


def _convolved_back(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor | None:
    """x [N, C, H, W], weight [C, O, k, l] → [N, O, H', W']; None for what is no such transposed convolution."""
    if x.dim() != 4 or groups != 1 or _pair(dilation) != (1, 1):
        return None
    n, _, *sides = x.shape
    kernel, steps, (above, beside) = tuple(weight.shape[2:]), _pair(stride), _pair(padding)
    columns = weight.flatten(1).t().mm(x.transpose(0, 1).reshape(-1, n * sides[0] * sides[1]))
    windows = columns.view(*weight.shape[1:], n, *sides).permute(3, 0, 4, 5, 1, 2)
    sizes = zip(sides, steps, kernel, _pair(output_padding), strict=True)
    tall, wide = ((size - 1) * step + k + more for size, step, k, more in sizes)
    whole = _Sum.apply(windows, (tall, wide), steps)
    return _with_bias(whole[:, :, above : tall - above, beside : wide - beside], bias)


class _Windows(Function):
    """Images [N, C, H, W] → their windows [N, C, H', W', k, l]; a step in torch has no gradient of many members."""

    @staticmethod
    def forward(x: Tensor, kernel: Pair, steps: Pair) -> Tensor:
        return x.unfold(2, kernel[0], steps[0]).unfold(3, kernel[1], steps[1])

    @staticmethod
    def setup_context(context: Any, inputs: Any, output: Tensor) -> None:
        context.arguments = tuple(inputs[0].shape[2:]), inputs[2]

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:
        return _Sum.apply(gradient, *context.arguments), None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, *arguments: Any) -> Any:
        return _as_one(_Windows, in_dims, x, *arguments)


class _Sum(Function):
    """Windows [N, C, H', W', k, l] → images [N, C, H, W] of the sums of what lies on each place: the transpose."""

    @staticmethod
    def forward(windows: Tensor, sides: Pair, steps: Pair) -> Tensor:
        n, c, height, _, k, l_ = windows.shape
        across = torch.ops.aten.unfold_backward(windows, [n, c, height, sides[1], k], 3, l_, steps[1])
        found: Tensor = torch.ops.aten.unfold_backward(across, [n, c, *sides], 2, k, steps[0])
        return found

    @staticmethod
    def setup_context(context: Any, inputs: Any, output: Tensor) -> None:
        context.arguments = tuple(inputs[0].shape[4:]), inputs[2]

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:
        return _Windows.apply(gradient, *context.arguments), None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, windows: Tensor, *arguments: Any) -> Any:
        return _as_one(_Sum, in_dims, windows, *arguments)


def _as_one(function: Any, in_dims: Any, x: Tensor, *arguments: Any) -> tuple[Tensor, int]:
    """The images of all members in one call."""
    x = x.movedim(in_dims[0], 0)
    return function.apply(x.flatten(0, 1), *arguments).unflatten(0, x.shape[:2]), 0


def _with_bias(y: Tensor, bias: Tensor | None) -> Tensor:
    return y if bias is None else y + bias.view(-1, 1, 1)


def _pair(value: int | Iterable[int]) -> Pair:
    first, second = (value, value) if isinstance(value, int) else value
    return first, second


_OWN: dict[Any, Callable[..., Tensor | None]] = {torch.conv2d: _convolved, torch.conv_transpose2d: _convolved_back}
