"""Networks of published models, by name."""

from collections.abc import Sequence
from typing import Any

from elbowroom.numerics import InputError, plain_arguments

from .conv_net import ConvNet

__all__ = ["PRESETS", "preset"]

PRESETS = ("conv-2018",)
"""Their names."""


@plain_arguments
def preset(
    name: str, *, image: Sequence[int] = (3, 32, 32), latents: int = 128, parts: int = 1, context: int = 0
) -> tuple[ConvNet, ConvNet]:
    """Encoder and decoder of a published model.

    "conv-2018" is the encoder and generator of Shu (2018), with batch norm and leaky ReLU. Its generator ends in tanh,
    so the first part, the mean, lies in (−1, 1): scale the images to [−1, 1]. Further parts are not bounded.

    Parameters
    ----------
    name : {"conv-2018"}
        Which model.
    image : sequence of int, default (3, 32, 32)
        Shape (C, H, W) of an image.
    latents : int, default 128
        Number of latent dimensions.
    parts : int, default 1
        Numbers per pixel and channel that the decoder returns: 2 for a likelihood with scale="predicted".
    context : int, default 0
        Numbers per example that further inputs (labels, say) bring to both networks.

    Returns
    -------
    encoder : ConvNet
        x [N, C, H, W] → [N, 2 · latents].
    decoder : ConvNet
        z [N, latents] → [N, parts · C, H, W].

    Raises
    ------
    InputError
        For another name.

    References
    ----------
    Shu, "Density Estimation: Variational Autoencoders" (2018).

    Examples
    --------
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
