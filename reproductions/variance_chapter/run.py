"""The variance chapter's figures 5.3 to 5.18 on MNIST, measured: train the models, measure them, write the page.

    python reproductions/variance_chapter/run.py train [--only NAME]      # goes on where it was stopped
    python reproductions/variance_chapter/run.py models                   # records/models.json; what is there is kept
    python reproductions/variance_chapter/run.py samples                  # records/samples.json
    python reproductions/variance_chapter/page.py                         # chapter.html, from the records and the runs

Trained models go to --runs (outside the repository).
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import measure
from models import AGAIN, CELLS, FAMILIES, Cell, data_of, folder_of, model_of

import elbowroom as er
from elbowroom.metrics import SmallClassifier, small_classifier, total_ink

HERE = Path(__file__).parent
SIZES = (1, 2, 10, 20, 50, 250)
MODES = {
    **{cell.name: ("ancestral",) for cell in (*FAMILIES, *AGAIN)},
    **dict.fromkeys(("normal, one σ", "normal, σ per pixel", "normal, σ(z)"), ("ancestral", "mean")),
    **dict.fromkeys(("Matérn field, σ per pixel", "discretised logistic"), ("ancestral", "mean")),
    "simple d=20, floor 0.01": ("ancestral", "mean"),
    "simple d=20, floor 0.1": ("ancestral", "mean", "offset -2", "offset -1", "offset 1", "offset 2"),
    "simple d=20, β=0.01": ("ancestral", "mean"),
    "σ=1 d=20": ("ancestral", "mean"),
    "σ=0.0001 d=20": ("ancestral", "mean"),
}
"""Of which models' samples are measured, drawn how."""


def trained(cell: Cell, runs: Path) -> tuple[er.VAE, er.data.Dataset]:
    """The cell's model as validation chose it, trained now or earlier, and its data."""
    data = data_of(cell)
    vae, folder = model_of(cell, data), runs / folder_of(cell)
    rising = er.objectives.LinearSchedule(cell.warmup) if cell.warmup else None
    er.fit(
        vae, data, er.objectives.Elbo(cell.beta, schedule=rising), epochs=cell.epochs, batch_size=100,
        seed=cell.seed, run=folder, resume=folder.exists(),
    )  # fmt: skip
    return vae, data


class Record:
    """A JSON file of results by name, written as each comes in; what is there is not made again."""

    def __init__(self, name: str) -> None:
        self.path = HERE / "records" / f"{name}.json"
        self.path.parent.mkdir(exist_ok=True)
        self.values: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}

    def keep(self, name: str, result: Any) -> None:
        """Write one result down."""
        self.values[name] = result
        self.path.write_text(json.dumps(self.values, indent=1, ensure_ascii=False) + "\n")


def measure_models(runs: Path, only: str) -> None:
    """Bounds, errors, variances and residuals of every trained model."""
    record, classifier = Record("models"), digits_classifier()
    for cell in CELLS:
        if cell.name in record.values or only not in cell.name or not (runs / folder_of(cell)).exists():
            continue
        print(cell.name, flush=True)
        vae, data = trained(cell, runs)
        digits = cell.data.startswith("mnist")
        found = {"epochs": cell.epochs, "images": len(data.train)}
        found |= measure.likelihood(vae, data) | measure.reconstruction(vae, data, classifier if digits else None)
        found |= {"variance": measure.variance(vae, data, cell), "z": measure.z_spread(vae, data)}
        shape = data.image_shape
        found["residuals"] = measure.residuals(vae, data, shape if len(shape) == 3 else (1, *shape))
        record.keep(cell.name, found)
    if "ink of test images" not in record.values:
        record.keep("ink of test images", asdict(total_ink(data_of(FAMILIES[0]).test.x / measure.WHITE)))
    if "Gaussian mixture" not in record.values:
        record.keep("Gaussian mixture", measure.mixture(data_of(FAMILIES[0])))
    if "pca" not in record.values:
        record.keep("pca", measure.classics(data_of(FAMILIES[0]), classifier, SIZES))


def measure_samples(runs: Path, only: str) -> None:
    """How far the samples of each mode are from test images, and the floor: as many training images."""
    record, classifier = Record("samples"), digits_classifier()
    data = data_of(FAMILIES[0])
    test = data.test.x / measure.WHITE
    if "training images" not in record.values:
        rows = data.train.x[-measure.SAMPLES :] / measure.WHITE  # not those the classifier learned from
        record.keep("training images", measure.samples(rows, test, classifier))
    for cell in CELLS:
        for mode in MODES.get(cell.name, ()):
            name = f"{cell.name} | {mode}"
            if name in record.values or only not in name or not (runs / folder_of(cell)).exists():
                continue
            print(name, flush=True)
            record.keep(name, measure.samples(measure.draws(trained(cell, runs)[0], mode), test, classifier))


def digits_classifier() -> SmallClassifier:
    """The classifier whose features and classes are used, trained on 20,000 images."""
    data = data_of(FAMILIES[0])
    return small_classifier(
        data.train.x[:20_000] / measure.WHITE, data.train.labels[:20_000], image_shape=data.image_shape
    )


def main() -> None:
    """Run one of the stages."""
    stages = {"train": train, "models": measure_models, "samples": measure_samples}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(stages))
    parser.add_argument("--only", default="", help="a part of the names to keep to")
    parser.add_argument("--runs", type=Path, default=Path("runs/variance_chapter"))
    arguments = parser.parse_args()
    stages[arguments.what](arguments.runs, arguments.only)


def train(runs: Path, only: str) -> None:
    """Train every model, or go on with them."""
    for cell in CELLS:
        if only in cell.name:
            print(cell, flush=True)
            trained(cell, runs)


if __name__ == "__main__":
    main()
