"""First steps of the chapter's models, samples and classics."""

import json
import sys
from functools import cache, partial
from pathlib import Path

import measure
from models import CELLS, FAMILIES, Cell, data_of, model_of

import elbowroom as er
from elbowroom.metrics import SmallClassifier, small_classifier, total_ink

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import STEPS, Canary, Numbers, first_steps, main, numbers_of

RECORDS = Path(__file__).parent / "records"
MODELS, SAMPLES = RECORDS / "models.json", RECORDS / "samples.json"
DRAWN = 20
MIXTURE, DRAWS = 50.0, 5.0  # other processors moved a mixture's validation by 3e-3, the ink of one image by 2e-4


def canaries() -> list[Canary]:
    """One for every row of the two records."""
    rows = [(record, row) for record in (MODELS, SAMPLES) for row in json.loads(record.read_text())]
    return [canary_of(record, row) for record, row in rows if row != "canary"]


def canary_of(record: Path, row: str) -> Canary:
    """That of one row."""
    others = {
        "ink of test images": _ink,
        "Gaussian mixture": _mixture,
        "pca": _pca,
        "training images": _distances,
    }
    if row in others:
        return Canary(record, row, others[row], ("mnist",))
    name, _, mode = row.partition(" | ")
    cell = next(cell for cell in CELLS if cell.name == name)
    data = "mnist" if cell.data.startswith("mnist") else cell.data
    make = partial(of_samples, cell, mode) if mode else partial(of_model, cell)
    return Canary(record, row, make, (data,), MIXTURE if cell.family == "logistic mixture" else DRAWS if mode else 1.0)


@cache
def after_steps(cell: Cell) -> tuple[er.VAE, Numbers]:
    """The cell's model after its first steps, and what they gave."""
    data = data_of(cell)
    vae = model_of(cell, data)
    rising = er.objectives.LinearSchedule(min(cell.warmup, STEPS)) if cell.warmup else None
    objective = er.objectives.Elbo(cell.beta, schedule=rising)
    return vae, first_steps(vae, data, objective, batch_size=100, seed=cell.seed)


def of_model(cell: Cell) -> Numbers:
    """First steps alone."""
    return after_steps(cell)[1]


def of_samples(cell: Cell, mode: str) -> Numbers:
    """First steps, and the ink of a few samples."""
    vae, steps = after_steps(cell)
    word, _, offset = mode.partition(" ")
    x = vae.sample(DRAWN, mode=word, offset=float(offset or 0), seed=1)  # type: ignore[arg-type]
    return steps | {"ink": (x.double().sum(1) / measure.WHITE).tolist()}


@cache
def _few(rows: int = 300) -> tuple[er.data.Dataset, SmallClassifier]:
    """MNIST with few images, and a classifier trained on them."""
    data = data_of(FAMILIES[0])
    data.train, data.test = data.train[:rows], data.test[:rows]
    return data, small_classifier(data.train.x / measure.WHITE, data.train.labels, image_shape=data.image_shape)


def _ink() -> Numbers:
    return {"ink": [total_ink(_few()[0].test.x / measure.WHITE).value]}


def _mixture() -> Numbers:
    return {"mixture": numbers_of(measure.mixture(_few()[0], components=3, rows=300))}


def _pca() -> Numbers:
    return {"pca": numbers_of(measure.classics(*_few(), sizes=(2,)))}


def _distances() -> Numbers:
    data, classifier = _few()
    train, test = data.train.x / measure.WHITE, data.test.x / measure.WHITE
    return {"distances": numbers_of(measure.samples(train, test, classifier))}


if __name__ == "__main__":
    main(canaries())
