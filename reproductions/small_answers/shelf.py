"""What the answers share: data, models, records that grow row by row, tables."""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.data import Dataset

HERE = Path(__file__).parent
SEEDS = (0, 1)
Row = dict[str, Any]


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


class Record:
    """records/<name>.json: settings and rows, written after every row; a row that is there is not made again."""

    def __init__(self, name: str, **settings: Any) -> None:
        self.path = HERE / "records" / f"{name}.json"
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
        write_atomic(self.path, (json.dumps(self.content, indent=1, ensure_ascii=False) + "\n").encode())
        print(self.path.stem, {name: value for name, value in row.items() if isinstance(value, int | str)}, flush=True)


def rounded(value: Any) -> Any:
    """Six significant digits are enough for a record."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def records(name: str) -> list[Row]:
    """The rows of a record."""
    rows: list[Row] = json.loads((HERE / "records" / f"{name}.json").read_text())["rows"]
    return rows


def first(value: Any) -> float:
    """The value of [value, standard error], or the value."""
    return float(value[0] if isinstance(value, list) else value)


def over(rows: Iterable[Row], key: str) -> tuple[float, float]:
    """Mean over seeds and its standard error, NaN for one seed."""
    values = [first(row[key]) for row in rows]
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(np.mean(values)), error


def said(rows: Iterable[Row], key: str, digits: int = 1, percent: bool = False) -> str:
    """Mean ± standard error over seeds, as the tables print it."""
    mean, error = over(rows, key)
    factor, unit = (100, " %") if percent else (1, "")
    spread = "" if math.isnan(error) else f" ± {factor * error:.{digits}f}"
    return f"{factor * mean:.{digits}f}{spread}{unit}"


def by(rows: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows that share the values of these names, in the order they came."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


def show(head: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    """Print a table."""
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for line in lines:
        print("| " + " | ".join(map(str, line)) + " |")
