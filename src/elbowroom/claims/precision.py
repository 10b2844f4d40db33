"""With how many digits somebody's loss counts, whatever type it takes and returns."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .probe import Probe, first_fields
from .roles import ROLES

__all__ = ["find_rounding"]

_FINE, _WIDE = 1e-4, 0.05  # steps over which a loss has no fourth difference, and over which any loss moves
_TIMES = (1.0, 0.71, 1.37)  # steps, as roundings of one may cancel by chance
_DOUBLE = 3e-11  # roughness from which a loss counts in less than double precision


def find_rounding(probe: Probe) -> float:
    """Find the rounding of a loss as a share of its value, from fourth differences, which a smooth loss has not.

    Parameters
    ----------
    probe : Probe
        The loss; from now on it is `single` where that is above what double precision leaves.

    Returns
    -------
    float
        The share; infinite where the loss stands still over small steps.
    """
    fields = first_fields(probe.sizes, (0.0, 1.0))
    at = [fields[role] for role in ROLES]
    away, out = np.sign(at[0] - at[1]), np.sign(at[2])
    moves = (away, 0, 0, 0), (0, 0, out, 0)
    found = math.inf if _stands(probe, at, moves[0]) else max(_roughness(probe, at, move) for move in moves)
    probe.single |= not found < _DOUBLE
    return found


def _stands(probe: Probe, at: list[NDArray[Any]], move: tuple[Any, ...]) -> bool:
    """Whether a loss stands still over small steps and moves over large ones."""
    return len(set(_along(probe, at, move, _FINE))) < 5 <= len(set(_along(probe, at, move, _WIDE)))


def _along(probe: Probe, at: list[NDArray[Any]], move: tuple[Any, ...], size: float) -> list[float]:
    steps = range(-2, 3)
    return [probe.at(*(one + step * size * way for one, way in zip(at, move, strict=True))) for step in steps]


def _roughness(probe: Probe, at: list[NDArray[Any]], move: tuple[Any, ...]) -> float:
    found = []
    for times in _TIMES:
        values = _along(probe, at, move, times * _FINE)
        found.append(abs(np.dot((1, -4, 6, -4, 1), values)) / 8 / max(np.abs(values).max(), 1e-300))
    return float(max(found))
