"""The forum's puzzle on discrete tables, and on the linear VAE of scikit-learn's digits: what likelihood says about z.

python reproductions/tables/run.py      # seconds; writes record.json and prints the tables of docs/forum_puzzle.md
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.exact import ProbabilisticPCA, Table, active_at, linear_elbo, optimal_encoder, train_tables

HERE = Path(__file__).parent
X_VALUES, Z_VALUES, STARTS = 6, 8, 5
BETAS = (0.9, 0.99, 1.0, 1.01, 1.1)


def starts() -> Table:
    """Five encoders, from nearly blind to nearly one z per x, each with the prior and decoder that suit it best."""
    generator = torch.Generator().manual_seed(0)
    pop = torch.rand(X_VALUES, generator=generator, dtype=torch.float64).softmax(0)
    logits = torch.randn(STARTS, X_VALUES, Z_VALUES, generator=generator, dtype=torch.float64)
    sharpness = torch.tensor([0.2, 0.5, 1.0, 2.0, 4.0], dtype=torch.float64)
    return Table.optimal(pop, (sharpness[:, None, None] * logits).softmax(-1))


def free_tables(start: Table) -> dict[str, Any]:
    """Information and −ELBO after training all three tables with each weight β."""
    found = {}
    for beta in BETAS:
        trained = train_tables(start, beta, steps=1500)
        found[str(beta)] = {
            "information": trained.information.tolist(),
            "negative_elbo": trained.objective().tolist(),
        }
    return found


def shared_tables(start: Table) -> list[dict[str, Any]]:
    """What a decoder of each rank loses at the starting q, and where it ends when q may move."""
    rows = []
    for rank in range(X_VALUES):
        fixed = train_tables(start, rank=rank, fixed_posterior=True, steps=1000)
        moved = train_tables(start, rank=rank, steps=1500)
        below = train_tables(start, 0.99, rank=rank, steps=1500)
        rows.append(
            {
                "rank": rank,
                "gap_at_fixed_q": fixed.conditional_gap.tolist(),
                "gap_with_free_q": (moved.objective() - moved.entropy).tolist(),
                "information_with_free_q": moved.information.tolist(),
                "information_at_0.99": below.information.tolist(),
            }
        )
    return rows


def linear_vae(d: int = 10) -> dict[str, Any]:
    """The best linear VAE of the dequantised digits at several fixed σ²: units in use and mean log p, in nats."""
    digits = er.load_data("digits")
    noise = er.numerics.keyed_uniform((64,), digits.train.index, 0)
    rows = digits.preprocess(digits.train.x, noise)[0].double().numpy()
    covariance = torch.tensor(np.cov(rows.T, bias=True))
    values, vectors = (part.flip(-1) for part in torch.linalg.eigh(covariance))
    learned = float(values[d:].mean())
    found = {}
    for name, variance in {"1": 1.0, "0.3": 0.3, "0.1": 0.1, "0.03": 0.03, "learned": learned}.items():
        weights = vectors[:, :d] * (values[:d] - variance).clamp_min(0).sqrt()
        elbo = linear_elbo(covariance, weights, *optimal_encoder(weights, variance), variance)
        found[name] = {
            "noise_variance": variance,
            "active": active_at(values, variance, latents=d),
            "log_p": float(elbo),
        }
    exact = float(ProbabilisticPCA.fit(rows, d).log_prob(rows).mean())
    return {"latents": d, "greatest_eigenvalue": float(values[0]), "at": found, "pca_log_p": exact}


def main() -> None:
    from canaries import canaries
    from canary import keep

    start = starts()
    record = {
        "entropy": float(start.entropy),
        "start": {"information": start.information.tolist(), "negative_elbo": start.objective().tolist()},
        "free": free_tables(start),
        "shared": shared_tables(start),
        "linear": linear_vae(),
    }
    write_atomic(HERE / "record.json", json.dumps(record, indent=1) + "\n")
    keep(HERE / "record.json", canaries())
    show(record)


def show(record: dict[str, Any]) -> None:
    """Print the record as the tables of the page."""

    def line(name: object, values: list[float]) -> str:
        return f"| {name} | " + " | ".join(f"{abs(value):.3f}" for value in values) + " |"

    print(f"H(x) = {record['entropy']:.4f} nats\n\n| I(x; z) | " + " | ".join("abcde") + " |")
    print(line("start", record["start"]["information"]))
    for beta in BETAS:
        print(line(f"β = {beta}", record["free"][str(beta)]["information"]))
    worst = max(abs(value - record["entropy"]) for row in record["free"].values() for value in row["negative_elbo"])
    print(f"\n−ELBO differs from H(x) by {worst:.1e} at most\n")
    for row in record["shared"]:
        print(line(f"rank {row['rank']}: gap at fixed q", row["gap_at_fixed_q"]))
        print(line(f"rank {row['rank']}: gap with q free", row["gap_with_free_q"]))
        print(line(f"rank {row['rank']}: I with q free", row["information_with_free_q"]))
        print(line(f"rank {row['rank']}: I at β = 0.99", row["information_at_0.99"]))
    print("\n" + json.dumps(record["linear"], indent=1))


if __name__ == "__main__":
    main()
