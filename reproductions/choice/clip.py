"""What clipped gradients win: the model for all data of `full.py` again, without.

    python reproductions/choice/clip.py [WORDS] [--runs FOLDER]    # clip.json; after full.py, whose runs it reads

Test rows are those of `full.py`, so that the two trainings of a seed are compared row by row.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from full import DRAWS, FIRST, MEASURED, Row, apart, load, recipe_for, rows, trained, trainings
from full import first_steps_of as first_steps

import elbowroom as er

sys.path.insert(0, str(Path(__file__).parents[1]))

RECORD = Path(__file__).parent / "clip.json"


def make(row: Row, runs: Path) -> dict[str, Any]:
    """Train, measure on test, and say what clipping wins over it."""
    data = load(row)
    training, point = trainings(row, data)[FIRST]
    run, recipe = runs / str(row) / "unclipped", recipe_for(training, point, data)
    vae, history = trained(training._replace(clip=None), recipe, data, run, "cpu")
    bound = er.evidence.iwae(vae, data.test[: min(MEASURED, len(data.test))], draws=DRAWS)
    clipped = dict(np.load(runs / str(row) / f"{FIRST}.npz"))
    return {
        "log_p": [bound.mean, float(clipped["test"].mean())],
        "difference": apart(clipped, {"test": bound.values, "mc variance": bound.mc_variance}),
        "epochs kept": [history.best_epoch, len(history.rows)],
        "seconds": history.seconds,
    }


def first_steps_of(row: Row) -> Any:
    """First steps of the model whose gradients are not clipped."""
    return first_steps(row, clip=None)


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
