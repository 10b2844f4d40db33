"""Planted data: z from a known density, a known decoder, known noise."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr

import elbowroom as er

Array = NDArray[np.float64]
HELD_OUT = 400  # examples of validation, and as many of test


@dataclass(frozen=True)
class World:
    """Planted data: x = noise of `kind` around decoder(z)."""

    kind: str
    latents: int
    columns: int
    rows: int
    seed: int
    decoder: str = "bent"  # "bent", "waves", "folded" or "linear"
    z: str = "normal"  # "normal", "clusters", "ring" or "none"
    noise: str = "white"  # "shared" by neighbours, or by "pairs"
    sigma: float = 0.5

    @property
    def name(self) -> str:
        """Short, and unique in a family."""
        return f"{self.kind}-{self.latents}-{self.columns}-{self.seed}"

    def data(self, train: int | None = None) -> er.data.Dataset:
        """The data set, with fewer training rows where told."""
        rows = (train or self.rows) + 2 * HELD_OUT
        x = _planted(self, rows)
        support = {"normal": "real", "bernoulli": "binary", "poisson": "counts"}[self.kind]
        return er.load_data(
            x, support=support, validation=HELD_OUT, test=HELD_OUT, seed=self.seed, name=self.name, progress=False
        )


def worlds_of(kind: str, sizes: list[tuple[int, int, int]], seed: int, **others: Any) -> tuple[World, ...]:
    return tuple(
        World(kind, d, columns, rows, seed + place, **others) for place, (d, columns, rows) in enumerate(sizes)
    )


def _planted(world: World, rows: int) -> Array:
    """Rows x [n, columns] of a world."""
    drawn = np.random.default_rng(world.seed)
    weights = _weights(world, drawn)
    z = _latents(world, rows, drawn)
    signal = np.zeros((rows, world.columns)) if world.z == "none" else _decoded(world, z, weights)
    noise = _noise(world, rows, drawn)
    if world.kind == "normal":
        return signal + world.sigma * noise
    if world.kind == "bernoulli":
        level = drawn.normal(size=world.columns) if world.z == "none" else 0.0
        p = 1 / (1 + np.exp(-2.5 * signal - level))
        uniform = drawn.random(p.shape) if world.noise == "white" else ndtr(noise)
        return (uniform < p).astype(np.float64)
    shared = {"white": 0.0, "shared": 0.7, "pairs": 0.9}[world.noise] * noise
    return drawn.poisson(np.exp(0.7 * signal + 1.2 + shared)).astype(np.float64)


def _weights(world: World, drawn: np.random.Generator) -> tuple[Array, ...]:
    d, columns, hidden = world.latents, world.columns, 6
    return (
        drawn.normal(size=(d, columns)) / np.sqrt(d),
        drawn.normal(size=(d, hidden)) * 1.2,
        drawn.normal(size=hidden),
        drawn.normal(size=(hidden, columns)) / np.sqrt(hidden),
    )


def truth(world: World) -> er.VAE:
    """The planted density itself, of white noise, with a q that knows nothing: `remedies.refine` finds a better one."""
    drawn = np.random.default_rng(world.seed)
    weights = _weights(world, drawn)
    signal = _signal(world, _latents(world, world.rows + 2 * HELD_OUT, drawn), weights)
    decoder = _Decoder(world, weights, signal.mean(0), signal.std(0))
    likelihood = {
        "normal": lambda: er.likelihoods.Normal(decoder, world.columns, scale=world.sigma),
        "bernoulli": lambda: er.likelihoods.Bernoulli(decoder, world.columns),
        "poisson": lambda: er.likelihoods.Poisson(decoder, world.columns),
    }[world.kind]()
    encoder = torch.nn.Linear(world.columns, 2 * world.latents)
    torch.nn.init.zeros_(encoder.weight)
    torch.nn.init.zeros_(encoder.bias)
    return er.VAE(
        er.priors.StandardNormal(world.latents), er.posteriors.DiagonalNormal(encoder, world.latents), likelihood
    )


class _Decoder(torch.nn.Module):
    """The planted decoder, in the numbers that the likelihood reads."""

    def __init__(self, world: World, weights: tuple[Array, ...], centre: Array, scale: Array) -> None:
        super().__init__()
        numbers = (*weights, centre, scale)
        self.numbers = torch.nn.ParameterList(
            torch.nn.Parameter(torch.as_tensor(one, dtype=torch.float32), requires_grad=False) for one in numbers
        )
        self.world = world

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        straight, inward, shift, outward, centre, scale = self.numbers
        curves = {"bent": torch.tanh, "waves": torch.sin, "folded": lambda u: (0.5 + u * u).sqrt()}
        signal = z @ straight + 0.8 * curves[self.world.decoder](z @ inward + shift) @ outward
        signal = (signal - centre) / scale
        return {"normal": signal, "bernoulli": 2.5 * signal, "poisson": 0.7 * signal + 1.2}[self.world.kind]


def _decoded(world: World, z: Array, weights: tuple[Array, ...]) -> Array:
    """Noiseless columns, of unit variance."""
    signal = _signal(world, z, weights)
    return np.asarray((signal - signal.mean(0)) / signal.std(0))


def _signal(world: World, z: Array, weights: tuple[Array, ...]) -> Array:
    straight, inward, shift, outward = weights
    curves = {"bent": np.tanh, "waves": np.sin, "folded": lambda u: np.sqrt(0.5 + u * u), "linear": np.zeros_like}
    bent = curves[world.decoder](z @ inward + shift)
    return np.asarray(z @ straight + 0.8 * bent @ outward)


def _latents(world: World, rows: int, drawn: np.random.Generator) -> Array:
    z = drawn.normal(size=(rows, world.latents))
    if world.z == "clusters":
        centres = drawn.normal(size=(world.latents + 2, world.latents))
        centres *= 1.3 / np.linalg.norm(centres, axis=1, keepdims=True)
        z = centres[drawn.integers(len(centres), size=rows)] + 0.15 * z
    elif world.z == "ring":
        angle = drawn.random(rows) * 2 * np.pi
        z[:, :2] = np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.12 * z[:, :2]
    return (z - z.mean(0)) / z.std(0)


def _noise(world: World, rows: int, drawn: np.random.Generator) -> Array:
    """Unit noise [n, columns], white, passed on from column to column, or common to pairs of columns."""
    noise = drawn.normal(size=(rows, world.columns))
    if world.noise == "shared":
        for column in range(1, world.columns):
            noise[:, column] = 0.7 * noise[:, column - 1] + np.sqrt(1 - 0.49) * noise[:, column]
    elif world.noise == "pairs":
        noise[:, 1::2] = 0.9 * noise[:, :-1:2] + np.sqrt(1 - 0.81) * noise[:, 1::2]
    return noise
