"""IWAE with 500 draws on 1,000 binarised MNIST test points, 784-200-200-50: elbowroom and pythae's `get_nll`.

    ELBOWROOM_DATA=... python benchmarks/iwae_pythae.py      # needs elbowroom[bench]; records/iwae_pythae.json

Both have the same weights (three epochs of training). pythae loops over points, so it gets another 50 of them in each
round and its time is scaled per point. Rounds alternate. The two estimates are compared point by point. (500 draws in
batches of 100 are a number that `get_nll` takes as asked; other numbers it rounds to whole batches.)
"""

import argparse
import statistics
import time

import numpy as np
import torch
from record import write_record
from torch import Tensor, nn

import elbowroom as er

DRAWS, POINTS, PYTHAE_POINTS = 500, 1_000, 50


def trained() -> tuple[er.VAE, er.data.Dataset]:
    """A model after three epochs; its spread is exp, which is pythae's parametrisation."""
    data = er.load_data("mnist", preprocess="binarise-fixed", validation=2_000)
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(50),
        er.posteriors.DiagonalNormal(er.networks.MLP([784, 200, 200, 100]), 50, spread="exp", floor=0.0),
        er.likelihoods.Bernoulli(er.networks.MLP([50, 200, 200, 784]), 784),
    )
    er.fit(vae, data, epochs=3, progress=False)
    return vae, data


def in_pythae(vae: er.VAE) -> nn.Module:
    """The same networks inside pythae's VAE."""
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.network = vae.posterior["z"].network

        def forward(self, x: Tensor) -> ModelOutput:
            mean, raw = self.network(x).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=2 * raw)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.network = vae.likelihood.network

        def forward(self, z: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.network(z).sigmoid())

    config = VAEConfig(input_dim=(784,), latent_dim=50, reconstruction_loss="bce")
    return VAE(config, encoder=Encoder(), decoder=Decoder()).eval()


def main() -> None:
    """Measure, print, and write records/iwae_pythae.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    vae, data = trained()
    other = in_pythae(vae)
    points = data.test[torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))[:POINTS]]
    ours, theirs, differences = [], [], []
    for round_ in range(arguments.rounds):
        start = time.perf_counter()
        estimate = er.evidence.iwae(vae, points, draws=DRAWS, seed=round_)
        ours.append(1e3 * (time.perf_counter() - start) / POINTS)
        some = slice(round_ * PYTHAE_POINTS, (round_ + 1) * PYTHAE_POINTS)
        start = time.perf_counter()
        with torch.no_grad():  # pythae's own loop takes points one by one all the same
            log_p = [other.get_nll(x[None], n_samples=DRAWS, batch_size=100) for x in points[some].x]
        theirs.append(1e3 * (time.perf_counter() - start) / PYTHAE_POINTS)
        differences += (np.array(log_p) - estimate.values[some]).tolist()
    ratios = np.divide(theirs, ours).tolist()
    numbers = {
        "points": POINTS,
        "pythae_points_per_round": PYTHAE_POINTS,
        "draws": DRAWS,
        "rounds": arguments.rounds,
        "elbowroom_ms_per_point": statistics.median(ours),
        "pythae_ms_per_point": statistics.median(theirs),
        "ratio_pythae_to_elbowroom": [min(ratios), statistics.median(ratios), max(ratios)],
        "elbowroom": [estimate.mean, estimate.se_mc, estimate.se_points],
        # The draws of the two are independent, so their differences carry the errors of both.
        "pythae_minus_elbowroom": [
            statistics.mean(differences),
            statistics.stdev(differences) / len(differences) ** 0.5,
        ],
    }
    print(write_record("iwae_pythae", numbers))
    print(numbers)


if __name__ == "__main__":
    main()
