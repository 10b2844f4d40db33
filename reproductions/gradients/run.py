"""How noisy the gradients of q are: through draws and by scores, over the dimension; of the bound of K draws, over K.

    python reproductions/gradients/run.py            # record.json, tables, figure; rows that are there stay
    python reproductions/gradients/run.py --draw     # the tables and the figure alone

The model is linear-Gaussian: x = 2 z + noise in every one of d dimensions, both standard normal. q is beside the exact
posterior by a fifth of its deviation, and 1.1 times as wide. Every copy of one example has parameters of q of its own,
so that one pass gives as many independent gradients of each.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from torch import Tensor, nn

import elbowroom as er
from elbowroom.numerics import Batch
from elbowroom.objectives import Elbo, Iwae, Objective
from elbowroom.plots import Series, lines

HERE = Path(__file__).parent
RECORD = HERE / "record.json"
SEEDS = range(3)
DIMENSIONS = (1, 2, 5, 10, 20, 50, 100)
DRAWS = (1, 4, 16, 64, 256, 1_024)
WEIGHT, BESIDE, WIDER = 2.0, 0.2, 1.1
COPIES, AT_ONCE, IWAE_DIMENSION = 4_000, 400_000, 5
ELBO: dict[str, Any] = {
    "through z, path alone": {"kl": "sticking-the-landing", "draws": 4},
    "through z": {"kl": "sampled", "draws": 4},
    "score, others": {"kl": "sampled", "draws": 4, "gradient": "score"},
    "score alone": {"kl": "sampled", "draws": 1, "gradient": "score"},
}
IWAE = ("plain", "doubly-reparameterised", "vimco")


class Own(nn.Module):
    """What an encoder returns, as a parameter for every copy of the example."""

    def __init__(self, raw: Tensor) -> None:
        super().__init__()
        self.raw = nn.Parameter(raw)

    def forward(self, x: Tensor) -> Tensor:
        return self.raw


def model(d: int, copies: int) -> tuple[er.VAE, Batch]:
    """At x = 1, whose posterior has mean 0.4 and variance 0.2 in every dimension."""
    variance = 1 / (1 + WEIGHT**2)
    mean = WEIGHT * variance + BESIDE * math.sqrt(variance)
    raw = torch.tensor([mean] * d + [math.log(WIDER * math.sqrt(variance))] * d, dtype=torch.float64)
    decoder = nn.Linear(d, d)
    with torch.no_grad():
        decoder.weight.copy_(WEIGHT * torch.eye(d)), decoder.bias.zero_()
    posterior = er.posteriors.DiagonalNormal(Own(raw.repeat(copies, 1)), d, spread="exp", floor=0.0)
    vae = er.VAE(er.priors.StandardNormal(d), posterior, er.likelihoods.Normal(decoder, d, scale=1.0))
    return vae.double(), Batch(torch.ones(copies, d, dtype=torch.float64), torch.arange(copies))


def gradients(objective: Objective, d: int, copies: int, generator: torch.Generator) -> Tensor:
    """Of the total to the 2 d numbers of q, [copies, 2 d]."""
    found: list[Tensor] = []
    each = max(1, min(copies, AT_ONCE // (objective.draws * d)))
    for _ in range(math.ceil(copies / each)):
        vae, batch = model(d, each)
        noise = {"z": torch.randn(objective.draws, each, d, generator=generator, dtype=torch.float64)}
        (each * objective(vae, batch, noise, torch.tensor(math.inf)).total).backward()
        found.append(vae.posterior["z"].network.raw.grad)
    return torch.cat(found)[:copies]


def variances(d: int, seed: int, copies: int = COPIES) -> dict[str, list[float]]:
    """Variance of a mean and of a log-deviation of q, mean over the dimensions; all as of 4 draws."""
    generator, found = torch.Generator().manual_seed(seed), {}
    for name, options in ELBO.items():
        each = gradients(Elbo(**options), d, copies, generator).var(0).view(2, d).mean(1) * options["draws"] / 4
        found[name] = [float(value) for value in each]
    return found


def signals(draws: int, seed: int, copies: int = COPIES) -> dict[str, float]:
    """Signal over noise of one gradient of the bound, mean over the numbers of q.

    The three have one mean, which is taken from the doubly reparameterised gradient, whose noise is least.
    """
    generator = torch.Generator().manual_seed(seed)
    ways = [how for how in IWAE if draws > 1 or how != "vimco"]
    found = {how: gradients(Iwae(draws=draws, gradient=how), IWAE_DIMENSION, copies, generator) for how in ways}
    signal = found["doubly-reparameterised"].mean(0).abs()
    return {how: float((signal / each.std(0)).mean()) for how, each in found.items()}


def rows() -> dict[str, tuple[str, int, int]]:
    """What is measured, at which d or K, with which seed, by the name of the row."""
    elbo = {f"d = {d}, seed {seed}": ("elbo", d, seed) for seed in SEEDS for d in DIMENSIONS}
    return elbo | {f"K = {k}, seed {seed}": ("iwae", k, seed) for seed in SEEDS for k in DRAWS}


def measured(what: str, number: int, seed: int, copies: int = COPIES) -> dict[str, Any]:
    """One row."""
    return (variances if what == "elbo" else signals)(number, seed, copies)


def over_seeds(record: dict[str, Any], what: str, number: int, name: str, part: int = 0) -> tuple[float, float]:
    """The mean over seeds and its standard error."""
    found = [record[row][name] for row, about in rows().items() if about[:2] == (what, number)]
    values = np.array([one[part] if isinstance(one, list) else one for one in found])
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def slope(record: dict[str, Any], how: str) -> float:
    """Of log signal over noise against log K, from K = 16 on."""
    ks = [k for k in DRAWS if k >= 16]
    return float(np.polyfit(np.log(ks), np.log([over_seeds(record, "iwae", k, how)[0] for k in ks]), 1)[0])


def tables(record: dict[str, Any]) -> str:
    """Markdown: variances over d, signal over noise against K, and the slopes of the latter."""
    found = [f"| d | {' | '.join(ELBO)} |", "|---" * (len(ELBO) + 1) + "|"]
    for d in DIMENSIONS:
        cells = [over_seeds(record, "elbo", d, name) for name in ELBO]
        found.append(f"| {d} | {' | '.join(f'{mean:.3g} ± {error:.1g}' for mean, error in cells)} |")
    found += ["", f"| K | {' | '.join(IWAE)} |", "|---" * (len(IWAE) + 1) + "|"]
    for k in DRAWS:
        cells = [over_seeds(record, "iwae", k, how) for how in IWAE if k > 1 or how != "vimco"]
        said = [f"{mean:.3f} ± {error:.3f}" for mean, error in cells]
        found.append(f"| {k:,} | {' | '.join([*said, '–'] if k == 1 else said)} |")
    said = [f"{slope(record, how):.2f}".replace("-", "−") for how in IWAE]
    return "\n".join([*found, f"| slope from K = 16 | {' | '.join(said)} |"])


def logs(name: str, across: list[int], found: list[tuple[float, float]]) -> Series:
    """Decimal logarithms of means, and of their errors."""
    errors = [error / mean / math.log(10) for mean, error in found]
    return Series(name, list(across), [math.log10(mean) for mean, _ in found], errors)


def draw(record: dict[str, Any]) -> None:
    """figure.svg: variances of the gradient of a mean of q over d; signal over noise against K."""
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    of = [logs(name, list(DIMENSIONS), [over_seeds(record, "elbo", d, name) for d in DIMENSIONS]) for name in ELBO]
    lines(of, across="dimension d", up="log₁₀ variance of a mean's gradient", log_x=True, ax=left)
    ks = {how: [k for k in DRAWS if k > 1 or how != "vimco"] for how in IWAE}
    of = [logs(how, ks[how], [over_seeds(record, "iwae", k, how) for k in ks[how]]) for how in IWAE]
    lines(of, across="draws K", up="log₁₀ signal over noise", log_x=True, ax=right)
    figure.savefig(HERE / "figure.svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="only the tables and the figure")
    torch.set_num_threads(1)
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if not parser.parse_args().draw:
        from canaries import canaries
        from canary import fill

        record = fill(RECORD, rows(), measured, canaries)
    print(tables(record))
    draw(record)


if __name__ == "__main__":
    main()
