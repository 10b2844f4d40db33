"""Gradient evaluations per second of AIS on a 784-200-200-50 Bernoulli decoder, against its matrix products alone.

    python benchmarks/ais_gradients.py        # records/ais_gradients.json; limit: 60 % of the matrix products' speed

Rounds alternate, on one thread. Matrix products alone: every layer forwards, and backwards towards its input, as many
rows. AIS: whole transitions from the posterior. The weights are random: speed does not depend on them.
"""

import argparse
import statistics
import time

import torch
from record import write_record
from torch import Tensor

import elbowroom as er
from elbowroom.evidence import annealing, hmc

WIDTHS, CHAINS, EXAMPLES, LEAPFROG, TRANSITIONS = [50, 200, 200, 784], 16, 64, 10, 3
ROWS = CHAINS * EXAMPLES


def products(weights: list[Tensor]) -> None:
    """The matrix products of one evaluation and its gradient."""
    for weight in weights:
        torch.mm(torch.ones(ROWS, weight.shape[1]), weight.T)
    for weight in reversed(weights):
        torch.mm(torch.ones(ROWS, weight.shape[0]), weight)


def main() -> None:
    """Measure, print, and write records/ais_gradients.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    decoder = er.networks.mlp(WIDTHS)
    vae = er.VAE(
        er.priors.StandardNormal(50),
        er.posteriors.DiagonalNormal(er.networks.mlp([784, 200, 200, 100]), 50),
        er.likelihoods.Bernoulli(decoder, 784),
    )
    target = vae.target(er.Batch(torch.bernoulli(torch.full((EXAMPLES, 784), 0.2)), torch.arange(EXAMPLES)))
    path, kicks = annealing.path_from(target, "posterior"), list(annealing.kicks_for(target, CHAINS, 0, TRANSITIONS))
    state = hmc.init(path.terms, annealing.draw_start(target, "posterior", CHAINS, 0))
    coefficients = path.coefficients(torch.full((EXAMPLES,), 0.5))
    weights = [p.detach() for p in decoder.parameters() if p.dim() == 2]
    evaluations, ratios, alone = TRANSITIONS * LEAPFROG, [], []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for _ in range(evaluations):
            products(weights)
        middle = time.perf_counter()
        for kick in kicks:
            hmc.step(path.terms, state, kick, 0.05, LEAPFROG, coefficients)
        ratios.append((middle - start) / (time.perf_counter() - middle))
        alone.append((middle - start) / evaluations)
    ratios, alone = ratios[1:], alone[1:]
    numbers = {
        "rows": ROWS,
        "rounds": rounds,
        "limit": 0.6,
        "speed_against_products": [min(ratios), statistics.median(ratios), max(ratios)],
        "row_gradients_per_second_of_products": ROWS / statistics.median(alone),
    }
    print(write_record("ais_gradients", numbers))
    print(numbers)


if __name__ == "__main__":
    main()
