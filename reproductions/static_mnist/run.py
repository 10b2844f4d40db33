"""Static MNIST at equal steps: which prior, which posterior and which objective win how many nats.

    python reproductions/static_mnist/run.py train [--only NAME] [--epochs 50] [--device cuda] --runs FOLDER
    python reproductions/static_mnist/run.py measure [--only NAME] [--bounds ais bdmc] --runs FOLDER  # FOLDER/NAME.json
    python reproductions/static_mnist/run.py tables --runs FOLDER        # record.json, the README's tables, figure.svg

Each model is trained and measured by itself, so that names can be run side by side; both go on where they were stopped.
Burda's table (k = 50, 3,280 epochs) is `--only iwae-50 --epochs 3280 --device cuda`: the same command, a longer time.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.plots import Series, lines

HERE = Path(__file__).parent
LATENTS, WIDTHS = 40, (300, 300)
WORDS: dict[str, dict[str, Any]] = {
    "standard": {},
    "mixture prior": {"prior": {"kind": "mixture-prior", "components": 100}},
    "VampPrior": {"prior": {"kind": "vamp-prior", "pseudo_inputs": 500}},
    "flow prior": {"prior": "flow-prior"},
    "full q": {"posterior": "full-normal"},
    "flow q": {"posterior": {"kind": "flow-posterior", "flow": "iaf"}},
    "two layers": {"latents": [40, 20]},
    "ladder": {"latents": [40, 20], "posterior": "ladder"},
    "iwae-5": {"objective": {"kind": "iwae", "draws": 5}},
    "iwae-50": {"objective": {"kind": "iwae", "draws": 50}},
}
"""What differs from a standard normal prior, a diagonal normal posterior and the ELBO."""

ASKED = tuple(name for name in WORDS if name != "iwae-50")
TEST, ANNEALED, SIMULATED, DRAWS = 500, 25, 25, 5_000
ANNEALING = {"temperatures": 100, "chains": 8, "leapfrog": 5, "progress": True}
BOUNDS = ("elbo", "iwae", "ais", "bdmc")
SHORT = 6  # epochs that every model has had


def recipe(name: str) -> er.models.Recipe:
    """The model's recipe in words."""
    return er.models.Recipe(widths=WIDTHS, seed=0).where(**{"latents": LATENTS} | WORDS[name])


def folder(runs: Path, name: str) -> Path:
    """The model's run."""
    return runs / name.replace(" ", "-")


def train(name: str, runs: Path, epochs: int, device: str) -> None:
    """Train a model, or go on."""
    from canaries import steps
    from canary import begin

    data, run = er.load_data("binarized-mnist"), folder(runs, name)
    torch.manual_seed(0)
    begin(run, asdict(recipe(name)), lambda: steps(name))
    vae, goal = er.models.build(recipe(name), data), er.models.goal(recipe(name))
    settings = {"epochs": epochs, "batch_size": 100, "lr": 1e-3, "seed": 0, "device": device}
    er.fit(vae, data, goal, **settings, run=run, resume=(run / "recipe.yaml").exists())


def measure(name: str, runs: Path, device: str, bounds: Sequence[str]) -> None:
    """Bounds on test images; how far the two by annealing are apart where x is simulated."""
    import canaries  # noqa: F401 - puts the folder of `canary` on the path
    from canary import begun

    from elbowroom.runs import read_run

    run, path = folder(runs, name), folder(runs, name).with_suffix(".json")
    vae, history = read_run(run)
    vae.to(device)
    data = er.load_data("binarized-mnist")
    test = data.test[torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))[:TEST]]
    row = json.loads(path.read_text()) if path.exists() else {}
    if row.get("epochs") != len(history.rows):
        row = {"epochs": len(history.rows), "best_epoch": history.best_epoch}
        row |= {part: history.column(part, "objective") for part in ("train", "validation")}
        row["began"] = json.loads(begun(run).read_text(encoding="utf-8"))["canary"]
    makers = {
        "elbo": lambda: by_image(er.evidence.elbo(vae, test, draws=64, progress=True)),
        "iwae": lambda: by_image(er.evidence.iwae(vae, test, draws=DRAWS, progress=True)),
        "ais": lambda: by_image(er.evidence.ais(vae, test[:ANNEALED], **ANNEALING)),
        "bdmc": lambda: gap(vae),
    }
    for what in bounds:
        if what not in row:
            row[what] = makers[what]()
            write_atomic(path, json.dumps(row, indent=1, ensure_ascii=False) + "\n")


def by_image(estimate: er.Estimate) -> list[list[float]]:
    """Value and Monte-Carlo variance of every image, nats: so that models are compared image by image."""
    return [estimate.values.tolist(), estimate.mc_variance.tolist()]


def gap(vae: er.VAE) -> list[float]:
    """Upper minus lower bound on simulated images, and its error, nats."""
    bounds = er.evidence.bdmc(vae, SIMULATED, **ANNEALING)
    return [bounds.gap.mean, bounds.gap.se_total]


def mean(values: Any, variance: Any) -> list[float]:
    """Mean over images, and its error from images and draws together."""
    images = np.var(values, ddof=1) / len(values)
    return [float(np.mean(values)), float(np.sqrt(images + np.sum(variance) / len(values) ** 2))]


def gathered(runs: Path) -> dict[str, Any]:
    """The record: bounds of every model, and how far each is above the standard one on the same images."""
    paths = {name: folder(runs, name).with_suffix(".json") for name in WORDS}
    found = {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}
    rows: dict[str, Any] = {"canary": {name: row["began"] for name, row in found.items()}}
    for name, row in found.items():
        rows[name] = {
            what: row[what] for what in ("epochs", "best_epoch", "train", "validation", "bdmc") if what in row
        }
        same = row["epochs"] == found["standard"]["epochs"]
        for bound in (bound for bound in BOUNDS[:3] if bound in row and same):
            (values, variance), (standard, other) = np.array(row[bound]), np.array(found["standard"][bound])
            rows[name][bound] = mean(values, variance)
            rows[name][f"{bound} over standard"] = mean(values - standard, variance + other)
    return rows


def lines_of(record: dict[str, Any]) -> Iterator[str]:
    """The README's table of bounds on test, of models that were trained as long as the standard one."""
    above = "above the standard"
    yield f"| model | epochs (kept) | ELBO | IWAE-5000 | {above} | AIS, {ANNEALED} images | {above} | BDMC gap |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, row in record.items():
        if name != "canary" and row["epochs"] == record["standard"]["epochs"]:
            bounds = ("elbo", "iwae", "iwae over standard", "ais", "ais over standard", "bdmc")
            said = [f"{row[what][0]:.2f} ± {row[what][1]:.2f}" if what in row else "–" for what in bounds]
            cells = [cell.replace("-", "−") for cell in said]
            yield f"| {name} | {row['epochs']} ({row['best_epoch']}) | " + " | ".join(cells) + " |"


def short_lines(record: dict[str, Any]) -> Iterator[str]:
    """The README's table of all models at equal steps: what each maximises, on validation."""
    yield f"| model | bound after {SHORT} epochs | above the standard | at the last epoch | above the standard |"
    yield "|---|---|---|---|---|"
    for name in [one for one in WORDS if one in record]:
        cells = []
        for at in (SHORT, record["standard"]["epochs"]):
            values = [record[one]["validation"][at - 1 : at] for one in (name, "standard")]
            cells += [f"{-values[0][0]:.1f}", f"{values[1][0] - values[0][0]:.1f}"] if values[0] else ["–", "–"]
        yield f"| {name} | {' | '.join(cells)} |".replace("-", "−").replace("iwae−", "iwae-")


def tables(runs: Path) -> None:
    """record.json from the runs that are measured, then the README's tables and the figure."""
    path = HERE / "record.json"
    if runs.exists():
        write_atomic(path, json.dumps(gathered(runs), indent=1, ensure_ascii=False) + "\n")
    record = json.loads(path.read_text(encoding="utf-8"))
    text = (HERE / "README.md").read_text(encoding="utf-8")
    for name, made in (("bounds", lines_of(record)), ("short", short_lines(record))):
        head, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, rest = rest.partition("<!-- end -->")
        text = head + begin + "\n".join(made) + f"\n{end}{rest}"
    write_atomic(HERE / "README.md", text)
    curves = {row: record[row]["validation"] for row in record if row != "canary"}
    with matplotlib.rc_context({"svg.hashsalt": "static-mnist"}):
        figure = plt.figure(figsize=(7, 4), layout="constrained")
        series = [Series(row, range(1, len(values) + 1), [-v for v in values]) for row, values in curves.items()]
        axes = lines(series, across="epoch", up="−objective on validation, nats", ax=figure.subplots())
        axes.set_ylim(-130, None)
        figure.savefig(HERE / "figure.svg", metadata={"Date": None})


def main() -> None:
    """Train, measure or print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "measure", "tables"))
    parser.add_argument("--only", nargs="+", choices=list(WORDS), default=ASKED, help="else all but iwae-50")
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bounds", nargs="+", choices=BOUNDS, default=BOUNDS, help="which, of measure")
    parser.add_argument("--runs", type=Path, default=Path("runs/static_mnist"))
    asked = parser.parse_args()
    if asked.what == "tables":
        return tables(asked.runs)
    for name in asked.only:
        if asked.what == "train":
            train(name, asked.runs, asked.epochs, asked.device)
        else:
            measure(name, asked.runs, asked.device, asked.bounds)
    return None


if __name__ == "__main__":
    main()
