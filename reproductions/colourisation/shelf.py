"""Records of this folder, and what the tables and the figures read of them."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import growing
from growing import Row

__all__ = ["HERE", "Record", "Row", "key", "models", "named"]

HERE = Path(__file__).parent
WAYS: dict[str, list[str]] = {
    "sums": [],
    "evidence": ["by log p itself"],
    "scores": ["by scores"],
    "warm": ["after β = 0.1"],
}
"""In words, by what a model was trained: by exact sums unless it says so."""


class Record(growing.Record):
    """Records of this folder."""

    folder = HERE / "records"


def key(decoder: str, beta: float = 1.0, seed: int = 0, *, free: float = 0.0, by: str = "sums") -> dict[str, Any]:
    """What says which model a row is of."""
    return {"decoder": decoder, "beta": beta, "free": free, "by": by, "seed": seed}


def named(row: Row) -> str:
    """A model's name in words."""
    how = [f"β = {row['beta']:g}"] + [f"{row['free']:g} nats free"] * bool(row["free"])
    return ", ".join([row["decoder"], *how, *WAYS[row["by"]], f"seed {row['seed']}"])


def models() -> list[Row]:
    """The rows of records/models.json: those without a segmentation first, then by decoder, β and what else differs."""
    rows = Record.made("models")
    strong = {"blind weak": 0, "blind strong": 1, "weak": 2, "strong": 3}
    return sorted(
        rows, key=lambda r: (strong[r["decoder"]], list(WAYS).index(r["by"]), r["free"], r["beta"], r["seed"])
    )
