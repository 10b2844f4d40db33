"""The data of a trained run."""

from pathlib import Path
from typing import Any

from elbowroom.data import Dataset, load_data
from elbowroom.numerics import InputError
from elbowroom.records import chosen_run

from .run_folder import read_recipe

__all__ = ["run_data", "run_folder"]


def run_data(folder: Path, *, source: Any = None) -> Dataset:
    """The data a run was trained on, found by name (or given) and checked by their hash."""
    known = read_recipe(folder)["data"]
    sizes = {name: n for name, n in known["sizes"].items() if name != "train" and name not in known["official"]}
    flat = len(known["event"]) == 1 if known["image_shape"] else None
    given = _where(known) if source is None else source
    data = load_data(given, preprocess="none", seed=known["split_seed"], flat=flat, **sizes)
    if data.sha256 != known["sha256"]:
        raise InputError(
            f"These are not the data that the run in {folder} was trained on ({known['name']}, sha256 "
            f"{known['sha256'][:12]}…): name the right ones with source=."
        )
    return data


def run_folder(path: Path) -> Path:
    """The run itself, where the path is a study's: that of its chosen model."""
    return chosen_run(path) or path


def _where(known: dict[str, Any]) -> str:
    """The file that the data came from, where it is still there; else their name."""
    path = Path(str(known["source"])).expanduser()
    return str(path) if path.exists() else str(known["name"])
