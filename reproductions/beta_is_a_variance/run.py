"""β is a variance: Gaussian VAEs trained at σ = 1 over a scan of β, measured raw and with the noise calibrated.

    python reproductions/beta_is_a_variance/run.py train --data mnist --range unit --seed 0      # one stack of models
    python reproductions/beta_is_a_variance/run.py table                                         # the tables
    python reproductions/beta_is_a_variance/run.py figure                                        # figure.svg

One record per (data, range, seed) in records/; one that carries a canary is not made again. Training is kept in run
folders (--runs, outside the repository) and goes on from there when it was interrupted; a model is measured once.
Folders that another recipe or other code has begun are refused, unless --take-up is given: then the record carries no
canary.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure

import elbowroom as er
from elbowroom.metrics import latent_use, psnr, reconstruction_error
from elbowroom.plots import Series, lines
from elbowroom.remedies import calibrate

HERE = Path(__file__).parent
BETAS = (0.0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
LATENTS = 20
TEST = 2_000
WORDS = {"unit": "dequantise", "symmetric": "dequantise-symmetric"}


def model(data: Any, scale: float | str, seed: int) -> er.VAE:
    """D-256-256-20, the noise fixed at 1 or learned."""
    torch.manual_seed(seed)
    size = math.prod(data.event)
    return er.VAE(
        er.priors.StandardNormal(LATENTS),
        er.posteriors.DiagonalNormal(er.networks.MLP([size, 256, 256, 2 * LATENTS]), LATENTS),
        er.likelihoods.Normal(er.networks.MLP([LATENTS, 256, 256, size]), size, scale=scale),
        preprocess=data.preprocess,
    )


def train(name: str, values: str, seed: int, epochs: int, runs: Path, take_up: bool) -> None:
    """Train the scan (stacked) and the two models that find σ by themselves, and write the record."""
    from canaries import of_record, scan
    from canary import begin, carried, keep

    record = HERE / "records" / f"{name}-{values}-{seed}.json"
    if record.exists() and carried(record):
        print(f"{record.name} is there already")
        return
    recipe = {"data": name, "range": values, "seed": seed, "epochs": epochs}
    began = begin(runs / f"{name}-{values}-{seed}", recipe, lambda: scan(name, values, seed), take_up)
    start = time.process_time()
    data = er.load_data(name, preprocess=WORDS[values], validation=None if name == "digits" else 2_000)
    settings = {"epochs": epochs, "batch_size": 100, "seed": seed}
    kept = runs / f"{name}-{values}-{seed}"
    stack = [model(data, 1.0, seed) for _ in BETAS]
    folders = [kept / f"beta-{beta:g}" for beta in BETAS]
    if not all((folder / "measured.json").exists() for folder in folders):
        resume = all(folder.exists() for folder in folders)
        objectives = [er.objectives.Elbo(beta) for beta in BETAS]
        er.fit_stacked(stack, data, objectives, runs=folders, resume=resume, **settings)
    rows = [once(folder, vae, data) | {"beta": beta} for folder, vae, beta in zip(folders, stack, BETAS, strict=True)]
    learned = []
    for scale in ("shared", "optimal"):
        vae, folder = model(data, scale, seed), kept / scale
        if not (folder / "measured.json").exists():
            er.fit(vae, data, er.objectives.Elbo(), run=folder, resume=folder.exists(), **settings)
        learned.append(once(folder, vae, data) | {"scale": scale})
    record.parent.mkdir(exist_ok=True)
    record.write_text(
        json.dumps(
            {
                "data": name,
                "range": values,
                "seed": seed,
                "epochs": epochs,
                "test_examples": min(TEST, len(data.test)),
                "scan": rows,
                "learned": learned,
                "pca": pca(data),
                "cpu_seconds": time.process_time() - start,
                "torch": torch.__version__,
            },
            indent=1,
        )
        + "\n"
    )
    if began is not None:
        keep(record, of_record(record))


def once(folder: Path, vae: er.VAE, data: Any) -> dict[str, Any]:
    """The model's held-out figures, measured the first time they are asked for."""
    path = folder / "measured.json"
    if not path.exists():
        path.write_text(json.dumps(measure(vae, data)))
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def measure(vae: er.VAE, data: Any) -> dict[str, Any]:
    """Held-out figures of one model, raw and calibrated, nats per example on the network's scale."""
    test = data.test[:TEST]
    raw = er.evidence.rate_distortion(vae, test, draws=8)
    span = 1.0 if data.preprocess.support(data.support).kind == "unit" else 2.0
    size = math.prod(data.event)
    jacobian = size * math.log(span / data.levels)
    use = latent_use(vae, test)
    error = reconstruction_error(vae, test)
    row = {
        "squared_error": error,
        "psnr": psnr(error, size, span=span),
        "rate": [raw.rate.mean, raw.rate.se_total],
        "distortion": [raw.distortion.mean + jacobian, raw.distortion.se_total],
        "elbo": [raw.elbo.mean - jacobian, raw.elbo.se_total],
        "active": int(use.active.sum()),
        "posterior_sd": float(np.sqrt(_within(vae, test))),
        "aggregate_variance": float(use.means.var(0).mean() + _within(vae, test)),
    }
    if vae.likelihood.scale != 1.0:
        row["sigma2"] = float(vae.likelihood.common_scale()) ** 2
    else:
        found = calibrate(vae, data, draws=64)
        calibrated = er.evidence.rate_distortion(found.vae, test, draws=8)
        importance = er.evidence.iwae(found.vae, test, draws=128)
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
        noise = er.numerics.keyed_uniform(data.event, examples.index, 0)
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
        columns = ("β", "squared error", "dB", "rate", "active", "σ²*")
        bounds = ("ELBO at σ = 1", "ELBO at σ*", "IWAE-128 at σ*", "gap opened")
        print(f"| {' | '.join(columns + bounds)} |")
        print("|---|---|---|---|---|---|---|---|---|---|")
        for i, beta in enumerate(BETAS):
            rows = [record["scan"][i] for record in records]
            print(
                f"| {beta:g} | {_mean(rows, 'squared_error'):.1f} | {_mean(rows, 'psnr'):.1f} | "
                f"{_mean(rows, 'rate'):.1f} | "
                f"{_mean(rows, 'active'):.0f} | {_mean(rows, 'sigma2'):.4f} | {_mean(rows, 'elbo'):.1f} | "
                f"{_mean(rows, 'calibrated_elbo'):.1f} | {_mean(rows, 'calibrated_iwae'):.1f} | "
                f"{_mean(rows, 'gap_opened'):+.1f} |"
            )
        for i in range(2):
            rows = [record["learned"][i] for record in records]
            print(
                f"| σ {rows[0]['scale']} | {_mean(rows, 'squared_error'):.1f} | {_mean(rows, 'psnr'):.1f} | "
                f"{_mean(rows, 'rate'):.1f} | "
                f"{_mean(rows, 'active'):.0f} | {_mean(rows, 'sigma2'):.4f} | – | {_mean(rows, 'elbo'):.1f} | – | – |"
            )
        print("\n" + _winners(records))


def _winners(records: list[dict[str, Any]]) -> str:
    """Which β wins the scan at σ = 1, which after calibration, and where the learned σ stands."""
    scan = [[record["scan"][i] for record in records] for i in range(len(BETAS))]
    raw = max(range(len(BETAS)), key=lambda i: _mean(scan[i], "elbo"))
    calibrated = max(range(len(BETAS)), key=lambda i: _mean(scan[i], "calibrated_elbo"))
    return (
        f"At σ = 1, β = {BETAS[raw]:g} wins with {_mean(scan[raw], 'active'):.0f} of {LATENTS} units active and a rate "
        f"of {_mean(scan[raw], 'rate'):.2f} nats. Calibrated, β = {BETAS[calibrated]:g} wins, whose σ²* is "
        f"{_mean(scan[calibrated], 'sigma2'):.4f}; scale='optimal' and 'shared' stop at σ² = "
        f"{_mean([r['learned'][1] for r in records], 'sigma2'):.4f} and "
        f"{_mean([r['learned'][0] for r in records], 'sigma2'):.4f}."
    )


def figure() -> None:
    """Bounds over β and the rate–distortion plane, raw and calibrated: MNIST in [0, 1], means over seeds."""
    paths = sorted((HERE / "records").glob("mnist-unit-*.json"))
    records = [json.loads(path.read_text()) for path in paths]
    scan = [[record["scan"][i] for record in records] for i in range(1, len(BETAS))]  # β = 0 has no logarithm
    optimal = [record["learned"][1] for record in records]
    fixed = [_mean(optimal, "sigma2")], [_mean(optimal, "elbo")]
    betas = list(BETAS[1:])

    def line(name: str, key: str, look: Any = "line") -> Series:
        return Series(name, betas, [_mean(rows, key) for rows in scan], [_spread(rows, key) for rows in scan], look)

    def plane(name: str, key: str) -> Series:
        rows = [*scan, [record["scan"][0] for record in records]]
        return Series(name, [_mean(r, "rate") for r in rows], [_mean(r, key) for r in rows], look="points")

    sheet = Figure(figsize=(14.3, 4.6), layout="constrained")
    bound, calibrated, both = sheet.subplots(1, 3)
    lines([line("σ = 1, as trained", "elbo")], across="β", up="test ELBO at σ = 1, nats", log_x=True, ax=bound)
    lines([line("calibrated to σ*", "calibrated_elbo"), Series("σ learned, β = 1", *fixed, look="points")],
          across="β; the learned σ stands at β = σ²", up="test ELBO at σ*, nats", log_x=True,
          ax=calibrated)  # fmt: skip
    lines([plane("σ = 1", "distortion"), plane("σ*", "calibrated_distortion")],
          across="rate, nats", up="distortion, nats", ax=both)  # fmt: skip
    with matplotlib.rc_context({"svg.hashsalt": "beta", "svg.fonttype": "none"}):
        sheet.savefig(HERE / "figure.svg", metadata={"Date": None})


def _spread(rows: list[dict[str, Any]], key: str) -> float:
    """Standard error of the mean over seeds; that over test points is the same for all and is in the records."""
    found = [row[key][0] for row in rows]
    return float(np.std(found, ddof=1) / math.sqrt(len(found))) if len(found) > 1 else 0.0


def _mean(rows: list[dict[str, Any]], key: str) -> float:
    found = [row[key][0] if isinstance(row[key], list) else row[key] for row in rows]
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "table", "figure"])
    parser.add_argument("--data", choices=["mnist", "fashion-mnist", "digits"], default="mnist")
    parser.add_argument("--range", choices=list(WORDS), default="unit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--runs", type=Path, default=Path("runs/beta_is_a_variance"))
    parser.add_argument("--take-up", action="store_true", help="go on with folders that were begun otherwise")
    arguments = parser.parse_args()
    if arguments.what == "train":
        train(arguments.data, arguments.range, arguments.seed, arguments.epochs, arguments.runs, arguments.take_up)
    elif arguments.what == "table":
        table()
    else:
        figure()


if __name__ == "__main__":
    main()
