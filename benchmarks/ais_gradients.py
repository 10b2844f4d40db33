"""Gradient evaluations per second of AIS on a 784-200-200-50 Bernoulli decoder, against its matrix products alone.

    python benchmarks/ais_gradients.py        # records/ais_gradients.json; limit: 60 % of the matrix products' speed

    products   each of the three layers forwards, and backwards towards its input, for as many rows
    ais        whole transitions from the posterior, 10 leapfrog steps each: encoder's density, prior, likelihood

Rounds alternate; a ratio is taken against the two runs of products around each, in processor time of the one thread.
Weights are random: speed does not depend on them. The network's activations are tanh.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from record import write_record

import elbowroom as er
from elbowroom.evidence import annealed as annealing
from elbowroom.sampling import hmc

LIMIT = 0.6
WIDTHS, CHAINS, LEAPFROG, TRANSITIONS = [50, 200, 200, 784], 16, 10, 3
EXAMPLES = (20, 64)  # few; and as many as AIS takes side by side, for which the limit is


class Products:
    """The matrix products of `evaluations` gradients of the decoder at `rows` rows."""

    def __init__(self, decoder: torch.nn.Module, rows: int, evaluations: int) -> None:
        weights = [p.detach() for p in decoder.parameters() if p.dim() == 2]
        forwards = [(torch.rand(rows, w.shape[1]), w.t()) for w in weights]
        backwards = [(torch.rand(rows, w.shape[0]), w) for w in reversed(weights)]
        self.pairs, self.evaluations = forwards + backwards, evaluations

    def __call__(self) -> None:
        for _ in range(self.evaluations):
            for x, weight in self.pairs:
                torch.mm(x, weight)


def seconds(case: Callable[[], object]) -> float:
    """Processor time of the one thread: what else runs on the machine counts less than in wall time."""
    start = time.thread_time()
    case()
    return time.thread_time() - start


def measured(examples: int, rounds: int) -> dict[str, Any]:
    """The share of AIS's time that the products alone would take."""
    torch.manual_seed(0)
    decoder = er.networks.MLP(WIDTHS, activation="tanh")
    vae = er.VAE(
        er.priors.StandardNormal(50),
        er.posteriors.DiagonalNormal(er.networks.MLP([784, 200, 200, 100], activation="tanh"), 50),
        er.likelihoods.Bernoulli(decoder, 784),
    )
    target = vae.target(er.Batch(torch.bernoulli(torch.full((examples, 784), 0.2)), torch.arange(examples)))
    target = next(annealing.in_groups(target, lambda part: annealing.path_from(part, "posterior"), CHAINS, "1 GiB"))
    path, z = annealing.path_from(target, "posterior"), annealing.draw_start(target, "posterior", CHAINS, 0)
    kicks, state = list(annealing.transition_noise(target, z, 0, TRANSITIONS)), hmc.init(path.log_factors, z)
    coefficients = path.coefficients(torch.full((examples,), 0.5))

    def ais() -> None:
        for kick in kicks:
            hmc.step(path.log_factors, state, kick, 0.05, LEAPFROG, coefficients)

    rows, evaluations = CHAINS * examples, TRANSITIONS * LEAPFROG
    products, shares, times = Products(decoder, rows, evaluations), [], []
    ais()
    before = seconds(products)
    for _ in range(rounds):
        whole, after = seconds(ais), seconds(products)
        shares.append((before + after) / 2 / whole)
        times.append(whole)
        before = after
    return {
        "rows": rows,
        "share_of_products_alone": {
            "least": round(min(shares), 3),
            "median": round(statistics.median(shares), 3),
            "greatest": round(max(shares), 3),
        },
        "gradients_per_second": round(rows * evaluations / statistics.median(times)),
    }


def main() -> None:
    """Measure, print, and write records/ais_gradients.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    cases = [measured(examples, rounds) for examples in EXAMPLES]
    numbers = {
        "network": "784-200-200-50",
        "chains": CHAINS,
        "rounds": rounds,
        "clock": "processor time of the thread",
        "cases": cases,
        "limit_at_rows": [cases[-1]["rows"], LIMIT],
        "within_limit": cases[-1]["share_of_products_alone"]["median"] >= LIMIT,
    }
    print(numbers)
    print(f"written: {write_record('ais_gradients', numbers)}")


if __name__ == "__main__":
    main()
