"""Residual networks between images and numbers."""

from collections.abc import Sequence

from elbowroom.recipes import described

from .image_network import ConvSettings, ImageNetwork
from .layers import at_least_one

__all__ = ["ResNet"]


@described("residual")
class ResNet(ImageNetwork):
    """A convolutional network like `ConvNet`, with residual blocks at every size.

    A block adds two convolutions, each behind normalisation and activation, to its input.

    Parameters
    ----------
    inputs : int or sequence of int
        Shape (C, H, W) of the image that is read, or how many numbers the decoder reads.
    outputs : int or sequence of int
        How many numbers the encoder returns, or the shape (C, H, W) of the decoder's image.
    channels : sequence of int, default (32, 64, 128)
        Channels of the steps, from the image inwards, in both directions.
    blocks : int, default 1
        Residual blocks at every size.
    parts : int, default 1
        How often the outputs are returned, one part after the other: 2 for mean and raw standard deviation.
    context : int, default 0
        Numbers per example that further inputs (labels, say) bring. They join behind the encoder's last convolution, or
        beside the decoder's numbers.
    dense : int or None, default None
        Width of a hidden layer between the numbers and the convolutions; None for no such layer.
    kernel : int, default 3
        Side of the kernels in pixels, odd.
    stride : int, default 2
        Stride of every step in pixels.
    norm : {"batch", "group", None}, default "group"
        Normalisation: over the batch with running statistics, over each example in groups of 16 channels, or none.
    activation : {"silu", "relu", "leaky-relu", "elu", "gelu", "softplus", "tanh", "sigmoid"}, default "silu"
        Activation after all but the last layer; leaky ReLU has slope 0.2 below zero.
    output : str or None, default None
        Activation on the first part of the outputs only: of a mean, say, so that a predicted scale stays free.

    Raises
    ------
    InputError
        For arguments or inputs that do not fit.

    References
    ----------
    He, Zhang, Ren & Sun, "Identity mappings in deep residual networks" (2016).

    Examples
    --------
    >>> import torch
    >>> ResNet((3, 32, 32), 32)(torch.zeros(5, 3, 32, 32)).shape
    torch.Size([5, 32])
    """

    def __init__(
        self,
        inputs: int | Sequence[int],
        outputs: int | Sequence[int],
        *,
        channels: Sequence[int] = (32, 64, 128),
        blocks: int = 1,
        parts: int = 1,
        context: int = 0,
        dense: int | None = None,
        kernel: int = 3,
        stride: int = 2,
        norm: str | None = "group",
        activation: str = "silu",
        output: str | None = None,
    ) -> None:
        at_least_one([blocks], "The blocks of a residual network")
        settings = ConvSettings(tuple(channels), kernel, stride, norm, activation, blocks)
        super().__init__(inputs, outputs, settings, parts, context, dense, output)
