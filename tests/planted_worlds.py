"""Planted data: z from a known density, a known decoder, known noise."""

from dataclasses import dataclass
from typing import Any

import numpy as np
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
    decoder: str = "bent"  # "bent", "waves" or "linear"
    z: str = "normal"  # "normal", "clusters", "ring" or "none"
    noise: str = "white"  # or "shared" by neighbours
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
    shared = 0.7 * noise if world.noise == "shared" else 0.0
    return drawn.poisson(np.exp(0.7 * signal + 1.2 + shared)).astype(np.float64)


def _weights(world: World, drawn: np.random.Generator) -> tuple[Array, ...]:
    d, columns, hidden = world.latents, world.columns, 6
    return (
        drawn.normal(size=(d, columns)) / np.sqrt(d),
        drawn.normal(size=(d, hidden)) * 1.2,
        drawn.normal(size=hidden),
        drawn.normal(size=(hidden, columns)) / np.sqrt(hidden),
    )


def _decoded(world: World, z: Array, weights: tuple[Array, ...]) -> Array:
    """Noiseless columns, of unit variance."""
    straight, inward, shift, outward = weights
    bent = {"bent": np.tanh, "waves": np.sin, "linear": np.zeros_like}[world.decoder](z @ inward + shift)
    signal = z @ straight + 0.8 * bent @ outward
    return np.asarray((signal - signal.mean(0)) / signal.std(0))


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
    """Unit noise [n, columns], white, or passed on from column to column."""
    noise = drawn.normal(size=(rows, world.columns))
    if world.noise == "shared":
        for column in range(1, world.columns):
            noise[:, column] = 0.7 * noise[:, column - 1] + np.sqrt(1 - 0.49) * noise[:, column]
    return noise
