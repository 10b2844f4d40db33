"""The naive Monte-Carlo estimate of log p(x) as an objective, beside the ELBO: test log p(x) against its draws.

    python reproductions/prior_sampling/run.py            # record.json, table, figure; rows that are there stay
    python reproductions/prior_sampling/run.py --draw     # the table and the figure alone

Data are drawn from linear-Gaussian models of d = 1, 2, 5 and 20 latents, each with 8 times the variance of the noise,
and a linear VAE is trained on them in equal steps: its log p(x) is exact, and so is the best one, probabilistic PCA's.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from torch import nn

import elbowroom as er
from elbowroom.objectives import Elbo, Objective, PriorSampling
from elbowroom.plots import Series, lines

HERE = Path(__file__).parent
RECORD = HERE / "record.json"
SEEDS = range(3)
LATENTS = (1, 2, 5, 20)
DRAWS = (10, 100, 1_000, 10_000)
SIGNAL, TRAIN, TEST = 8.0, 400, 1_000
SETTINGS: dict[str, Any] = {"batch_size": 10, "lr": 3e-2, "lr_final": 1e-3}
EPOCHS = 10


def features(d: int) -> int:
    """How many numbers a row of d latents has."""
    return 2 * d + 2


def drawn(d: int, seed: int) -> er.data.Dataset:
    """Rows of 2 d + 2 numbers: d orthogonal directions of variance 8 over noise of variance 1."""
    rng = np.random.default_rng([seed, d])
    directions = np.linalg.qr(rng.normal(size=(features(d), d)))[0] * np.sqrt(SIGNAL)
    n = TRAIN + TEST + 5
    x = rng.normal(size=(n, d)) @ directions.T + rng.normal(size=(n, features(d)))
    return er.load_data(x, validation=5, test=TEST, seed=seed, preprocess="none", support="real")


def model(d: int, seed: int) -> er.VAE:
    """Linear encoder and decoder, one learned scale."""
    torch.manual_seed(seed)
    decoder, encoder = nn.Linear(d, features(d)), nn.Linear(features(d), 2 * d)
    likelihood = er.likelihoods.Normal(decoder, features(d), scale="shared")
    return er.VAE(er.priors.StandardNormal(d), er.posteriors.DiagonalNormal(encoder, d), likelihood)


def objective(draws: int | None) -> Objective:
    """The ELBO where no draws of the prior are named."""
    return Elbo() if draws is None else PriorSampling(draws=draws)


def rows() -> dict[str, tuple[int, int | None, int]]:
    """Latents, draws and seed by the name of the row."""
    ways = [(d, k, s) for k in (None, *DRAWS) for s in SEEDS for d in LATENTS]
    return {f"d = {d}, {'ELBO' if k is None else f'K = {k}'}, seed {s}": (d, k, s) for d, k, s in ways}


def measured(d: int, draws: int | None, seed: int) -> dict[str, float]:
    """Exact test log p(x) of what was trained, and of probabilistic PCA fitted to the same rows."""
    data, vae = drawn(d, seed), model(d, seed)
    er.fit(vae, data, objective(draws), epochs=EPOCHS, select="last", seed=seed, progress=False, **SETTINGS)
    best = er.exact.ProbabilisticPCA.fit(data.train.batch().x.double().numpy(), d)
    return {
        "test": float(er.exact.LinearVAE(vae).log_prob(data.test).mean()),
        "pca": float(best.log_prob(data.test.batch().x.double()).mean()),
    }


def below(record: dict[str, Any], d: int, draws: int | None) -> tuple[float, float]:
    """How far log p(x) is below that of probabilistic PCA, nats per example, and the standard error over seeds."""
    found = [record[name] for name, (of, k, _) in rows().items() if (of, k) == (d, draws) and name in record]
    gap = np.array([one["test"] - one["pca"] for one in found])
    if len(gap) < 2:
        return float(gap.mean()) if len(gap) else float("nan"), float("nan")
    return float(gap.mean()), float(gap.std(ddof=1) / np.sqrt(len(gap)))


def cell(record: dict[str, Any], d: int, draws: int | None) -> str:
    """The difference and its error; one seed has none, and what is not trained yet a dash."""
    mean, error = below(record, d, draws)
    return "–" if np.isnan(mean) else f"{mean:.2f}" + ("" if np.isnan(error) else f" ± {error:.2f}")


def table(record: dict[str, Any]) -> str:
    """Markdown: by latents, the difference from probabilistic PCA for every number of draws and for the ELBO."""
    ways = (*DRAWS, None)
    head = " | ".join("ELBO" if k is None else f"K = {k:,}" for k in ways)
    found = [f"| d | I(x; z) | {head} |", "|---" * (len(ways) + 2) + "|"]
    for d in LATENTS:
        cells = [cell(record, d, k) for k in ways]
        found.append(f"| {d} | {0.5 * d * np.log(1 + SIGNAL):.1f} | {' | '.join(cells)} |".replace("-", "−"))
    return "\n".join([found[0], found[1].replace("−", "-"), *found[2:]])


def draw(record: dict[str, Any]) -> None:
    """figure.svg: how far each is below probabilistic PCA, against the draws; the ELBO as a level line."""
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(LATENTS), figsize=(15, 3.4), layout="constrained")
    for axis, d in zip(axes, LATENTS, strict=True):
        ks = [k for k in DRAWS if np.isfinite(below(record, d, k)[1])]
        naive = [below(record, d, k) for k in ks]
        elbo = below(record, d, None)
        series = [
            Series("draws of the prior", ks, [v for v, _ in naive], [e for _, e in naive]),
            Series("ELBO", [DRAWS[0], DRAWS[-1]], [elbo[0]] * 2, [elbo[1]] * 2),
        ]
        lines(series, across=f"draws K, d = {d}", up="test log p − PCA's (nats)", log_x=True, ax=axis)
    figure.savefig(HERE / "figure.svg", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="only the table and the figure")
    torch.set_num_threads(1)
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if not parser.parse_args().draw:
        from canaries import canaries
        from canary import fill

        record = fill(RECORD, rows(), measured, canaries)
    print(table(record))
    draw(record)


if __name__ == "__main__":
    main()
