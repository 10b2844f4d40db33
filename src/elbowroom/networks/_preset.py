"""Networks of published models, by name."""

from collections.abc import Sequence
from typing import Any

from elbowroom.numerics import InputError

from .convolutional import ConvNet

__all__ = ["PRESETS", "preset"]

PRESETS = ("conv-2018",)
"""Their names."""


def preset(
    name: str, *, image: Sequence[int] = (3, 32, 32), latents: int = 128, parts: int = 1, context: int = 0
) -> tuple[ConvNet, ConvNet]:
    """Encoder and decoder of a published model: x [N, C, H, W] → [N, 2·latents], z → [N, parts·C, H, W].

    "conv-2018": the encoder and generator of Shu, "Density Estimation: Variational Autoencoders", 2018, with
    batch norm and leaky ReLU. Its generator ends in tanh, so the first part, the mean, lies in (−1, 1): scale
    the images to [−1, 1]; further parts (parts=2: a predicted scale) are free. context: how many numbers
    further inputs bring to both. Raises InputError for another name.

    >>> encoder, decoder = preset("conv-2018", image=(1, 28, 28), latents=20)
    >>> encoder.arguments["activation"]
    'leaky-relu'
    """
    if name not in PRESETS:
        raise InputError(f"There is no preset {name!r}; there is: {', '.join(PRESETS)}.")
    common: dict[str, Any] = {"context": context, "norm": "batch", "activation": "leaky-relu"}
    encoder = ConvNet(image, latents, channels=(32, 64, 128), parts=2, dense=1024, kernel=3, **common)
    decoder = ConvNet(latents, image, channels=(64, 128, 512), parts=parts, kernel=5, output="tanh", **common)
    return encoder, decoder
