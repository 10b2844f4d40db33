"""Images that code draws, after dSprites: a square, an ellipse or a heart of some size, turned, somewhere."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

SIDE, FINER = 20, 3  # pixels, and points per pixel and direction of which half must lie inside
FACTORS = ("shape", "size", "orientation", "x", "y")
LEVELS = (3, 4, 6, 8, 8)
CLASSES = (0,)  # factors without an order


def factors() -> NDArray[np.int64]:
    """Every combination of levels, [4608, 5], so that factors are independent."""
    return np.array(list(product(*map(range, LEVELS))))


def images() -> NDArray[np.uint8]:
    """Every combination drawn in zeros and ones, [4608, 20, 20]."""
    return np.stack([drawn(*row) for row in factors()])


def drawn(shape: int, size: int, orientation: int, x: int, y: int) -> NDArray[np.uint8]:
    """One image; turns stay below a right angle, so that no shape looks the same twice."""
    at = (np.arange(SIDE * FINER) + 0.5) / FINER
    across, down = np.meshgrid(at, at)
    radius, turn = 3.2 + 0.7 * size, orientation * np.pi / 2 / LEVELS[2]
    span = (SIDE - 12) / (LEVELS[3] - 1)
    u, v = (across - 6 - span * x) / radius, (down - 6 - span * y) / radius
    u, v = np.cos(turn) * u + np.sin(turn) * v, -np.sin(turn) * u + np.cos(turn) * v
    inside = (square, ellipse, heart)[shape](u, v)
    return (inside.reshape(SIDE, FINER, SIDE, FINER).mean((1, 3)) >= 0.5).astype(np.uint8)


def square(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Of the side 1.5 radii."""
    return np.maximum(np.abs(u), np.abs(v)) < 0.75


def ellipse(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Half as wide as it is long."""
    return u**2 + (2 * v) ** 2 < 1


def heart(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(u² + v² − 1)³ = u² v³, point down."""
    a, b = 1.2 * u, -1.2 * v
    return (a**2 + b**2 - 1) ** 3 < a**2 * b**3
