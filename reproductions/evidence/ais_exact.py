"""AIS against exact log p(x): a linear-Gaussian VAE of digits at d = 20, and a nonlinear decoder at d = 2.

python reproductions/evidence/ais_exact.py                        # writes ais_exact.json beside it; a minute or two
python reproductions/evidence/ais_exact.py linear-prior-1000      # some of the runs only

Linear: probabilistic PCA of 1,000 digits as a VAE, 200 other digits, exact by its closed form. Its posterior is
diagonal; the encoder is that, with 1.5 times the variance and 0.7 standard deviations off in every dimension.
Nonlinear: a 64-16-2 Bernoulli VAE of binarised digits, trained for 30 epochs, exact by quadrature.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

import elbowroom as er
from elbowroom.exact import LinearVAE, ProbabilisticPCA, log_evidence_by_quadrature

Case = tuple[er.VAE, er.Batch, NDArray[np.float64]]
"""A model, examples, and their exact log p(x)."""

RECORD = Path(__file__).parent / "ais_exact.json"
D, TRAINED_ON, POINTS, WIDER, OFF = 20, 1_000, 200, 1.5, 0.7
CHAINS, LEAPFROG = 16, 3
RUNS = {
    "linear-prior-1000": ("prior", 1_000),
    "linear-posterior-100": ("posterior", 100),
    "linear-posterior-500": ("posterior", 500),
    "nonlinear-prior-100": ("prior", 100),
    "nonlinear-posterior-100": ("posterior", 100),
}
LIMIT = 0.1  # nats of mean error, from the prior with 1,000 temperatures


def linear(d: int = D) -> Case:
    """Probabilistic PCA of digits as a VAE, in float64, with an encoder that is somewhat wrong."""
    x = torch.as_tensor(load_digits().data / 16.0)
    pca, features = ProbabilisticPCA.fit(x[:TRAINED_ON], d), x.shape[1]
    decoder, encoder = nn.Linear(d, features).double(), nn.Linear(features, 2 * d).double()
    precision = 1 + pca.weights.square().sum(0) / pca.noise_variance  # of the posterior: the columns are orthogonal
    with torch.no_grad():
        decoder.weight.copy_(pca.weights)
        decoder.bias.copy_(pca.mean)
        encoder.weight.zero_()
        encoder.weight[:d] = pca.weights.T / pca.noise_variance / precision[:, None]
        encoder.bias[:d] = -encoder.weight[:d] @ pca.mean + OFF / precision.sqrt()
        encoder.bias[d:] = torch.log(torch.expm1(WIDER / precision))
    vae = er.VAE(
        er.priors.StandardNormal(d),
        er.posteriors.DiagonalNormal(encoder, d, floor=0.0),
        er.likelihoods.Normal(decoder, features, scale=math.sqrt(pca.noise_variance)),
    ).double()
    batch = er.Batch(x[TRAINED_ON : TRAINED_ON + POINTS], torch.arange(POINTS))
    return vae, batch, LinearVAE(vae).log_prob(batch).numpy()


def nonlinear() -> Case:
    """A VAE with two latents and 20 test digits, binarised once."""
    data = er.load_data("digits", preprocess="binarise-fixed")
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(er.networks.MLP([64, 16, 4], activation="tanh"), 2),
        er.likelihoods.Bernoulli(er.networks.MLP([2, 16, 64], activation="tanh"), 64),
        preprocess=data.preprocess,
    )
    er.fit(vae, data, er.objectives.Elbo(), epochs=30, batch_size=100, lr=3e-3, seed=0)
    vae, batch = vae.double(), er.Batch(data.test[:20].x.double(), torch.arange(20))
    return vae, batch, log_evidence_by_quadrature(vae, batch, nodes=300).values


def compared(case: Case, start: str, temperatures: int) -> dict[str, Any]:
    """The estimate less the exact value: mean, its Monte-Carlo error, and the worst examples."""
    vae, batch, exact = case
    began = time.process_time()
    found = er.evidence.ais(vae, batch, start=start, temperatures=temperatures, chains=CHAINS, leapfrog=LEAPFROG)
    errors = found.values - exact
    return {
        "points": len(batch),
        "exact_mean": round(float(exact.mean()), 4),
        "mean_error": round(float(errors.mean()), 4),
        "se": round(found.se_mc, 4),
        "greatest_error": round(float(np.abs(errors).max()), 3),
        "examples_beyond_four_of_their_errors": int((np.abs(errors) > 4 * np.sqrt(found.mc_variance)).sum()),
        "least_ess": round(float(found.ess.min()), 2),
        "chains": CHAINS,
        "leapfrog": LEAPFROG,
        "processor_seconds": round(time.process_time() - began, 1),
        "torch": torch.__version__,
    }


def main() -> None:
    """Measure, print, and write ais_exact.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", help=", ".join(RUNS))
    torch.set_num_threads(1)
    from canaries import canaries
    from canary import keep

    for name in parser.parse_args().runs or RUNS:
        row = compared(linear() if name.startswith("linear") else nonlinear(), *RUNS[name])
        if name == "linear-prior-1000":
            row |= {"limit": LIMIT, "within_limit": abs(row["mean_error"]) <= LIMIT}
        print(name, row)
        record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
        RECORD.write_text(json.dumps({**record, name: row}, indent=1) + "\n", encoding="utf-8")
        keep(RECORD, canaries(), name)


if __name__ == "__main__":
    main()
