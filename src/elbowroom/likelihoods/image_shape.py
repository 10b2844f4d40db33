"""The image (C, H, W) that an event is."""

import math
from collections.abc import Sequence

from elbowroom.numerics import InputError

__all__ = ["image_of"]


def image_of(event: tuple[int, ...], image_shape: Sequence[int] | None, who: str) -> tuple[int, ...]:
    """The shape (C, H, W) of an event that is an image or, given its shape, flat.

    Parameters
    ----------
    event : tuple of int
        Shape of one x.
    image_shape : sequence of int or None
        (C, H, W) or (H, W) where the event is flat.
    who : str
        What is over images, as the error names it.

    Returns
    -------
    tuple of int
        (C, H, W).

    Raises
    ------
    InputError
        For shapes that are no image.

    Examples
    --------
    >>> image_of((64,), (8, 8), "A likelihood")
    (1, 8, 8)
    """
    image = tuple(event if image_shape is None else image_shape)
    image = (1, *image) if len(image) == 2 and len(event) == 1 else image
    if len(image) != 3 or event not in (image, (math.prod(image),)):
        raise InputError(
            f"{who} is over images: give it an event (C, H, W), or a flat one with its image_shape; got event "
            f"{event} and image_shape {image_shape}."
        )
    return image
