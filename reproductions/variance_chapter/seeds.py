"""What other seeds give, and which neighbours in a table they must decide."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from models import AGAIN, CELLS, FAMILIES, SEEDS

WIDE = 2  # spreads within which two rows cannot be told apart


def of_seeds(rows: dict[str, Any], name: str) -> list[float]:
    """IWAE of the model from every seed that was trained, nats."""
    names = [name, *(f"{name}; seed {seed}" for seed in SEEDS[1:])]
    return [rows[one]["iwae"][0] for one in names if one in rows]


def spread(rows: dict[str, Any], name: str) -> float:
    """Standard deviation over seeds; where there is one seed, the median of what is known on the same data."""
    values = of_seeds(rows, name)
    if len(values) > 1:
        return float(np.std(values, ddof=1))
    data = _data(name)
    alike = {cell.name.split(";")[0] for cell in AGAIN if cell.data == data}
    known = [np.std(found, ddof=1) for found in (of_seeds(rows, one) for one in alike) if len(found) > 1]
    return float(np.median(known)) if known else math.nan


def close(rows: dict[str, Any]) -> Iterator[str]:
    """Neighbours by IWAE, in words, that differ by less than twice what seeds differ by."""
    for data in ("mnist", "fashion-mnist", "cifar10"):
        names = [cell.name for cell in CELLS if cell.data == data and not cell.seed and cell.name in rows]
        if data == "mnist":
            names = [cell.name for cell in FAMILIES if cell.name in rows]
        names.sort(key=lambda name: float(np.mean(of_seeds(rows, name))))
        for lower, higher in pairwise(names):
            apart = float(np.mean(of_seeds(rows, higher)) - np.mean(of_seeds(rows, lower)))
            wide = math.hypot(spread(rows, lower), spread(rows, higher))
            if not apart > WIDE * wide:
                seeds = [len(of_seeds(rows, name)) for name in (lower, higher)]
                yield f"{lower} ({seeds[0]} seeds) | {higher} ({seeds[1]}): {apart:.1f} nats apart, spread {wide:.1f}"


def _data(name: str) -> str:
    return next(cell.data for cell in CELLS if cell.name == name)
