"""Shapes of an example: as an image, and as a model has it."""

import math

__all__ = ["event_of", "image_shape_of"]


def image_shape_of(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of an image.

    Parameters
    ----------
    shape : tuple of int
        Of raw data, [n, D], [n, H, W] or [n, C, H, W].

    Returns
    -------
    tuple of int or None
        (H, W) of grey images, (C, H, W) of others, None for a table.

    Examples
    --------
    >>> image_shape_of((9, 1, 8, 8)), image_shape_of((9, 3, 8, 8)), image_shape_of((9, 64))
    ((8, 8), (3, 8, 8), None)
    """
    if len(shape) == 2:
        return None
    return tuple(shape[2:] if len(shape) == 4 and shape[1] == 1 else shape[1:])


def event_of(shape: tuple[int, ...], flat: bool | None) -> tuple[int, ...]:
    """The shape of an example as a model has it.

    Parameters
    ----------
    shape : tuple of int
        Of raw data, [n, D], [n, H, W] or [n, C, H, W].
    flat : bool or None
        Whether images are vectors; None makes vectors of grey ones.

    Returns
    -------
    tuple of int
        (D,), or (C, H, W) of images that are not flat.

    Examples
    --------
    >>> event_of((9, 8, 8), None), event_of((9, 3, 8, 8), None), event_of((9, 8, 8), False)
    ((64,), (3, 8, 8), (1, 8, 8))
    """
    if len(shape) == 2:
        return (shape[1],)
    images = shape[1:] if len(shape) == 4 else (1, *shape[1:])
    return (math.prod(images),) if flat or (flat is None and images[0] == 1) else tuple(images)
