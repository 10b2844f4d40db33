"""Figure 3a of Alemi et al. 2018 on static MNIST: rate and distortion over β, by decoder and by prior.

    python reproductions/broken_elbo/run.py train --runs FOLDER [--only FAMILY] [--seed 0]    # FOLDER/FAMILY-seed.json
    python reproductions/broken_elbo/run.py sandwich --runs FOLDER      # of the best model: how large H can be
    python reproductions/broken_elbo/run.py tables [--runs FOLDER]      # record.json, the README's table, figure.svg

A family is a decoder and a prior; its models differ in β alone. All go on where they were stopped.
"""

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

import elbowroom as er
from elbowroom.atomic import write_atomic

HERE = Path(__file__).parent
BETAS = {
    "simple, normal": (1.0, 0.1, 10.0, 0.5, 2.0, 0.0),
    "simple, VampPrior": (1.0, 0.1, 10.0, 0.5, 2.0),
    "autoregressive, normal": (1.0, 0.1, 10.0, 0.5, 2.0, 0.0),
    "autoregressive, VampPrior": (1.0, 0.1, 10.0),
}
"""By family, in the order of training; at β = 0 no prior is trained, so that it is tried with one."""

DECODERS: dict[str, Any] = {
    "simple": "bernoulli",
    "autoregressive": {
        "kind": "autoregressive",
        "family": "bernoulli",
        "image_shape": [28, 28],
        "radius": 2,
        "hidden": 16,
    },
}
PRIORS: dict[str, Any] = {"normal": "standard-normal", "VampPrior": {"kind": "vamp-prior", "pseudo_inputs": 100}}
EPOCHS, LR, VALIDATION = 3, 2e-3, 1_000  # 500 steps an epoch; images by which the best epoch is told
TEST, DRAWS = 1_000, 16
BOUNDED, IWAE_DRAWS = 200, 100
SANDWICHED, ANNEALING = 20, {"temperatures": 100, "leapfrog": 5, "chains": 8}


def recipe(family: str, seed: int) -> er.models.Recipe:
    """What the models of a family have in common."""
    decoder, prior = family.split(", ")
    return er.models.Recipe(likelihood=DECODERS[decoder], prior=PRIORS[prior], latents=16, widths=(200,), seed=seed)


def data_at_hand() -> Any:
    """Static MNIST with fewer images for validation, on which nothing is reported."""
    data = copy.copy(er.load_data("binarized-mnist", progress=False))
    data.validation = data.validation[:VALIDATION]
    return data


def tested(data: Any, n: int) -> Any:
    """The first n test images of a seeded order."""
    return data.test[torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))[:n]]


def train(family: str, seed: int, runs: Path) -> None:
    """Train the models of a family, or go on; then measure each on test images, or go on."""
    from canaries import row, steps
    from canary import begin

    data, folder = data_at_hand(), runs / f"{family.replace(', ', '-')}-{seed}"
    began = begin(folder, recipe(family, seed).to_dict(), lambda: steps(family, seed))
    settings: dict[str, Any] = {"epochs": EPOCHS, "batch_size": 100, "lr": LR, "draws": 2, "processes": 1}
    going_on = (folder / "sweep.json").exists()
    swept = er.sweep(recipe(family, seed), data, {"beta": BETAS[family]}, runs=folder, resume=going_on, **settings)
    path = folder.with_suffix(".json")
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"canary": {row(family, seed): began}}
    for one in swept:
        if one.label not in found:
            found[one.label] = measured(one, data)
            write_atomic(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
            print(family, one.label, mean(found[one.label]["rate"]), mean(found[one.label]["distortion"]), flush=True)


def measured(one: Any, data: Any) -> dict[str, Any]:
    """Values and Monte-Carlo variances of every test image, so that models can be compared image by image."""
    rate, distortion, elbo = er.evidence.rate_distortion(one.vae, tested(data, TEST), draws=DRAWS)
    iwae = er.evidence.iwae(one.vae, tested(data, BOUNDED), draws=IWAE_DRAWS)
    found: dict[str, Any] = {"beta": one.settings["beta"], "active": one.active, "epoch": one.history.best_epoch}
    by_image = {"rate": rate, "distortion": distortion, "elbo": elbo, "iwae": iwae}
    return found | {what: [e.values.tolist(), e.mc_variance.tolist()] for what, e in by_image.items()}


def mean(by_image: Any) -> list[float]:
    """Mean over images, its error from images and draws together, and from draws alone."""
    values, variance = np.array(by_image)
    draws = np.sum(variance) / len(values) ** 2
    return [float(np.mean(values)), float(np.sqrt(np.var(values, ddof=1) / len(values) + draws)), float(np.sqrt(draws))]


def sandwich(runs: Path) -> None:
    """−log p(x) of the model with the best bound, from above and, if its chains mix, from below."""
    from elbowroom.runs import read_run

    (family, seed, label), row = max(rows_of(runs).items(), key=lambda item: mean(item[1]["iwae"])[0])
    name = f"beta-{row['beta']:g}"
    vae, _ = read_run(runs / f"{family.replace(', ', '-')}-{seed}" / name)
    images = tested(data_at_hand(), SANDWICHED)
    lower = er.evidence.ais(vae, images, progress=True, **ANNEALING)
    upper = er.evidence.reverse_ais(vae, images, progress=True, **ANNEALING)
    iwae = er.evidence.iwae(vae, images, draws=IWAE_DRAWS)
    bounds = {"IWAE": iwae, "AIS": lower, "reverse AIS": upper}
    found: dict[str, Any] = {"model": f"{family}, {label}", "images": SANDWICHED}
    found |= {what: [e.mean, e.se_total, e.se_mc] for what, e in bounds.items()}
    found["reverse AIS − IWAE"] = [(upper - iwae).mean, (upper - iwae).se_total]
    write_atomic(runs / "sandwich.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(found)


def rows_of(runs: Path) -> dict[tuple[str, int, str], dict[str, Any]]:
    """What was measured, by family, seed and β."""
    found = {}
    for family in BETAS:
        for path in sorted(runs.glob(f"{family.replace(', ', '-')}-?.json")):
            for label, row in json.loads(path.read_text(encoding="utf-8")).items():
                if label != "canary":
                    found[family, int(path.stem[-1]), label] = row
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "sandwich"))
    parser.add_argument("--only", choices=BETAS, help="one family; else all, one after another")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, default=Path("runs/broken_elbo"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "train":
        for family in [asked.only] if asked.only else list(BETAS):
            train(family, asked.seed, asked.runs)
    else:
        sandwich(asked.runs)
