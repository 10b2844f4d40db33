"""What the mechanisms share: digits, models, measures, records that grow row by row."""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.data import Dataset

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)
Row = dict[str, Any]


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
        write_atomic(self.path, json.dumps(self.content, indent=1, ensure_ascii=False) + "\n")
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


def by(rows: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows that share the values of these names, in the order they came."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups
