"""What clipped gradients win or lose in the models that a study trains: the sweep of one seed, with and without.

    python benchmarks/clipping.py              # records/clipping.json, row by row; a row that stands there is kept
    python benchmarks/clipping.py iris         # these data alone; images and cells need ELBOWROOM_DATA

IWAE with 200 draws of z on 1,000 test rows at most, in nats per example, of every model of the sweep and of the chosen.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import defaults
from record import RECORDS, machine

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.data import Dataset
from elbowroom.training.adam import CLIP

sys.path.append(str(Path(__file__).parents[1] / "reproductions" / "choice"))

TABLES = ("iris", "wine", "diabetes", "Boston", "quakes", "leafshape")
IMAGES, CELLS = ("digits", "binarized-mnist", "omniglot"), ("smFISH", "worm neurons")
DRAWS, MEASURED = 200, 1_000


def load(name: str) -> Dataset:
    """A data set, as a study reads it."""
    if name in CELLS:
        from full import cells

        return cells(name)
    return defaults.table(name) if name in TABLES else er.load_data(name, progress=False)


def swept(data: Dataset, clip: float | None) -> dict[str, Any]:
    """The study's sweep at this clip."""
    models = defaults.trained(data, defaults.default(data)._replace(clip=clip))
    few = data.test[: min(MEASURED, len(data.test))]
    return {
        "chosen": er.choose(models).model.label,
        "validation": {one.label: one.iwae.mean for one in models},
        "test": {one.label: er.evidence.iwae(one.vae, few, draws=DRAWS).mean for one in models},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="by default all")
    asked = parser.parse_args().names or [*TABLES, *CELLS, *IMAGES]
    path = RECORDS / "clipping.json"
    record = json.loads(path.read_text()) if path.exists() else {"benchmark": "clipping", "data": {}}
    for name in asked:
        if name not in record["data"]:
            data = load(name)
            record["data"][name] = {"without": swept(data, None), "clipped": swept(data, CLIP)}
            write_atomic(path, json.dumps({**record, "machine": machine()}, indent=1) + "\n")
        found = {way: record["data"][name][way]["test"] for way in ("without", "clipped")}
        print(name, {label: round(found["clipped"][label] - value, 2) for label, value in found["without"].items()})


if __name__ == "__main__":
    main()
