"""What the mechanisms share: digits, models, measures, records that grow row by row."""

import math
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

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
    "information",
    "normal",
    "over",
    "pair",
    "records",
    "seen",
    "vae",
]

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)


@cache
def digits(images: int | None = None, preprocess: str = "dequantise") -> Dataset:
    """scikit-learn's digits, 1,200 / 200 / 397, or fewer to train on."""
    data = er.load_data("digits", preprocess=preprocess, progress=False)
    data.train = data.train[:images]
    return data


def vae(data: Dataset, seed: int, likelihood: Any, *, latents: int = 10, hidden: Sequence[int] = (128,)) -> er.VAE:
    """A VAE with these hidden layers on both sides; likelihood: from its network (or None) to it."""
    torch.manual_seed(seed)
    size = math.prod(data.event)
    encoder = er.networks.MLP([size, *hidden, 2 * latents])
    decoder = er.networks.MLP([latents, *reversed(hidden), likelihood(None).numbers])
    posterior = er.posteriors.DiagonalNormal(encoder, latents)
    return er.VAE(er.priors.StandardNormal(latents), posterior, likelihood(decoder), preprocess=data.preprocess)


def normal(size: int, **settings: Any) -> Callable[[Any], er.likelihoods.Normal]:
    """A normal likelihood, from its network."""
    return lambda network: er.likelihoods.Normal(network, size, **settings)


def seen(data: Dataset, examples: Any) -> np.ndarray:
    """The examples as the network sees them, [n, size], with the noise that evidence uses."""
    shape = data.preprocess.noise_shape
    noise = None if shape is None else er.numerics.keyed_uniform(shape, examples.index, 0)
    return data.preprocess(examples.x, noise)[0].flatten(1).double().numpy()


def pair(estimate: er.Estimate) -> list[float]:
    """Mean and standard error."""
    return [estimate.mean, estimate.se_total]


@torch.no_grad()
def information(model: er.VAE, examples: Any, draws: int = 1_000) -> list[float]:
    """I(x; z) for x uniform over n examples, nats, and its error: it cannot exceed log n."""
    given, _ = model.given(examples.batch(), model.keyed_noise(0, examples.index, 0))
    q = model.posterior["z"](given)
    mean, sd = (part[0].double() for part in (q.mean, q.stddev))
    generator = torch.Generator().manual_seed(0)
    chosen = torch.arange(draws) % len(mean)
    z = mean[chosen] + sd[chosen] * torch.randn(draws, mean.shape[1], generator=generator, dtype=torch.float64)
    each = torch.cat([_log_q(part, mean, sd) for part in z.split(100)])
    values = each[torch.arange(draws), chosen] - each.logsumexp(1) + math.log(len(mean))
    return [float(values.mean()), float(values.std()) / math.sqrt(draws)]


def _log_q(z: Tensor, mean: Tensor, sd: Tensor) -> Tensor:
    """log q(z | x′) up to a constant, of every z under every x′, [draws, n]."""
    return -(0.5 * ((z[:, None] - mean) / sd).square() + sd.log()).sum(-1)


class Record(growing.Record):
    """One of this folder's records."""

    folder = HERE / "records"


records = Record.made
