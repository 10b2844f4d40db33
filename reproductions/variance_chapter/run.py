"""The variance chapter's figures 5.3 to 5.18 on MNIST, measured: train the models, measure them, write the page.

    python reproductions/variance_chapter/run.py models [--only NAME] [--seeds]     # records/models.json
    python reproductions/variance_chapter/run.py samples [--only NAME] [--seeds]    # records/samples.json
    python reproductions/variance_chapter/run.py close      # neighbours in a table that need more seeds
    python reproductions/variance_chapter/tables.py         # the README's tables, from the records
    python reproductions/variance_chapter/page.py           # chapter.html, from the records and the runs

Models are trained as they are asked for, in --runs (outside the repository), and go on where they were stopped. A row
that carries a canary is kept; others are made again, from an empty folder. A folder that another recipe or other code
has begun is refused, unless --take-up is given: then the row carries no canary.
"""

import argparse
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import measure
from canaries import MODELS, SAMPLES, canary_of, of_model
from canary import Numbers, begin, into
from models import AGAIN, CELLS, FAMILIES, Cell, data_of, folder_of, model_of
from seeds import close

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.metrics import SmallClassifier, small_classifier, total_ink

HERE = Path(__file__).parent
SIZES = (1, 2, 10, 20, 50, 250)
MODES = {
    **{cell.name: ("ancestral",) for cell in (*FAMILIES, *AGAIN) if cell.data == "mnist"},
    **dict.fromkeys(("normal, one σ", "normal, σ per pixel", "normal, σ(z)"), ("ancestral", "mean")),
    **dict.fromkeys(("Matérn field, σ per pixel", "discretised logistic"), ("ancestral", "mean")),
    "simple d=20, floor 0.01": ("ancestral", "mean"),
    "simple d=20, floor 0.1": ("ancestral", "mean", "offset -2", "offset -1", "offset 1", "offset 2"),
    "simple d=20, β=0.01": ("ancestral", "mean"),
    "σ=1 d=20": ("ancestral", "mean"),
    "σ=0.0001 d=20": ("ancestral", "mean"),
}
"""Of which models' samples are measured, drawn how."""


def trained(cell: Cell, runs: Path, take_up: bool) -> tuple[er.VAE, er.data.Dataset, Numbers | None]:
    """The cell's model as validation chose it, trained now or earlier, its data, and how its training began."""
    data, folder = data_of(cell), runs / folder_of(cell)
    begun = begin(folder, asdict(cell), lambda: of_model(cell), take_up)
    vae = model_of(cell, data)
    rising = er.objectives.LinearSchedule(cell.warmup) if cell.warmup else None
    er.fit(
        vae, data, er.objectives.Elbo(cell.beta, schedule=rising), epochs=cell.epochs, batch_size=100,
        seed=cell.seed, run=folder, resume=folder.exists(),
    )  # fmt: skip
    return vae, data, begun


class Record:
    """A JSON file of results by name, written as each comes in; what is there with a canary is not made again."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        self.path = path
        self.values: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def holds(self, name: str) -> bool:
        """Whether the row is there and says how its making began."""
        return name in self.values and name in self.values.get("canary", {})

    def keep(self, name: str, result: Any, begun: Numbers | None) -> None:
        """Write one result down, with its canary where it has one."""
        self.values[name] = result
        self.values.setdefault("canary", {}).pop(name, None)
        if begun is not None:
            into(self.values, name, begun)
        write_atomic(self.path, json.dumps(self.values, indent=1, ensure_ascii=False) + "\n")


def measure_models(runs: Path, only: str, seeds: bool, take_up: bool) -> None:
    """Bounds, errors, variances and residuals of every model."""
    record = Record(MODELS)
    for cell in CELLS:
        if record.holds(cell.name) or only not in cell.name or (cell.seed and not seeds):
            continue
        print(cell.name, flush=True)
        vae, data, begun = trained(cell, runs, take_up)
        digits = cell.data.startswith("mnist")
        found = {"epochs": cell.epochs, "images": len(data.train)}
        found |= measure.likelihood(vae, data)
        found |= measure.reconstruction(vae, data, digits_classifier() if digits else None)
        found |= {"variance": measure.variance(vae, data, cell), "z": measure.z_spread(vae, data)}
        shape = data.image_shape
        found["residuals"] = measure.residuals(vae, data, shape if len(shape) == 3 else (1, *shape))
        record.keep(cell.name, found, begun)
    data = data_of(FAMILIES[0])
    others = {
        "ink of test images": lambda: asdict(total_ink(data.test.x / measure.WHITE)),
        "Gaussian mixture": lambda: measure.mixture(data),
        "pca": lambda: measure.classics(data, digits_classifier(), SIZES),
    }
    for name, make in others.items():
        if not record.holds(name) and only in name:
            record.keep(name, make(), canary_of(MODELS, name).make())


def measure_samples(runs: Path, only: str, seeds: bool, take_up: bool) -> None:
    """How far the samples of each mode are from test images, and the floor: as many training images."""
    record, data = Record(SAMPLES), data_of(FAMILIES[0])
    test = data.test.x / measure.WHITE
    if not record.holds("training images"):
        rows = data.train.x[-measure.SAMPLES :] / measure.WHITE  # not those the classifier learned from
        found = measure.samples(rows, test, digits_classifier())
        record.keep("training images", found, canary_of(SAMPLES, "training images").make())
    for cell in CELLS:
        for mode in MODES.get(cell.name, ()):
            name = f"{cell.name} | {mode}"
            if record.holds(name) or only not in name or (cell.seed and not seeds):
                continue
            print(name, flush=True)
            vae, _, begun = trained(cell, runs, take_up)
            found = measure.samples(measure.draws(vae, mode), test, digits_classifier())
            record.keep(name, found, None if begun is None else canary_of(SAMPLES, name).make())


@cache
def digits_classifier() -> SmallClassifier:
    """The classifier whose features and classes are used, trained on 20,000 images."""
    data = data_of(FAMILIES[0])
    return small_classifier(
        data.train.x[:20_000] / measure.WHITE, data.train.labels[:20_000], image_shape=data.image_shape
    )


def show_close(*_: Any) -> None:
    """Print neighbours in a table that need more seeds."""
    for line in close(json.loads(MODELS.read_text())):
        print(line)


def main() -> None:
    """Run one of the stages."""
    stages = {"models": measure_models, "samples": measure_samples, "close": show_close}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(stages))
    parser.add_argument("--only", default="", help="a part of the names to keep to")
    parser.add_argument("--seeds", action="store_true", help="the other seeds too")
    parser.add_argument("--runs", type=Path, default=Path("runs/variance_chapter"))
    parser.add_argument("--take-up", action="store_true", help="go on with folders that were begun otherwise")
    arguments = parser.parse_args()
    stages[arguments.what](arguments.runs, arguments.only, arguments.seeds, arguments.take_up)


if __name__ == "__main__":
    main()
