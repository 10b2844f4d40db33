"""First steps of every experiment, on the models and the data that it trains on."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import condition
import counts
import curve
import decoder
import fitting
import linear
import sandwich
import sizes
from shelf import HERE, digits, normal, vae

import elbowroom as er
from elbowroom.exact import Table
from elbowroom.objectives import Elbo, MultiRate

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, keep, main, numbers_of


def canaries() -> list[Canary]:
    """One or a few for every record that is there."""
    found: dict[tuple[str, str], tuple[Callable[[], Numbers], tuple[str, ...]]] = {
        ("scan", "σ = 1, β = 0.02"): (partial(of_digits, 0.02, scale=1.0), ()),
        ("learned", "one σ"): (partial(of_digits, 0.7, scale="shared"), ()),
        ("tables", "free tables"): (of_tables, ()),
        ("overfitting", "100 images"): (partial(of_digits, 1.0, 100, scale=fitting.SIGMA), ()),
        ("stopping", "300 images"): (partial(of_digits, 1.0, 300, scale="shared"), ()),
        ("condition_baselines", "digits"): (of_baselines, ()),
        ("counts", "worm neurons"): (of_counts, ("h5py",)),
        ("threshold", "linear"): (of_linear, ()),
        ("eigenvalues", "digits"): (lambda: {"values": linear.eigenvalues()[:10].tolist()}, ()),
        ("pca", "ten components"): (lambda: {"numbers": numbers_of(sizes._pca(10))}, ("mnist",)),
        ("sizes", "ten latents"): (lambda: first_steps(sizes.model(10, 0), sizes.mnist()), ("mnist",)),
        ("curve", "one network"): (of_curve, ()),
        ("sandwich", "digits"): (of_sandwich, ()),
    }
    found |= {("autoregressive", name): (partial(of_decoder, name), ()) for name in decoder.FAMILIES}
    found |= {("condition", way): (partial(of_condition, way), ()) for way in condition.WAYS}
    paths = {name: HERE / "records" / f"{name}.json" for name, _ in found}
    return [
        Canary(paths[name], row, make, needs) for (name, row), (make, needs) in found.items() if paths[name].exists()
    ]


def write() -> None:
    """Write the canaries of records that were just made."""
    every = canaries()
    for record in dict.fromkeys(canary.record for canary in every):
        keep(record, every)


def of_digits(beta: float, images: int | None = None, **likelihood: Any) -> Numbers:
    """A model of the digits."""
    data = digits(images)
    return first_steps(vae(data, 0, normal(64, **likelihood)), data, Elbo(beta))


def of_tables() -> Numbers:
    """The objectives of the encoders."""
    best = Table.optimal(*decoder.encoders())
    return {"objective": best.objective(0.5)[:20].tolist(), "information": best.information[:20].tolist()}


def of_decoder(name: str) -> Numbers:
    """A model with one of the two decoders."""
    data = digits(preprocess="none")
    return first_steps(vae(data, 0, decoder.FAMILIES[name]), data)


def of_condition(way: str) -> Numbers:
    """A model of one way."""
    return first_steps(condition.model(way, "σ learned", 0), condition.halves(way == "joint"))


def of_baselines() -> Numbers:
    """Both predictions without a latent."""
    return {"numbers": numbers_of(condition._baselines("digits"))}


def of_counts() -> Numbers:
    """A model of the neurons."""
    data = counts.cells("worm neurons")
    return first_steps(counts.model(data, 0), data)


def of_linear() -> Numbers:
    """A linear model at a noise below the greatest eigenvalue."""
    return first_steps(linear.model(0.3, "linear"), digits(), lr=3e-3)


def of_curve() -> Numbers:
    """The one network, and what it is at another β."""
    model = curve.reading("as a member of the grid", 0)
    numbers = first_steps(model, digits(), MultiRate())
    low = er.evidence.elbo(model.at_beta(0.2), digits().test[:10], draws=20)
    return numbers | {"low": [low.mean]}


def of_sandwich() -> Numbers:
    """A VAE of fixed noise, and a bound from below after five steps."""
    data, rows = sandwich.data_of("digits", 0), sandwich.pixels()[: sandwich.K["digits"]]
    found = first_steps(sandwich.model(data, 5.0, 0), data)
    return found | {"below": sandwich.below(lambda: rows, lambda: rows, 5.0, 0, steps=5)[:1]}


if __name__ == "__main__":
    main(canaries())
