"""IWAE with 5,000 draws, 784-200-200-50 with a Bernoulli, against the decoder's matrix products alone, one thread.

    python benchmarks/iwae_speed.py      # records/iwae_speed.json

    products   x·W for the decoder's three layers into tensors that are there already: no bias, no activation
    iwae       er.evidence.iwae whole: encoder, noise keyed by example, decoder, densities, log-mean, its error and k̂

Both take the same number of rows through the decoder, products in as many at a time as is fastest for them. Rounds
alternate; a ratio is taken against the two runs of products around each, in processor time of the one thread. Weights
are random and so are the images: neither changes how long anything takes.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from record import write_record

import elbowroom as er

LIMIT = 0.65
PIXELS, HIDDEN, LATENTS, DRAWS, POINTS = 784, 200, 50, 5_000, 8
ROWS = (500, 1_000, 2_000, 4_000)


def model() -> er.VAE:
    torch.manual_seed(0)
    return er.VAE(
        er.priors.StandardNormal(LATENTS),
        er.posteriors.DiagonalNormal(er.networks.MLP([PIXELS, HIDDEN, HIDDEN, 2 * LATENTS]), LATENTS),
        er.likelihoods.Bernoulli(er.networks.MLP([LATENTS, HIDDEN, HIDDEN, PIXELS]), PIXELS),
    )


class Products:
    """The decoder's matrix products for DRAWS × POINTS rows, `rows` at a time."""

    def __init__(self, vae: er.VAE, rows: int) -> None:
        self.weights = [p.detach().t() for p in vae.likelihood.network.parameters() if p.dim() == 2]
        self.inputs = [torch.rand(rows, len(weight)) for weight in self.weights]
        self.outputs = [torch.empty(rows, weight.shape[1]) for weight in self.weights]
        self.rows = rows

    def __call__(self) -> None:
        for _ in range(DRAWS * POINTS // self.rows):
            for x, weight, out in zip(self.inputs, self.weights, self.outputs, strict=True):
                torch.mm(x, weight, out=out)


def seconds(case: Callable[[], object]) -> float:
    """Processor time of the one thread: what else runs on the machine counts less than in wall time."""
    start = time.thread_time()
    case()
    return time.thread_time() - start


def main() -> None:
    """Measure, print, and write records/iwae_speed.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    vae = model()
    x = torch.bernoulli(torch.full((POINTS, PIXELS), 0.13), generator=torch.Generator().manual_seed(0))
    examples = er.Batch(x, torch.arange(POINTS))

    def iwae() -> object:
        return er.evidence.iwae(vae, examples, draws=DRAWS)

    iwae()
    by_rows = {rows: min(seconds(Products(vae, rows)) for _ in range(3)) for rows in ROWS}
    products = Products(vae, min(by_rows, key=by_rows.__getitem__))
    before, shares, times = seconds(products), [], []
    for _ in range(arguments.rounds):
        whole, after = seconds(iwae), seconds(products)
        shares.append((before + after) / 2 / whole)
        times.append(after)
        before = after
    operations = 2 * DRAWS * POINTS * sum(weight.numel() for weight in products.weights)
    share = statistics.median(shares)
    numbers = {
        "network": f"{PIXELS}-{HIDDEN}-{HIDDEN}-{LATENTS}",
        "draws": DRAWS,
        "points": POINTS,
        "rounds": arguments.rounds,
        "clock": "processor time of the thread",
        "products_rows": products.rows,
        "products_gflops": round(operations / statistics.median(times) / 1e9, 1),
        "share_of_products_alone": {
            "least": round(min(shares), 3),
            "median": round(share, 3),
            "greatest": round(max(shares), 3),
        },
        "limit": LIMIT,
        "within_limit": share >= LIMIT,
    }
    print(numbers)
    print(f"written: {write_record('iwae_speed', numbers)}")


if __name__ == "__main__":
    main()
