"""Convolutional networks from images to numbers and from numbers to images, for images of any size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from elbowroom.numerics import InputError
from elbowroom.recipes import described

from .layers import activation_layers, at_least_one, dense_step, norm_layers, side_by_side

__all__ = ["ConvNet", "ResNet"]


@dataclass(frozen=True)
class ConvSettings:
    """What an encoder and its mirror image, a decoder, have in common."""

    channels: tuple[int, ...]
    kernel: int
    stride: int
    norm: str | None
    activation: str
    blocks: int = 0

    def __post_init__(self) -> None:
        at_least_one(self.channels, "The channels of a convolutional network")
        at_least_one([self.kernel, self.stride], "kernel and stride")
        if self.kernel % 2 == 0:
            raise InputError(f"kernel must be odd, so that every image size can be met; got {self.kernel}.")

    def sizes(self, size: int) -> list[int]:
        """A side of the image before the first step, between steps, and behind the last."""
        sizes = [size]
        for _ in self.channels:
            sizes.append(math.ceil(sizes[-1] / self.stride))
        return sizes

    def finish(self, channels: int) -> list[nn.Module]:
        """Normalisation and activation behind a convolution."""
        return [*norm_layers(self.norm, channels, image=True), *activation_layers(self.activation)]

    def residuals(self, channels: int) -> list[nn.Module]:
        """The residual blocks at one size."""
        return [Block(self, channels) for _ in range(self.blocks)]


class Block(nn.Module):
    """x + two convolutions of x, each behind normalisation and activation."""

    def __init__(self, settings: ConvSettings, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            *settings.finish(channels),
            nn.Conv2d(channels, channels, settings.kernel, padding=settings.kernel // 2),
            *settings.finish(channels),
            nn.Conv2d(channels, channels, settings.kernel, padding=settings.kernel // 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] → the same shape."""
        return x + self.change(x)


class OnFirst(nn.Module):
    """An activation on the first `size` features or channels; the others pass."""

    def __init__(self, activation: str | None, size: int) -> None:
        super().__init__()
        self.activation = nn.Sequential(*activation_layers(activation))
        self.size = size

    def forward(self, y: Tensor) -> Tensor:
        """[N, size or more, ...] → the same shape."""
        if not len(self.activation) or y.shape[1] == self.size:
            return self.activation(y)
        return torch.cat([self.activation(y[:, : self.size]), y[:, self.size :]], 1)


class Encoder(nn.Module):
    """Image and context → numbers."""

    def __init__(
        self, image: tuple[int, ...], outputs: int, settings: ConvSettings, parts: int, context: int, dense: int | None
    ) -> None:
        super().__init__()
        self.image = image
        steps: list[nn.Module] = []
        for before, after in pairwise([image[0], *settings.channels]):
            steps += [
                nn.Conv2d(before, after, settings.kernel, settings.stride, settings.kernel // 2),
                *settings.finish(after),
            ]
            steps += settings.residuals(after)
        self.body = nn.Sequential(*steps)
        self.width = width = settings.channels[-1] * math.prod(settings.sizes(side)[-1] for side in image[1:]) + context
        self.convolved = width - context
        head = [] if dense is None else dense_step(width, dense, settings.norm, settings.activation)
        self.head = nn.Sequential(*head, nn.Linear(dense or width, parts * outputs))

    def forward(self, x: Tensor, *context: Tensor) -> Tensor:
        """x [N, C, H, W], context [N, *event_i] → [N, parts·outputs]."""
        if tuple(x.shape[1:]) != self.image:
            raise InputError(
                f"The network was built for images {self.image}; it got {tuple(x.shape[1:])}. The first "
                "input must be the image, and the network built with its shape (C, H, W)."
            )
        features = [self.body(x), *context]
        return self.head(side_by_side(features, self.width, f"{self.convolved} features + context"))


class Decoder(nn.Module):
    """Numbers → image."""

    def __init__(
        self, inputs: int, image: tuple[int, ...], settings: ConvSettings, parts: int, context: int, dense: int | None
    ) -> None:
        super().__init__()
        self.width = inputs + context
        heights, widths = (settings.sizes(side)[::-1] for side in image[1:])
        inmost = settings.channels[-1]
        self.start = (inmost, heights[0], widths[0])
        head = [] if dense is None else dense_step(self.width, dense, settings.norm, settings.activation)
        head += dense_step(dense or self.width, math.prod(self.start), settings.norm, settings.activation, inmost)
        self.head = nn.Sequential(*head)
        steps: list[nn.Module] = []
        channels = [*settings.channels[::-1], parts * image[0]]
        for step, (before, after) in enumerate(pairwise(channels)):
            # A strided step rounds up, so several sizes lead to one: the extra rows and columns say which.
            down, across = (s[step + 1] - 1 - (s[step] - 1) * settings.stride for s in (heights, widths))
            steps += [*(settings.finish(before) if step else []), *settings.residuals(before)]
            padding = settings.kernel // 2
            steps += [nn.ConvTranspose2d(before, after, settings.kernel, settings.stride, padding, (down, across))]
        self.body = nn.Sequential(*steps)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Inputs [N, *event_i] → [N, parts·C, H, W]."""
        start = self.head(side_by_side(inputs, self.width, "inputs + context"))
        return self.body(start.unflatten(1, self.start))


class ImageNetwork(nn.Module):
    """The encoder or decoder that leads from `inputs` to `outputs`, one of them an image (C, H, W)."""

    def __init__(
        self,
        inputs: int | Sequence[int],
        outputs: int | Sequence[int],
        settings: ConvSettings,
        parts: int,
        context: int,
        dense: int | None,
        output: str | None,
    ) -> None:
        super().__init__()
        at_least_one([parts, 1 if dense is None else dense], "parts and dense")
        if context < 0:
            raise InputError(f"context cannot be negative; got {context}.")
        self.network: Encoder | Decoder
        if not isinstance(inputs, int) and isinstance(outputs, int):
            at_least_one([outputs], "outputs")
            self.network = Encoder(as_image(inputs), outputs, settings, parts, context, dense)
            self.end = OnFirst(output, outputs)
        elif isinstance(inputs, int) and not isinstance(outputs, int):
            at_least_one([inputs], "inputs")
            self.network = Decoder(inputs, as_image(outputs), settings, parts, context, dense)
            self.end = OnFirst(output, outputs[0])
        else:
            raise InputError(
                f"One of inputs and outputs must be an image (C, H, W) and the other a number; got {inputs!r} "
                f"and {outputs!r}. From numbers to numbers, use mlp."
            )

    def forward(self, *inputs: Tensor) -> Tensor:
        """Image [N, C, H, W] and context → [N, parts·n], or numbers and context → [N, parts·C, H, W]."""
        return self.end(self.network(*inputs))


def as_image(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape as (C, H, W), or an InputError."""
    image = at_least_one(shape, "The sides of an image")
    if len(image) != 3:
        raise InputError(f"An image has a shape (C, H, W); got {image}.")
    return image


@described("conv")
class ConvNet(ImageNetwork):
    """Strided convolutions from an image to numbers, or transposed ones from numbers to an image.

    ConvNet((C, H, W), n) maps [N, C, H, W] to [N, parts·n]; ConvNet(n, (C, H, W)) maps [N, n] to [N, parts·C, H,
    W], the parts one after the other. Any H and W will do: each step divides them by the stride, rounding up,
    and the way back ends on exactly H × W.

    channels: of the steps, from the image inwards, in both directions. context: how many numbers further
    inputs bring (labels, say); they join behind the last convolution, or beside the n numbers. dense: width
    of a hidden layer between the numbers and the convolutions. kernel: odd. norm: "batch", "group" or None,
    on all but the last layer. activation: as for `MLP`. output: an activation on the first part only (a mean,
    so that a predicted scale stays free). Raises InputError for arguments or inputs that do not fit.

    >>> import torch
    >>> ConvNet((1, 28, 28), 32, context=10)(torch.zeros(5, 1, 28, 28), torch.zeros(5, 10)).shape
    torch.Size([5, 32])
    >>> ConvNet(16, (1, 20, 27), parts=2, output="tanh")(torch.zeros(5, 16)).shape
    torch.Size([5, 2, 20, 27])
    """

    def __init__(
        self,
        inputs: int | Sequence[int],
        outputs: int | Sequence[int],
        *,
        channels: Sequence[int] = (32, 64, 128),
        parts: int = 1,
        context: int = 0,
        dense: int | None = None,
        kernel: int = 3,
        stride: int = 2,
        norm: str | None = None,
        activation: str = "silu",
        output: str | None = None,
    ) -> None:
        settings = ConvSettings(tuple(channels), kernel, stride, norm, activation)
        super().__init__(inputs, outputs, settings, parts, context, dense, output)


@described("residual")
class ResNet(ImageNetwork):
    """Like `ConvNet`, with `blocks` residual blocks at every size; its arguments mean the same.

    A block adds two convolutions, each behind normalisation and activation, to what comes in: He, Zhang, Ren
    and Sun, "Identity Mappings in Deep Residual Networks", 2016.

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
