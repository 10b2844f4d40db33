"""Images as grey and chroma: what is told and what is to be coloured."""

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import elbowroom as er

SIDE, LEVELS, STEP = 16, 32, 4
"""Pixels of a side, levels of a chroma channel, and how many of 256 grey levels one of them is; the ends take tails."""

TRAIN, VALIDATION = 4_000, 500
_CB, _CR = 0.564, 0.713  # of BT.601, to a range of 255


@cache
def cifar(train: int = TRAIN, validation: int = VALIDATION) -> Any:
    """CIFAR-10: x chroma levels [n, 2, 16, 16], context "grey" [n, 1, 16, 16]; the official test images."""
    source = er.load_data("cifar10", progress=False)
    images = np.concatenate([source.train.x[:train], source.validation.x[:validation], source.test.x])
    labels = np.concatenate([source.train.labels[:train], source.validation.labels[:validation], source.test.labels])
    return dataset(images, labels, (train, validation))


def dataset(images: NDArray[Any], labels: NDArray[Any] | None, sizes: tuple[int, int]) -> Any:
    """Grey and chroma of colour images [n, 3, 2·16, 2·16]: the first rows to train on, then validation, then test."""
    grey, chroma = split(smaller(images))
    data = er.load_data(
        chroma,
        support=er.Support("grid", LEVELS),
        preprocess="none",
        labels=labels,
        context={"grey": grey},
        progress=False,
    )
    rows = np.arange(len(chroma))
    ends = (0, sizes[0], sizes[0] + sizes[1], len(chroma))
    data.train, data.validation, data.test = (
        _examples(data, rows[start:stop], chroma, grey, labels) for start, stop in pairwise(ends)
    )
    return data


def _examples(data: Any, rows: NDArray[Any], chroma: NDArray[Any], grey: NDArray[Any], labels: Any) -> Any:
    """These rows, in the place of those that were drawn: the test images are the official ones."""
    return type(data.train)(
        torch.from_numpy(chroma[rows]),
        torch.from_numpy(rows),
        labels=None if labels is None else torch.from_numpy(np.asarray(labels)[rows]).long(),
        context={"grey": torch.from_numpy(grey[rows])},
    )


def smaller(images: NDArray[Any]) -> NDArray[Any]:
    """Means of 2 × 2 pixels, [n, 3, H / 2, W / 2]."""
    n, channels, height, width = images.shape
    return np.asarray(images, np.float32).reshape(n, channels, height // 2, 2, width // 2, 2).mean((3, 5))


def split(images: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Grey in [0, 1], [n, 1, H, W], and levels of the two chroma channels, [n, 2, H, W], of images in [0, 255]."""
    red, green, blue = images[:, 0], images[:, 1], images[:, 2]
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = np.stack([_CB * (blue - grey), _CR * (red - grey)], 1)
    levels = np.clip(np.round(chroma / STEP + LEVELS / 2), 0, LEVELS - 1)
    return (grey[:, None] / 255).astype(np.float32), levels.astype(np.float32)


def joined(grey: Tensor, levels: Tensor) -> Tensor:
    """Images [n, 3, H, W] in [0, 1] of grey [n, 1, H, W] and chroma levels [n, 2, H, W]."""
    y, (cb, cr) = 255 * grey[:, 0], ((levels - LEVELS / 2) * STEP).unbind(1)
    red, blue = y + cr / _CR, y + cb / _CB
    green = (y - 0.299 * red - 0.114 * blue) / 0.587
    return (torch.stack([red, green, blue], 1) / 255).clamp(0, 1)
