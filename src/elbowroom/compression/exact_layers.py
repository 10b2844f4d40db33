"""Layers whose sums are exact: weights and inputs on grids so coarse that no sum needs more than 52 bits."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from elbowroom.numerics import CapabilityError

from . import portable
from .portable import Array

__all__ = ["EXACT", "ExactConv", "ExactLinear", "ExactNorm", "Leaky", "Rectifier", "Table", "on_grid"]

INPUT_BITS = 16
"""Bits behind the point of what a layer reads."""
_LARGEST = 2.0**12
_SUM_BITS = 52
_FEWEST_WEIGHT_BITS, _MOST_WEIGHT_BITS = 8, 24
_TABLE_BITS, _REACH = 12, 16


def on_grid(x: Tensor, bits: int = INPUT_BITS) -> Tensor:
    """Numbers rounded to whole multiples of 2^−bits, in 64 bits.

    Parameters
    ----------
    x : Tensor
        Of any shape.
    bits : int, default 16
        Bits behind the point.

    Returns
    -------
    Tensor
        Of the same shape.

    Examples
    --------
    >>> on_grid(torch.tensor([0.3]), 2).tolist()
    [0.25]
    """
    return torch.floor(x.double() * 2.0**bits + 0.5) * 2.0**-bits


def as_read(x: Tensor) -> Tensor:
    """What a layer reads: numbers on the grid, none beyond ±4096."""
    return on_grid(x.double().clamp(-_LARGEST, _LARGEST))


def weight_bits(weight: Tensor, outputs: int, bias: Tensor | None, what: str) -> int:
    """Bits behind the point that the weights of a layer can have, so that no sum, partial or whole, exceeds 2⁵².

    Parameters
    ----------
    weight : Tensor
        [outputs, …] or, with `outputs` as another dimension, what has it there.
    outputs : int
        The dimension of the outputs.
    bias : Tensor or None
        [outputs].
    what : str
        What the layer is, for the error.

    Returns
    -------
    int
        From 8 to 24.

    Raises
    ------
    CapabilityError
        Where the weights are too large, or no numbers.
    """
    rows = on_grid(weight.movedim(outputs, 0).flatten(1).abs(), _MOST_WEIGHT_BITS)  # sums of these are exact too
    largest = float(rows.sum(1).max()) * _LARGEST + (0.0 if bias is None else float(bias.double().abs().max()))
    if not math.isfinite(largest):
        raise CapabilityError(f"A {what} of the model has weights that are no finite numbers: train it again.")
    bits = _SUM_BITS - INPUT_BITS - max(math.frexp(largest)[1], 0) - 1
    if bits < _FEWEST_WEIGHT_BITS:
        raise CapabilityError(
            f"A {what} of the model has weights so large that its sums cannot be exact in 64 bits, so that a file "
            f"might not decode elsewhere: train it with a smaller learning rate or fewer inputs."
        )
    return min(bits, _MOST_WEIGHT_BITS)


class _Weighted(nn.Module):
    """A layer of weighted sums."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, layer: nn.Module, outputs: int) -> None:
        super().__init__()
        weight, learned = layer.get_parameter("weight").detach(), layer.bias
        bias = learned.detach() if isinstance(learned, Tensor) else None
        bits = weight_bits(weight, outputs, bias, type(layer).__name__)
        self.register_buffer("weight", on_grid(weight, bits))
        self.register_buffer("bias", None if bias is None else on_grid(bias, bits + INPUT_BITS))


class ExactLinear(_Weighted):
    """A linear layer with exact sums.

    Parameters
    ----------
    layer : nn.Linear
        The layer that it rounds.

    Examples
    --------
    >>> layer = nn.Linear(3, 2)
    >>> x = torch.randn(5, 3)
    >>> bool(torch.allclose(ExactLinear(layer)(x).float(), layer(x), atol=1e-3))
    True
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__(layer, 0)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs] → [N, outputs]."""
        return functional.linear(as_read(x), self.weight, self.bias)


class ExactConv(_Weighted):
    """A convolution, or a transposed one, with exact sums.

    Parameters
    ----------
    layer : nn.Conv2d or nn.ConvTranspose2d
        The layer that it rounds; zeros stand around the image.

    Raises
    ------
    CapabilityError
        For another padding, or groups.
    """

    def __init__(self, layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
        if layer.padding_mode != "zeros" or layer.groups != 1 or isinstance(layer.padding, str):
            raise CapabilityError("Convolutions are made exact with one group and zeros around the image alone.")
        transposed = isinstance(layer, nn.ConvTranspose2d)
        super().__init__(layer, 1 if transposed else 0)
        self.options = {"stride": layer.stride, "padding": layer.padding, "dilation": layer.dilation}
        if transposed:
            self.options["output_padding"] = layer.output_padding
        self.convolve: Callable[..., Tensor] = functional.conv_transpose2d if transposed else functional.conv2d

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → [N, C', H', W']."""
        return self.convolve(as_read(x), self.weight, self.bias, **self.options)


class ExactNorm(nn.Module):
    """Batch normalisation with its running statistics: one product and one sum per number.

    Parameters
    ----------
    layer : nn.BatchNorm1d or nn.BatchNorm2d
        The layer, as it stands in evaluation.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        if layer.running_var is None or layer.running_mean is None:
            raise CapabilityError("A batch norm without running statistics depends on its batch: no file can hold it.")
        scale = 1.0 / (layer.running_var.double() + layer.eps).sqrt()
        scale = scale if layer.weight is None else scale * layer.weight.detach().double()
        shift = -layer.running_mean.double() * scale
        shape = (-1, 1, 1) if isinstance(layer, nn.BatchNorm2d) else (-1,)
        self.register_buffer("scale", on_grid(scale, 24).reshape(shape))
        bias = 0.0 if layer.bias is None else layer.bias.detach().double()
        self.register_buffer("shift", on_grid(shift + bias, 24).reshape(shape))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, …] → the same shape."""
        scaled = x * self.scale
        return scaled + self.shift


class Table(nn.Module):
    """A nonlinearity by a stored table: no interpolation, the nearest of its 131,073 places from −16 to 16.

    Beyond it the function goes on as a line of slope 0 or 1.

    Parameters
    ----------
    function : callable
        From numbers to numbers, from `portable`.
    rises : bool
        Whether its slope is 1 above 16; else it is 0. Below −16 it is 0.

    Examples
    --------
    >>> Table(portable.tanh, False)(torch.tensor([0.0, 100.0])).tolist()
    [0.0, 1.0]
    """

    values: Tensor
    step = 2.0**-_TABLE_BITS

    def __init__(self, function: Callable[[Array], Array], rises: bool) -> None:
        super().__init__()
        self.rises = rises
        self.register_buffer("values", _tabulated(function))

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape → the same."""
        found = self.values[self.places(x)]
        return torch.where(x > _REACH, as_read(x), found) if self.rises else found

    def places(self, x: Tensor) -> Tensor:
        """Which value stands for each number; the first or the last for what lies beyond."""
        place = torch.floor(x * 2.0**_TABLE_BITS + 0.5).clamp(-_REACH * 2**_TABLE_BITS, _REACH * 2**_TABLE_BITS)
        return place.long() + _REACH * 2**_TABLE_BITS


@cache
def _tabulated(function: Callable[[Array], Array]) -> Tensor:
    places = np.arange(-_REACH * 2**_TABLE_BITS, _REACH * 2**_TABLE_BITS + 1) * 2.0**-_TABLE_BITS
    return on_grid(torch.from_numpy(function(places)))


class Rectifier(nn.Module):
    """max(x, 0), on the grid."""

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape → the same."""
        return as_read(x).clamp_min(0.0)


class Leaky(nn.Module):
    """x above 0, slope · x below, on the grid.

    Parameters
    ----------
    slope : float
        Below 0.
    """

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape → the same."""
        x = as_read(x)
        return torch.where(x < 0, on_grid(x * self.slope), x)


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, portable.exp(np.minimum(x, 0.0)) - 1.0)


def _silu(x: Array) -> Array:
    return x * portable.sigmoid(x)


def _gelu(x: Array) -> Array:
    return x * portable.normal_below(x)


EXACT: dict[type[nn.Module], Callable[..., nn.Module]] = {
    nn.Linear: ExactLinear,
    nn.Conv2d: ExactConv,
    nn.ConvTranspose2d: ExactConv,
    nn.BatchNorm1d: ExactNorm,
    nn.BatchNorm2d: ExactNorm,
    nn.SiLU: lambda layer: Table(_silu, True),
    nn.ReLU: lambda layer: Rectifier(),
    nn.LeakyReLU: lambda layer: Leaky(layer.negative_slope),
    nn.ELU: lambda layer: Table(_elu, True),
    nn.GELU: lambda layer: Table(_gelu, True),
    nn.Softplus: lambda layer: Table(portable.softplus, True),
    nn.Tanh: lambda layer: Table(portable.tanh, False),
    nn.Sigmoid: lambda layer: Table(portable.sigmoid, False),
}
"""What stands in the place of each kind of layer."""
