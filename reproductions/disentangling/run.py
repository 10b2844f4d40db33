"""Does a larger β disentangle? Scores of β-VAEs on drawn shapes, five seeds each, beside what β costs.

    python reproductions/disentangling/run.py cases --runs DIR                      # every (β, seed) that is not there
    python reproductions/disentangling/run.py cases --runs DIR --beta 4 --seed 0    # one, in a process of its own
    python reproductions/disentangling/run.py tables --runs DIR                     # record, tables, figure

A case takes one thread and leaves DIR/beta-4-seed-0.json, which is not made again.
"""

import argparse
import json
import math
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from shapes import CLASSES, factors, images
from torch import Tensor

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.metrics import dci, factor_vae_score, latent_use, mutual_information_gap, sap
from elbowroom.numerics import in_parts

HERE = Path(__file__).parent
BETAS, SEEDS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0), range(5)
RECIPE = {"latents": 10, "widths": [128, 128], "likelihood": "bernoulli"}
TRAINING: dict[str, Any] = {"epochs": 150, "batch_size": 64, "lr": 1e-3, "lr_final": 1e-4}
DRAWS, TESTED, MIXED = 200, 500, 1_000  # of IWAE; test images; draws from the aggregate posterior
SCORES = {"mig": "MIG", "dci": "DCI, disentanglement", "sap": "SAP", "factor_vae": "FactorVAE score"}
COSTS = {
    "log_p": "test log p(x)",
    "rate": "rate",
    "told": "factors told by all codes",
    "active": "active latents",
    "tc": "total correlation",
    "gaussian_tc": "of a normal alike",
    "off_diagonal": "mean off-diagonal",
}


@cache
def data() -> er.data.Dataset:
    """A part of all images to train on, others to validate and test; the same for every case."""
    return er.load_data(images(), name="shapes", validation=0.1, test=0.2, seed=0)


@cache
def rows() -> NDArray[np.uint8]:
    """All images, flat."""
    return images().reshape(len(factors()), -1)


def name_of(beta: float, seed: int) -> str:
    """What a case is called."""
    return f"beta-{beta:g}-seed-{seed}"


def vae_of(seed: int) -> er.VAE:
    """The model before training."""
    return er.models.build(RECIPE | {"seed": seed}, data())


def case(beta: float, seed: int) -> dict[str, Any]:
    """Train one model and measure it."""
    began, vae = time.perf_counter(), vae_of(seed)
    er.fit(vae, data(), er.objectives.Elbo(beta), seed=seed, progress=False, **TRAINING)
    found = {"beta": beta, "seed": seed, **scores(vae, seed), **costs(vae, seed)}
    found["seconds"] = round(time.perf_counter() - began, 1)
    return found


def scores(vae: er.VAE, seed: int) -> dict[str, float]:
    """Of posterior means of all images, over which the factors are independent; those of idle latents are 0, as their
    last digits would be taken for codes."""
    use, made_of = latent_use(vae, rows()), factors()
    codes = np.where(use.active, use.means, 0.0)
    importances = dci(codes, made_of, seed=seed)
    return {
        "mig": mutual_information_gap(codes, made_of).value,
        "dci": importances.disentanglement,
        "told": importances.informativeness.value,
        "sap": sap(codes, made_of, classes=CLASSES).value,
        "factor_vae": factor_vae_score(codes, made_of, seed=seed).value,
    }


def costs(vae: er.VAE, seed: int) -> dict[str, float]:
    """Nats on test, and how far the aggregate posterior is from independent latents."""
    tested = data().test[:TESTED]
    rate = er.evidence.rate_distortion(vae, tested, seed=seed).rate
    return {
        "log_p": float(er.evidence.iwae(vae, tested, draws=DRAWS, seed=seed).mean),
        "rate": float(rate.mean),
        "active": int(latent_use(vae, tested).active.sum()),
        **dependence(vae, seed),
    }


@torch.no_grad()
def dependence(vae: er.VAE, seed: int) -> dict[str, float]:
    """The aggregate posterior of all images, as the mixture that it is: its density at a draw is exact, and no image
    is left out or counted twice, so that the mean over draws is the total correlation without bias."""
    mean, scale, z = (torch.cat(parts).double() for parts in zip(*posterior(vae, seed), strict=True))
    chosen = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed))[:MIXED]
    gaps = torch.cat([_dependence_at(z[part], mean, scale) for part in chosen.split(50)])
    covariance = torch.cov(mean.T, correction=0) + torch.diag(scale.square().mean(0))
    spread = covariance.diagonal().sqrt()
    apart = covariance - torch.diag(covariance.diagonal())
    return {
        "tc": gaps.mean().item(),
        "tc_error": gaps.std().item() / math.sqrt(len(gaps)),
        "gaussian_tc": -0.5 * torch.logdet(covariance / torch.outer(spread, spread)).item(),
        "off_diagonal": apart.abs().sum().item() / (len(apart) * (len(apart) - 1)),
    }


def posterior(vae: er.VAE, seed: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Mean, scale and a draw of q(z | x) of every image, some at once."""
    found = []
    for part in in_parts(vae.examples(rows())):
        terms = vae(part, vae.keyed_noise(1, part.index, seed))
        q: Any = terms.q["z"]
        found.append((q.mean[0], q.stddev[0], terms.z["z"][0]))
    return found


def _dependence_at(z: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """log q(z) − Σ_j log q(z_j) of the mixture of all posteriors, [n]."""
    each = torch.distributions.Normal(mean, scale).log_prob(z[:, None])
    return each.sum(-1).logsumexp(1) - each.logsumexp(1).sum(-1) + (z.shape[1] - 1) * math.log(len(mean))


def cases(runs: Path, betas: tuple[float, ...], seeds: tuple[int, ...]) -> None:
    """Make what is not there."""
    from canaries import steps
    from canary import into

    runs.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for beta in betas:
            path = runs / f"{name_of(beta, seed)}.json"
            if not path.exists():
                found = case(beta, seed)
                into(found, name_of(beta, seed), steps(beta, seed))
                write_atomic(path, json.dumps(found, indent=1) + "\n")
                print(f"{path.name}: {found['seconds']} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["cases", "tables"])
    parser.add_argument("--runs", type=Path, default=Path("runs/disentangling"))
    parser.add_argument("--beta", type=float, choices=BETAS, help="this one alone")
    parser.add_argument("--seed", type=int, choices=SEEDS, help="this one alone")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "tables":
        from tables import gather

        gather(asked.runs)
        return
    betas, seeds = asked.beta and (asked.beta,), None if asked.seed is None else (asked.seed,)
    cases(asked.runs, betas or BETAS, seeds or tuple(SEEDS))


if __name__ == "__main__":
    main()
