"""What other seeds give, and which neighbours in a table they must decide."""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from models import CELLS, FAMILIES, SEEDS

WIDE = 2  # spreads within which two rows cannot be told apart
UNKNOWN = 0.01  # of log p(x): what rounding alone moved the families by (0.8 %; the discretised normal by far more)


def of_seeds(rows: dict[str, Any], name: str) -> list[float]:
    """IWAE of the model from every seed that was trained, nats."""
    names = [name, *(f"{name}; seed {seed}" for seed in SEEDS[1:])]
    return [rows[one]["iwae"][0] for one in names if one in rows]


def spread(rows: dict[str, Any], name: str) -> float:
    """Standard deviation over seeds; one per cent of the number where there is one seed."""
    values = of_seeds(rows, name)
    return float(np.std(values, ddof=1)) if len(values) > 1 else UNKNOWN * abs(values[0])


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
            if apart < WIDE * wide:
                seeds = [len(of_seeds(rows, name)) for name in (lower, higher)]
                yield f"{lower} ({seeds[0]} seeds) | {higher} ({seeds[1]}): {apart:.1f} nats apart, spread {wide:.1f}"
