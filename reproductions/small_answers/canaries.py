"""First steps of every experiment, on the models and the data that it trains on."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import noise
import scan
import sizes
from shelf import HERE, digits, mnist, vae

import elbowroom as er
from elbowroom.objectives import Elbo

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, main, numbers_of


def canaries() -> list[Canary]:
    """One or a few for every record."""
    images: dict[tuple[str, str], Callable[[], Numbers]] = {
        ("scan", "σ = 1, β = 0.03"): partial(of_scan, 0.03, scale=1.0),
        ("scan_predicted", "σ(z), β = 0.1"): partial(of_scan, 0.1, scale="predicted", floor=scan.FLOOR),
        ("compression", "one σ"): partial(of_scan, 1.0, scale="shared"),
        ("one_class", "pixels of threes"): of_threes,
    }
    found = [Canary(_record(record), row, make, ("mnist",)) for (record, row), make in images.items()]
    found += [Canary(_record("quantiles"), name, partial(of_decoder, name)) for name in noise.DECODERS]
    kinds = ("raw", "dequantised", "discretised logistic")
    found += [Canary(_record("floors"), kind, partial(of_floor, kind)) for kind in kinds]
    families = {"cross-entropy": (er.likelihoods.Bernoulli, {"unnormalised": True}),
                "continuous Bernoulli": (er.likelihoods.ContinuousBernoulli, {}),
                "truncated normal": (er.likelihoods.TruncatedNormal, {})}  # fmt: skip
    found += [Canary(_record("cross_entropy"), name, partial(of_digits, family=family, **settings))
              for name, (family, settings) in families.items()]  # fmt: skip
    found += [Canary(_record(name), "one σ", partial(of_digits, scale="shared")) for name in ("gradients", "balance")]
    found += [
        Canary(_record("latents"), "d = 10", partial(of_digits, sizes.IMAGES, scale="shared", start=sizes.START)),
        Canary(_record("copies"), "σ = 0.03", partial(of_digits, sizes.IMAGES, 64, scale=0.03)),
        Canary(_record("classes"), "ten latents", partial(of_digits, family=er.likelihoods.TruncatedNormal)),
        Canary(_record("spectrum"), "all", lambda: {"spectrum": numbers_of(sizes._spectrum("digits"))}),
        Canary(_record("outliers"), "rows with gross errors", of_outliers),
        Canary(_record("batch_norm"), "conv-2018", of_batch_norm, ("cifar10",)),
    ]
    return found


def _record(name: str) -> Path:
    return HERE / "records" / f"{name}.json"


def of_scan(beta: float, **likelihood: Any) -> Numbers:
    """A model of the scan."""
    data = mnist()
    return first_steps(vae(data, 0, **scan.MODEL, **likelihood), data, Elbo(beta))


def of_threes() -> Numbers:
    """The first test threes as PCA sees them."""
    data = mnist(10)
    return {"pixels": sizes.seen(data, sizes._threes(data.test)[:3]).mean(1).tolist()}


def of_decoder(name: str) -> Numbers:
    """A decoder of the quantiles."""
    preprocess, settings = noise.DECODERS[name]
    data = digits(preprocess=preprocess)
    return first_steps(vae(data, 0, **noise.MODEL, **settings), data)


def of_floor(kind: str) -> Numbers:
    """A kind of pixels at a floor of 0.01."""
    return first_steps(noise.few_model(kind, 0.01, 0), noise.few(kind), batch_size=50)


def of_digits(images: int | None = None, latents: int = 10, **likelihood: Any) -> Numbers:
    """A model of digits with one hidden layer."""
    data = digits(images)
    return first_steps(vae(data, 0, latents=latents, hidden=[128], **likelihood), data)


def of_outliers() -> Numbers:
    """The rows, and the Student-t model of them."""
    _, data = sizes.with_outliers(0.05, 0)
    return {"rows": data.train.x[:3].mean(1).tolist()} | first_steps(sizes.linear_means("VAE, Student-t", 0)[0], data)


def of_batch_norm() -> Numbers:
    """The preset on CIFAR images."""
    data = sizes.cifar()
    return first_steps(sizes.conv_2018(data, 0), data, batch_size=50)


if __name__ == "__main__":
    main(canaries())
