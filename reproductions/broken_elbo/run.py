"""Figure 3a of Alemi et al. 2018 on static MNIST: rate and distortion over β, by decoder and by prior.

    python reproductions/broken_elbo/run.py train --runs FOLDER [--only FAMILY] [--device cuda]
    python reproductions/broken_elbo/run.py sandwich --runs FOLDER      # of the best model: how large H can be
    python reproductions/broken_elbo/run.py tables [--runs FOLDER]      # record.json, the README's table, figure.svg

A family is a decoder and a prior; its models differ in β alone. All go on where they were stopped.
"""

import argparse
import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.numerics import with_error
from elbowroom.plots import Model, Value
from elbowroom.plots.style import Sheet

HERE = Path(__file__).parent
BETAS = {
    "simple, normal": (1.0, 0.1, 10.0, 0.5, 2.0, 0.0),
    "simple, VampPrior": (1.0, 0.1, 10.0, 0.5, 2.0),
    "autoregressive, normal": (1.0, 0.1, 10.0, 0.5, 2.0, 0.0),
    "autoregressive, VampPrior": (1.0, 0.1, 10.0, 0.5, 2.0),
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
EPOCHS, LR, LR_FINAL, VALIDATION = 30, 2e-3, 2e-4, 1_000  # 500 steps an epoch; images that tell the best epoch
TEST, DRAWS = 1_000, 16
BOUNDED, IWAE_DRAWS = 1_000, 100
SANDWICHED, ANNEALING = 10, {"temperatures": 60, "leapfrog": 3, "chains": 6, "warm_up": 40}


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


def train(family: str, seed: int, runs: Path, betas: Sequence[float], device: str) -> None:
    """Train the models of a family, or go on, and measure each on test images."""
    from canaries import row, steps

    path, data = runs / f"{stem(family)}-{seed}.json", data_at_hand()
    if device != "cpu":
        together(family, seed, betas, data, runs, device)
    for beta in betas:
        one(family, seed, beta, data, runs, device)
    found = {"canary": {row(family, seed): steps(family, seed)}}
    for beta in BETAS[family]:
        if (each := part(family, seed, beta, runs)).exists():
            found |= json.loads(each.read_text(encoding="utf-8"))
    write_atomic(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def stem(family: str) -> str:
    """A family in the name of a file."""
    return family.replace(", ", "-")


def part(family: str, seed: int, beta: float, runs: Path) -> Path:
    """What is measured of one model."""
    return runs / f"{stem(family)}-{seed}" / f"beta-{beta:g}.json"


SETTINGS: dict[str, Any] = {"epochs": EPOCHS, "batch_size": 100, "lr": LR, "lr_final": LR_FINAL, "progress": False}


def together(family: str, seed: int, betas: Sequence[float], data: Any, runs: Path, device: str) -> None:
    """Train the models of a family as one."""
    folders = {beta: part(family, seed, beta, runs).with_suffix("") for beta in betas}
    folders = {beta: run for beta, run in folders.items() if not (run / "summary.json").exists()}
    words = [recipe(family, seed).where(beta=beta) for beta in folders]
    vaes, goals = [er.models.build(one, data) for one in words], [er.models.goal(one) for one in words]
    going_on = all((run / "recipe.yaml").exists() for run in folders.values())
    if folders:
        settings = SETTINGS | {"runs": list(folders.values()), "resume": going_on, "device": device}
        er.fit_stacked(vaes, data, goals, seed=seed, **settings)


def one(family: str, seed: int, beta: float, data: Any, runs: Path, device: str) -> None:
    """Train a model, or go on, and measure it, if that is not done: models of a family can be made side by side."""
    path, run = part(family, seed, beta, runs), part(family, seed, beta, runs).with_suffix("")
    if path.exists():
        return
    words = recipe(family, seed).where(beta=beta)
    if not (run / "summary.json").exists():
        vae, goal = er.models.build(words, data), er.models.goal(words)
        er.fit(vae, data, goal, **SETTINGS, seed=seed, run=run, resume=(run / "recipe.yaml").exists(), device=device)
    vae, history = er.runs.read_run(run)
    made_on = f"{torch.cuda.get_device_name() if device == 'cuda' else device}, torch {torch.__version__}"
    found = measured(vae.to(device), data) | {"beta": beta, "epoch": history.best_epoch, "made on": made_on}
    write_atomic(path, json.dumps({er.models.label({"beta": beta}): found}, indent=1, ensure_ascii=False) + "\n")
    print(family, beta, mean(found["rate"]), mean(found["distortion"]), flush=True)


def measured(vae: er.VAE, data: Any) -> dict[str, Any]:
    """Values and Monte-Carlo variances of every test image, so that models can be compared image by image."""
    rate, distortion, elbo = er.evidence.rate_distortion(vae, tested(data, TEST), draws=DRAWS)
    iwae = er.evidence.iwae(vae, tested(data, BOUNDED), draws=IWAE_DRAWS)
    found: dict[str, Any] = {"active": int(er.metrics.latent_use(vae, data.validation).active.sum())}
    by_image = {"rate": rate, "distortion": distortion, "elbo": elbo, "iwae": iwae}
    return found | {what: [e.values.tolist(), e.mc_variance.tolist()] for what, e in by_image.items()}


def mean(by_image: Any) -> list[float]:
    """Mean over images, its error from images and draws together, and from draws alone."""
    values, variance = np.array(by_image)
    draws = np.sum(variance) / len(values) ** 2
    return [float(np.mean(values)), float(np.sqrt(np.var(values, ddof=1) / len(values) + draws)), float(np.sqrt(draws))]


def sandwich(runs: Path) -> None:
    """log p(x) of the model with the best bound, from below and, if its chains mix, from above."""
    (family, seed, label), row = max(rows_of(runs).items(), key=lambda item: mean(item[1]["iwae"])[0])
    vae, _ = er.runs.read_run(runs / f"{stem(family)}-{seed}" / f"beta-{row['beta']:g}")
    images = tested(data_at_hand(), SANDWICHED)
    ends = er.evidence.reverse_ais(vae, images, progress=True, **ANNEALING)
    iwae = er.evidence.iwae(vae, images, draws=IWAE_DRAWS)
    bounds = {"IWAE": iwae, "AIS": ends.lower, "reverse AIS": ends.upper, "reverse AIS − AIS": ends.gap}
    found: dict[str, Any] = {"model": f"{family}, {label}", "images": SANDWICHED, "settings": ANNEALING}
    found |= {what: [e.mean, e.se_total, e.se_mc] for what, e in bounds.items()}
    found["warnings"] = [*ends.lower.warnings, *ends.upper.warnings]
    write_atomic(runs / "sandwich.json", json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(found)


def rows_of(runs: Path) -> dict[tuple[str, int, str], dict[str, Any]]:
    """What was measured, by family, seed and β."""
    found = {}
    for family in BETAS:
        for path in sorted(runs.glob(f"{stem(family)}-?.json")):
            for label, row in json.loads(path.read_text(encoding="utf-8")).items():
                if label != "canary":
                    found[family, int(path.stem[-1]), label] = row
    return found


def gathered(runs: Path) -> dict[str, Any]:
    """The record: rate, distortion and bounds of every model, and its ELBO less the plainest's at the same β."""
    found, record = rows_of(runs), {"canary": {}}
    for path in sorted(runs.glob("*-?.json")):
        record["canary"] |= json.loads(path.read_text(encoding="utf-8"))["canary"]
    for (family, seed, label), row in sorted(found.items(), key=lambda item: (*item[0][:2], item[1]["beta"])):
        one: dict[str, Any] = {"family": family, "seed": seed} | {
            n: row[n] for n in ("beta", "active", "epoch", "made on")
        }
        one |= {what: mean(row[what]) for what in ("rate", "distortion", "elbo", "iwae")}
        plain = found.get(("simple, normal", seed, label))
        if plain is not None and family != "simple, normal":
            (values, variance), (others, theirs) = np.array(row["elbo"]), np.array(plain["elbo"])
            one["over the simple one"] = mean([values - others, variance + theirs])
        record[f"{family}, seed {seed}, {label}"] = one
    path = runs / "sandwich.json"
    return record | ({"sandwich": json.loads(path.read_text(encoding="utf-8"))} if path.exists() else {})


def models_of(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The rows of models."""
    return {name: row for name, row in record.items() if name not in ("canary", "sandwich")}


def lines_of(record: dict[str, Any]) -> Iterator[str]:
    """The README's table."""
    heads = ("decoder", "prior", "β", "rate R", "distortion D", "R + D = −ELBO", "−IWAE-100", "ELBO won", "active")
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for row in models_of(record).values():
        minus = {what: [-row[what][0], *row[what][1:]] for what in ("elbo", "iwae")}
        won = said(row["over the simple one"]) if "over the simple one" in row else "–"
        seed = f" (seed {row['seed']})" if row["seed"] else ""
        cells = [*f"{row['family']}{seed}".split(", "), f"{row['beta']:g}", said(row["rate"]), said(row["distortion"])]
        yield f"| {' | '.join([*cells, said(minus['elbo']), said(minus['iwae']), won, str(row['active'])])} |"


def said(value: list[float]) -> str:
    """A mean with its error over images and draws, and the share of the draws in it."""
    return f"{with_error(*value[:2])} (draws {value[2]:.1g})"


def tables(runs: Path) -> None:
    """record.json from what is measured, then the README's table and the figure."""
    path = HERE / "record.json"
    if runs.exists():
        write_atomic(path, json.dumps(gathered(runs), indent=1, ensure_ascii=False) + "\n")
    record = json.loads(path.read_text(encoding="utf-8"))
    head, _, rest = (HERE / "README.md").read_text(encoding="utf-8").partition("<!-- table -->\n")
    table = "\n".join(lines_of(record))
    text = f"{head}<!-- table -->\n{table}\n<!-- end -->{rest.partition('<!-- end -->')[2]}"
    write_atomic(HERE / "README.md", text)
    draw(record)


def draw(record: dict[str, Any]) -> None:
    """figure.svg: the plane, by `er.plots.rate_distortion`; H from the best bound among all models."""
    rows = models_of(record).values()
    of = {what: [Value(*row[what][:2]) for row in rows] for what in ("rate", "distortion")}
    names = [(f"{row['family']}, β = {row['beta']:g}", row["family"]) for row in rows]
    points = [Model(label, r, d, family) for (label, family), r, d in zip(names, *of.values(), strict=True)]
    best = max((row["iwae"] for row in rows), key=lambda bound: bound[0])
    with matplotlib.rc_context({"svg.hashsalt": "broken-elbo"}):
        sheet = Sheet(figsize=(10, 6), layout="constrained")
        er.plots.rate_distortion(points, entropy=Value(-best[0], best[1]), ax=sheet.subplots())
        sheet.savefig(HERE / "figure.svg", metadata={"Date": None})


def main() -> None:
    """Train and measure, or gather and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "sandwich", "tables"))
    parser.add_argument("--only", choices=BETAS, help="one family; else all, one after another")
    parser.add_argument("--betas", type=float, nargs="+", help="some of the family's; else all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--runs", type=Path, default=Path("runs/broken_elbo"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "train":
        for family in [asked.only] if asked.only else list(BETAS):
            train(family, asked.seed, asked.runs, asked.betas or BETAS[family], asked.device)
    else:
        (sandwich if asked.what == "sandwich" else tables)(asked.runs)


if __name__ == "__main__":
    main()
