"""What the answers share: data, models, records that grow row by row, tables."""

import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import elbowroom as er
from elbowroom.data import Dataset

sys.path.insert(0, str(Path(__file__).parents[1]))

import growing
from growing import Row, by, first, over

__all__ = [
    "HERE",
    "SEEDS",
    "Record",
    "Row",
    "by",
    "digits",
    "first",
    "mnist",
    "over",
    "records",
    "said",
    "seen",
    "show",
    "vae",
]

HERE = Path(__file__).parent
SEEDS = (0, 1)


def mnist(images: int = 10_000, preprocess: str = "dequantise") -> Dataset:
    """The first training images, 1,000 for validation, 2,000 for test."""
    data = er.load_data("mnist", preprocess=preprocess, progress=False)
    data.train, data.validation, data.test = data.train[:images], data.validation[:1_000], data.test[:2_000]
    return data


def digits(images: int | None = None, preprocess: str = "dequantise") -> Dataset:
    """scikit-learn's digits, 1,200 / 200 / 397, or fewer to train on."""
    data = er.load_data("digits", preprocess=preprocess, progress=False)
    data.train = data.train[:images]
    return data


def vae(
    data: Dataset, seed: int, *, latents: int, hidden: Sequence[int], family: Any = None, **settings: Any
) -> er.VAE:
    """A VAE with `hidden` layers on both sides; family: of the likelihood, with its settings."""
    torch.manual_seed(seed)
    size, family = math.prod(data.event), family or er.likelihoods.Normal
    numbers = family(None, size, **settings).numbers
    encoder = er.networks.MLP([size, *hidden, 2 * latents])
    decoder = er.networks.MLP([latents, *reversed(hidden), numbers])
    return er.VAE(
        er.priors.StandardNormal(latents),
        er.posteriors.DiagonalNormal(encoder, latents),
        family(decoder, size, **settings),
        preprocess=data.preprocess,
    )


def seen(data: Dataset, examples: Any) -> np.ndarray:
    """The examples as the network sees them, [n, size], with the noise that evidence uses."""
    shape = data.preprocess.noise_shape
    noise = None if shape is None else er.numerics.keyed_uniform(shape, examples.index, 0)
    return data.preprocess(examples.x, noise)[0].flatten(1).double().numpy()


class Record(growing.Record):
    """One of this folder's records."""

    folder = HERE / "records"


records = Record.made


def said(rows: Iterable[Row], key: str, digits: int = 1, percent: bool = False) -> str:
    """Mean ± standard error over seeds, as the tables print it."""
    mean, error = over(rows, key)
    factor, unit = (100, " %") if percent else (1, "")
    spread = "" if math.isnan(error) else f" ± {factor * error:.{digits}f}"
    return f"{factor * mean:.{digits}f}{spread}{unit}"


def show(head: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    """Print a table."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for line in lines:
        print("| " + " | ".join(map(str, line)) + " |")
