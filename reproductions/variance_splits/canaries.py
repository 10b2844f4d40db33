"""First steps of every experiment, on two seeds of the small networks and the data that it trains on."""

import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import limits
import linear
import noise
import planted
import spread
from models import HERE, records, vae

import elbowroom as er

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, fewer, first_steps, first_steps_stacked, main, numbers_of

SEEDS = (0, 1)


def canaries() -> list[Canary]:
    """One for every row of a stack of seeds, one for each of the other records."""
    found = [_row("spread", row, ("decoder", "start", "beta"), of_spread) for row in records("spread")]
    found += [_row("two_seeds", row, ("decoder",), of_pairs) for row in records("two_seeds")]
    keys = ("planted_share", "correlated", "decoder", "beta")
    found += [_row("planted", row, keys, of_planted) for row in records("planted")]
    found += [_row("over_training", row, ("network", "start_sigma2"), of_start) for row in records("over_training")]
    equal = [row for row in records("equal_d") if "models" in row]
    found += [_row("equal_d", row, ("model", "d"), of_equal_d) for row in equal]
    others: dict[str, tuple[Callable[[], Numbers], tuple[str, ...]]] = {
        "collapse_digits": (partial(of_scan, noise.GRID, "digits"), ()),
        "collapse_mnist": (partial(of_scan, noise.MNIST_GRID, "mnist"), ("mnist",)),
        "linear_mnist": (of_linear_mnist, ("mnist",)),
        "beta_zero": (of_zero, ()),
        "collapsed": (of_collapsed, ()),
    }
    return found + [Canary(_record(name), "training", make, needs) for name, (make, needs) in others.items()]


def _record(name: str) -> Path:
    return HERE / "records" / f"{name}.json"


def _row(record: str, row: dict[str, Any], keys: tuple[str, ...], make: Callable[..., Numbers]) -> Canary:
    key = {name: row[name] for name in keys if name in row}
    return Canary(_record(record), ", ".join(f"{name} {value}" for name, value in key.items()), partial(make, **key))


@cache
def data_of(name: str = "digits") -> er.data.Dataset:
    """The data."""
    return er.load_data(name)


def stacked(
    kind: str, data: Any, latents: int, pixels: int, hidden: tuple[int, ...], beta: float, plan: Any, **more: Any
) -> tuple[list[er.VAE], Numbers]:
    """Two seeds as one stack."""
    vaes = [vae(kind, seed, latents, pixels, data.preprocess, hidden, **more) for seed in SEEDS]
    settings = {name: value for name, value in plan.items() if name not in ("epochs", "select")}
    return vaes, first_steps_stacked(vaes, data, beta, **settings)


def of_spread(decoder: str, start: float | None = None, beta: float = 1.0) -> Numbers:
    """A row of the spread."""
    more = {} if start is None else {"start": start}
    return stacked(decoder, data_of(), spread.LATENTS, 64, spread.HIDDEN, beta, spread.TRAINING, **more)[1]


def of_pairs(decoder: str) -> Numbers:
    """A pair of seeds compared, after the first steps."""
    data = data_of()
    vaes, steps = stacked(decoder, data, spread.LATENTS, 64, spread.HIDDEN, 1.0, spread.TRAINING)
    less = fewer(data)
    less.test = data.test[:50]
    return steps | {"pairs": numbers_of(spread.compared(vaes, less)["pairs"])}


def of_planted(planted_share: float, correlated: bool, decoder: str, beta: float = 1.0) -> Numbers:
    """A planted world and a decoder."""
    world, plan = _world(planted_share, correlated), planted.TRAINING
    return stacked(decoder, world.data, planted.LATENTS, planted.PIXELS, planted.HIDDEN, beta, plan)[1]


@cache
def _world(share: float, correlated: bool) -> planted.Planted:
    return planted.planted(share, correlated)


def of_start(network: str, start_sigma2: float) -> Numbers:
    """σ² over the first steps."""
    plan = {"batch_size": 100, "lr": 3e-3}
    start = {"start": start_sigma2**0.5}
    vaes, steps = stacked("shared", data_of(), noise.CURVE_LATENTS, 64, noise.NETWORKS[network], 1.0, plan, **start)
    return steps | {"sigma2": [noise.sigma2(model) for model in vaes]}


def of_equal_d(model: str, d: int) -> Numbers:
    """A VAE of a size."""
    kind, hidden, plan = linear.PLANS[model]
    return stacked(kind, data_of(), d, 64, hidden, 1.0, plan)[1]


def of_scan(grid: list[float], name: str) -> Numbers:
    """The ends of the grid of fixed σ², linear and deep, and the eigenvalues."""
    data, found = data_of(name), {}
    for network, lr in (("linear", 1e-2), ("deep", 3e-3)):
        pixels, ends = data.event[0], (grid[0], grid[-1])
        vaes = [vae("fixed", 0, 20, pixels, data.preprocess, noise.NETWORKS[network]) for _ in ends]
        steps = first_steps_stacked(vaes, data, ends, lr=lr)
        found |= {f"{network}, {name}": values for name, values in steps.items()}
    return found | {"eigenvalues": noise.spectrum(fewer(data))[:21].tolist()}


def of_linear_mnist() -> Numbers:
    """The linear VAE on MNIST."""
    data = data_of("mnist")
    settings = {name: value for name, value in linear.MNIST.items() if name != "epochs"}
    return first_steps(vae("shared", 0, 10, 784, data.preprocess, ()), data, seed=0, **settings)


def of_zero() -> Numbers:
    """β = 0."""
    return stacked("fixed", data_of(), limits.LATENTS, 64, limits.HIDDEN, 0.0, limits.TRAINING)[1]


def of_collapsed() -> Numbers:
    """Small models at the two σ²."""
    found = {}
    for variance in (2.0, 0.01):
        plan = {"batch_size": 100, "lr": 3e-3}
        steps = stacked("fixed", data_of(), limits.SMALL_LATENTS, 64, limits.SMALL, variance, plan)[1]
        found |= {f"{name} at {variance}": values for name, values in steps.items()}
    return found


if __name__ == "__main__":
    main(canaries())
