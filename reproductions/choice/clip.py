"""What clipped gradients win on grey images: the model for all data of `full.py` again, with clip=10.

    python reproductions/choice/clip.py [WORDS] [--runs FOLDER]    # clip.json; after full.py, whose runs it reads

Test rows are those of `full.py`, so that the two trainings of a seed are compared row by row.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from full import DRAWS, FIRST, MEASURED, SEEDS, Row, apart, load, recipe_for, trainings

import elbowroom as er
from elbowroom.runs import read_run
from elbowroom.training.adam import CLIP

sys.path.insert(0, str(Path(__file__).parents[1]))

RECORD = Path(__file__).parent / "clip.json"


def rows() -> list[Row]:
    return [Row(name, seed) for name in ("frey-faces", "mnist", "fashion-mnist") for seed in SEEDS]


def make(row: Row, runs: Path) -> dict[str, Any]:
    """Train, measure on test, and compare with the same model without."""
    data = load(row)
    (training, point), run = trainings(row, data)[FIRST], runs / str(row) / "clipped"
    recipe = recipe_for(training, point, data)
    settings = training._replace(clip=CLIP).of_fit | {"seed": training.seed}
    going_on = (run / "recipe.yaml").exists()
    er.fit(
        er.models.build(recipe, data),
        data,
        er.models.goal(recipe),
        **settings,
        run=run,
        resume=going_on,
        progress=False,
    )
    vae, history = read_run(run)
    bound = er.evidence.iwae(vae, data.test[: min(MEASURED, len(data.test))], draws=DRAWS)
    first = dict(np.load(runs / str(row) / f"{FIRST}.npz"))
    return {
        "log_p": [float(first["test"].mean()), bound.mean],
        "difference": apart({"test": bound.values, "mc variance": bound.mc_variance}, first),
        "epochs kept": [history.best_epoch, len(history.rows)],
        "seconds": history.seconds,
    }


def first_steps_of(row: Row) -> Any:
    """First steps of the clipped model."""
    from canary import first_steps

    data = load(row)
    training, point = trainings(row, data)[FIRST]
    vae = er.models.build(recipe_for(training, point, data), data)
    return first_steps(vae, data, batch_size=100, seed=row.seed, lr=training.lr, clip=CLIP)


def main() -> None:
    from canaries import canaries
    from canary import fill

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="rows whose names hold one of these; by default all")
    parser.add_argument("--runs", type=Path, default=Path("runs/choice"))
    asked = parser.parse_args()
    wanted = {str(row): row for row in rows() if not asked.words or any(word in str(row) for word in asked.words)}
    fill(RECORD, {name: (row, asked.runs) for name, row in wanted.items()}, make, canaries)


if __name__ == "__main__":
    main()
