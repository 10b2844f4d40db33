"""β is a variance: Gaussian VAEs trained at σ = 1 over a scan of β, measured raw and with the noise calibrated.

    python reproductions/beta_is_a_variance/run.py train --data mnist --range unit --seed 0      # one stack of models
    python reproductions/beta_is_a_variance/run.py table                                         # the tables

One record per (data, range, seed) in records/; one that is there is not made again.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import elbowroom as er
from elbowroom.metrics import latent_use, psnr, reconstruction_error
from elbowroom.remedies import calibrate

HERE = Path(__file__).parent
BETAS = (0.0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
LATENTS = 20
TEST = 2_000
WORDS = {"unit": "dequantise", "symmetric": "dequantise-symmetric"}


def model(data: Any, scale: float | str, seed: int) -> er.VAE:
    """784-256-256-20, the noise fixed at 1 or learned."""
    torch.manual_seed(seed)
    return er.VAE(
        er.priors.StandardNormal(LATENTS),
        er.posteriors.DiagonalNormal(er.networks.mlp([784, 256, 256, 2 * LATENTS]), LATENTS),
        er.likelihoods.Normal(er.networks.mlp([LATENTS, 256, 256, 784]), 784, scale=scale),
        preprocess=data.preprocess,
    )


def train(name: str, values: str, seed: int, epochs: int) -> None:
    """Train the scan (stacked) and the two models that find σ by themselves, and write the record."""
    record = HERE / "records" / f"{name}-{values}-{seed}.json"
    if record.exists():
        print(f"{record.name} is there already")
        return
    start = time.perf_counter()
    data = er.load_data(name, preprocess=WORDS[values], validation=2_000)
    scan = [model(data, 1.0, seed) for _ in BETAS]
    objectives = [er.objectives.Elbo(beta) for beta in BETAS]
    settings = {"epochs": epochs, "batch_size": 100, "seed": seed}
    er.fit_stacked(scan, data, objectives, **settings)
    rows = [measure(vae, data) | {"beta": beta} for vae, beta in zip(scan, BETAS, strict=True)]
    learned = []
    for scale in ("shared", "optimal"):
        vae = model(data, scale, seed)
        er.fit(vae, data, er.objectives.Elbo(), **settings)
        learned.append(measure(vae, data) | {"scale": scale, "sigma2": float(vae.likelihood.common_scale()) ** 2})
    record.parent.mkdir(exist_ok=True)
    record.write_text(
        json.dumps(
            {
                "data": name,
                "range": values,
                "seed": seed,
                "epochs": epochs,
                "test_examples": TEST,
                "scan": rows,
                "learned": learned,
                "pca": pca(data),
                "seconds": time.perf_counter() - start,
                "torch": torch.__version__,
            },
            indent=1,
        )
        + "\n"
    )


def measure(vae: er.VAE, data: Any) -> dict[str, Any]:
    """Held-out figures of one model, raw and calibrated, nats per example on the network's scale."""
    test = data.test[:TEST]
    raw = er.evidence.rate_distortion(vae, test, draws=8)
    span = 1.0 if data.preprocess.support(data.support).kind == "unit" else 2.0
    jacobian = 784 * math.log(span / 256)
    use = latent_use(vae, test)
    error = reconstruction_error(vae, test)
    row = {
        "squared_error": error,
        "psnr": psnr(error, 784, span),
        "rate": [raw.rate.mean, raw.rate.se_total],
        "distortion": [raw.distortion.mean + jacobian, raw.distortion.se_total],
        "elbo": [raw.elbo.mean - jacobian, raw.elbo.se_total],
        "active": int(use.active.sum()),
        "posterior_sd": float(np.sqrt(_within(vae, test))),
        "aggregate_variance": float(use.means.var(0).mean() + _within(vae, test)),
    }
    if vae.likelihood.scale == 1.0:
        found = calibrate(vae, data, draws=8)
        calibrated = er.evidence.rate_distortion(found.vae, test, draws=8)
        importance = er.evidence.iwae(found.vae, test, draws=256)
        row |= {
            "sigma2": found.value**2,
            "calibrated_elbo": [calibrated.elbo.mean - jacobian, calibrated.elbo.se_total],
            "calibrated_distortion": [calibrated.distortion.mean + jacobian, calibrated.distortion.se_total],
            "calibrated_iwae": [importance.mean - jacobian, importance.se_total],
            "gap_opened": [found.gap_opened.mean, found.gap_opened.se_total],
        }
    return row


@torch.no_grad()
def _within(vae: er.VAE, examples: Any) -> float:
    """Mean over examples and units of the posterior's variance."""
    given, _ = vae.given(examples.batch(), vae.keyed_noise(1, examples.index, 0))
    return float(vae.posterior["z"](given).variance.mean())


def pca(data: Any) -> dict[str, Any]:
    """What PCA of the same size leaves on test, and the eigenvalues that decide what collapses."""
    from sklearn.decomposition import PCA

    def seen(examples: Any) -> np.ndarray:
        noise = er.numerics.keyed_uniform((784,), examples.index, 0)
        return data.preprocess(examples.x, noise)[0].numpy()

    fitted = PCA(LATENTS, svd_solver="covariance_eigh").fit(seen(data.train[:20_000]))
    test = seen(data.test[:TEST])
    left = ((test - fitted.inverse_transform(fitted.transform(test))) ** 2).sum(1).mean()
    return {"squared_error": float(left), "eigenvalues": fitted.explained_variance_.tolist()}


def table() -> None:
    """Print the tables of the README from the records: means over seeds."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path in sorted((HERE / "records").glob("*.json")):
        record = json.loads(path.read_text())
        groups.setdefault((record["data"], record["range"]), []).append(record)
    for (name, values), records in groups.items():
        print(
            f"\n{name}, {values}, {len(records)} seed(s), {records[0]['epochs']} epochs, PCA at d = {LATENTS} leaves "
            f"{records[0]['pca']['squared_error']:.1f}; eigenvalues above 1: "
            f"{sum(e > 1 for e in records[0]['pca']['eigenvalues'])}\n"
        )
        print("| β | squared error | rate | active | σ²* | ELBO at σ = 1 | ELBO at σ* | IWAE-256 at σ* | gap opened |")
        print("|---|---|---|---|---|---|---|---|---|")
        for i, beta in enumerate(BETAS):
            rows = [record["scan"][i] for record in records]
            print(
                f"| {beta:g} | {_mean(rows, 'squared_error'):.1f} | {_mean(rows, 'rate'):.1f} | "
                f"{_mean(rows, 'active'):.0f} | {_mean(rows, 'sigma2'):.4f} | {_mean(rows, 'elbo'):.1f} | "
                f"{_mean(rows, 'calibrated_elbo'):.1f} | {_mean(rows, 'calibrated_iwae'):.1f} | "
                f"{_mean(rows, 'gap_opened'):+.1f} |"
            )
        for i in range(2):
            rows = [record["learned"][i] for record in records]
            print(
                f"| σ {rows[0]['scale']} | {_mean(rows, 'squared_error'):.1f} | {_mean(rows, 'rate'):.1f} | "
                f"{_mean(rows, 'active'):.0f} | {_mean(rows, 'sigma2'):.4f} | – | {_mean(rows, 'elbo'):.1f} | – | – |"
            )


def _mean(rows: list[dict[str, Any]], key: str) -> float:
    found = [row[key][0] if isinstance(row[key], list) else row[key] for row in rows]
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "table"])
    parser.add_argument("--data", choices=["mnist", "fashion-mnist"], default="mnist")
    parser.add_argument("--range", choices=list(WORDS), default="unit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    if arguments.what == "train":
        train(arguments.data, arguments.range, arguments.seed, arguments.epochs)
    else:
        table()


if __name__ == "__main__":
    main()
