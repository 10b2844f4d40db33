"""Records that grow row by row, and means of their rows over seeds."""

import json
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elbowroom.atomic import write_atomic

Row = dict[str, Any]


class Record:
    """<folder>/<name>.json: settings and rows, written after every row; a row that is there is not made again."""

    folder: Path

    def __init__(self, name: str, **settings: Any) -> None:
        self.path = self.folder / f"{name}.json"
        fresh = json.dumps({"settings": settings, "torch": torch.__version__, "rows": []})
        self.content = json.loads(self.path.read_text() if self.path.exists() else fresh)
        if self.content["settings"] != json.loads(fresh)["settings"]:
            raise SystemExit(f"{self.path.name} was made with other settings: remove it first.")

    def missing(self, keys: Iterable[Row]) -> list[Row]:
        """Those of the rows that are not made yet."""
        rows = self.content["rows"]
        return [key for key in keys if not any(key.items() <= {k: r.get(k) for k in key}.items() for r in rows)]

    def rows(self, keys: Iterable[Row], make: Callable[..., Row]) -> None:
        """Make and write the rows that are missing."""
        for key in self.missing(keys):
            start = time.process_time()
            self.add(key | make(**key) | {"cpu_seconds": round(time.process_time() - start, 1)})

    def add(self, row: Row) -> None:
        """Write one row."""
        self.content["rows"].append(rounded(row))
        self.path.parent.mkdir(exist_ok=True)
        write_atomic(self.path, json.dumps(self.content, indent=1, ensure_ascii=False) + "\n")
        print(self.path.stem, {name: value for name, value in row.items() if isinstance(value, int | str)}, flush=True)

    @classmethod
    def made(cls, name: str) -> list[Row]:
        """The rows of a record."""
        rows: list[Row] = json.loads((cls.folder / f"{name}.json").read_text())["rows"]
        return rows


def rounded(value: Any) -> Any:
    """Six significant digits are enough for a record."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def first(value: Any) -> float:
    """The value of [value, standard error], or the value."""
    return float(value[0] if isinstance(value, list) else value)


def over(rows: Iterable[Row], key: str) -> tuple[float, float]:
    """Mean over seeds and its standard error, NaN for one seed."""
    values = [first(row[key]) for row in rows]
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(np.mean(values)), error


def by(rows: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows that share the values of these names, in the order they came."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups
