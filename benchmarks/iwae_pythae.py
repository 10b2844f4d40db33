"""IWAE with 500 draws on 1,000 binarised MNIST test points, 784-200-200-50: elbowroom and pythae's `get_nll`.

    ELBOWROOM_DATA=... python benchmarks/iwae_pythae.py      # needs elbowroom[bench]; records/iwae_pythae.json

Both have the same weights (three epochs of training). pythae loops over points, so it gets the first 50 of them in each
round and its time is scaled per point. Rounds alternate. The two estimates are compared on those points.
"""

import argparse
import statistics
import time

import numpy as np
import torch
from record import write_record
from torch import Tensor, nn

import elbowroom as er

DRAWS, POINTS, PYTHAE_POINTS, ROUNDS = 500, 1_000, 50, 5


def trained() -> tuple[er.VAE, er.data.Dataset]:
    """A model after three epochs; its spread is exp, which is pythae's parametrisation."""
    data = er.load_data("mnist", preprocess="binarise-fixed", validation=2_000)
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(50),
        er.posteriors.DiagonalNormal(er.networks.mlp([784, 200, 200, 100]), 50, spread="exp", floor=0.0),
        er.likelihoods.Bernoulli(er.networks.mlp([50, 200, 200, 784]), 784),
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
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    vae, data = trained()
    other = in_pythae(vae)
    points = data.test[torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))[:POINTS]]
    first = points[:PYTHAE_POINTS]
    ours, theirs = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        estimate = er.evidence.iwae(vae, points, draws=DRAWS)
        ours.append((time.perf_counter() - start) / POINTS)
        start = time.perf_counter()
        with torch.no_grad():
            log_p = other.get_nll(first.x, n_samples=DRAWS, batch_size=100)
        theirs.append((time.perf_counter() - start) / PYTHAE_POINTS)
    same = er.evidence.iwae(vae, first, draws=DRAWS)
    numbers = {
        "points": POINTS,
        "pythae_points_per_round": PYTHAE_POINTS,
        "draws": DRAWS,
        "elbowroom_ms_per_point": 1e3 * statistics.median(ours),
        "pythae_ms_per_point": 1e3 * statistics.median(theirs),
        "ratio_pythae_to_elbowroom": statistics.median(np.divide(theirs, ours).tolist()),
        "ratios": np.divide(theirs, ours).tolist(),
        "elbowroom_on_all_points": [estimate.mean, estimate.se_mc, estimate.se_points],
        "elbowroom_on_pythaes_points": [same.mean, same.se_mc],
        "pythae_get_nll": log_p,
        "difference_in_standard_errors": (log_p - same.mean) / (same.se_mc * 2**0.5),
    }
    print(write_record("iwae_pythae", numbers))
    print({key: value for key, value in numbers.items() if key != "ratios"})


if __name__ == "__main__":
    main()
