"""First steps of the models, and every estimator on a few examples with a small budget."""

import sys
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import ais_exact
import anomaly
import bdmc
import cost
import estimators
import torch

import elbowroom as er

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import EXAMPLES, Canary, Numbers, evidence, first_steps, main

HERE = Path(__file__).parent
FEWEST_NUMBERS = 5  # latent dimensions up to which a normal density can be fitted to 50 draws
FEW = {"temperatures": 10, "chains": 4, "leapfrog": 2}


def canaries() -> list[Canary]:
    """Those of all records."""
    return [*_exact(), *_anomaly(), *_mnist()]


def _exact() -> Iterator[Canary]:
    for name, (start, _) in ais_exact.RUNS.items():
        yield Canary(HERE / "ais_exact.json", name, partial(annealed, name, start))
    for d in estimators.DIMENSIONS:
        yield Canary(HERE / "estimators.json", f"d = {d}", partial(all_estimators, d))


def _anomaly() -> Iterator[Canary]:
    for scale in ("shared", "predicted"):
        for name in anomaly.SETS:
            make = partial(detector, scale, name)
            yield Canary(HERE / f"anomaly_{scale}.json", name, make, anomaly.SETS)


def _mnist() -> Iterator[Canary]:
    yield Canary(HERE / "bdmc.json", "gap", both_ends, ("mnist",))
    for start in ("prior", "posterior"):
        yield Canary(HERE / "cost.json", f"AIS from the {cost.WORDS[start]}", partial(from_start, start), ("mnist",))


@cache
def _case(kind: str) -> ais_exact.Case:
    return ais_exact.linear() if kind == "linear" else ais_exact.nonlinear()


def annealed(name: str, start: str) -> Numbers:
    """The exact values of ten points and a short annealing."""
    vae, batch, exact = _case(name.partition("-")[0])
    few = er.Batch(batch.x[:EXAMPLES], batch.index[:EXAMPLES])
    return {"exact": exact[:EXAMPLES].tolist(), "ais": er.evidence.ais(vae, few, start=start, **FEW).values.tolist()}


def all_estimators(d: int) -> Numbers:
    """Each estimator's values of ten points."""
    digits, rows = _digits()
    vae, examples = estimators.model(digits, rows, d), digits.test[:EXAMPLES]
    posterior = {"draws": 50, "chains": 8, "warm_up": 10, "leapfrog": 2}
    found = {
        "exact": er.exact.LinearVAE(vae).log_prob(examples),
        "elbo": er.evidence.elbo(vae, examples, draws=64).values,
        "iwae": torch.tensor(evidence(vae, examples)),
        "prior sampling": er.evidence.prior_sampling(vae, examples, draws=100).values,
        "ais from the prior": er.evidence.ais(vae, examples, start="prior", **FEW).values,
        "ais from the encoder": er.evidence.ais(vae, examples, start="posterior", **FEW).values,
        "ais from both": er.evidence.ais(vae, examples, **FEW).values,
    }
    if d <= FEWEST_NUMBERS:
        found["reciprocal"] = er.evidence.reciprocal_sampling(vae, examples, **posterior).values
    return {name: values.tolist() for name, values in found.items()}


@cache
def _digits() -> tuple[er.data.Dataset, "estimators.np.ndarray"]:
    digits = er.load_data("digits")
    noise = er.numerics.keyed_uniform((64,), digits.train.index, 0)
    return digits, digits.preprocess(digits.train.x, noise)[0].double().numpy()


def detector(scale: str, name: str) -> Numbers:
    """First steps of a model, and its ten examples of the other set."""
    data = er.load_data(name)
    other = er.load_data(next(one for one in anomaly.SETS if one != name))
    vae = er.models.build({"likelihood": {"kind": "normal", "scale": scale}, "latents": 10}, data)
    return first_steps(vae, data) | {"outside": evidence(vae, other.test[:EXAMPLES])}


@cache
def _begun() -> tuple[er.VAE, er.data.Dataset, Numbers]:
    data = bdmc.load()
    vae = bdmc.model(data)
    return vae, data, first_steps(vae, data, **bdmc.TRAINING)


def both_ends() -> Numbers:
    """First steps, and both bounds of a few simulated points."""
    vae, _, steps = _begun()
    found = er.evidence.bdmc(vae, 4, start=bdmc.START, seed=0, **FEW)
    return steps | {"lower": found.lower.values.tolist(), "upper": found.upper.values.tolist()}


def from_start(start: str) -> Numbers:
    """First steps, and a short annealing of ten test images."""
    vae, data, steps = _begun()
    return steps | {"ais": er.evidence.ais(vae, data.test[:EXAMPLES], start=start, **FEW).values.tolist()}


if __name__ == "__main__":
    main(canaries())
