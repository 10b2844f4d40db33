"""Reading a study's record: plain files in, plain values out, and one clear sentence where they do not fit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import Estimate, InputError
from elbowroom.runs.saved_estimates import KeptEstimate, read_estimates

__all__ = ["VERSION", "Record", "read_record"]

VERSION = 2
"""Version of the record; the first is read too, any other is refused in words."""

_KEYS = (
    "title", "command", "created", "data", "environment", "chosen", "models", "evidence", "difference", "verdict",
    "latents", "reconstruction", "draws",
)  # fmt: skip
_PICTURES = ("held_out", "reconstructions", "samples_ancestral", "samples_mean", "latent_map", "latent_labels")


@dataclass(frozen=True)
class Record:
    """A study as it was saved: `study` (study.json), `pictures` (arrays by name), and the chosen model's run.

    history: one mapping per epoch, empty where the run kept none; recipe: the model's, None where there is none;
    estimates: of the run's evidence.json, none where there is no such file.
    """

    folder: Path
    study: Mapping[str, Any]
    pictures: Mapping[str, NDArray[Any]]
    history: list[dict[str, Any]]
    recipe: Mapping[str, Any] | None
    estimates: list[KeptEstimate] = field(default_factory=list)

    @property
    def chosen(self) -> Mapping[str, Any]:
        """The chosen model's entry in the sweep."""
        return next(m for m in self.study["models"] if m["name"] == self.study["chosen"])

    @property
    def evidence(self) -> list[tuple[Mapping[str, Any], Estimate]]:
        """Every row of the last table with its estimate, best first."""
        rows = [(row, Estimate.from_dict(row["estimate"])) for row in self.study["evidence"]]
        return sorted(rows, key=lambda pair: pair[1].mean, reverse=True)

    @property
    def direction(self) -> str:
        """Direction of the VAE's best estimate."""
        return next((e.direction for row, e in self.evidence if row["kind"] == "vae"), "none")


def read_record(folder: str | Path) -> Record:
    """The record in a study folder.

    Raises InputError where the folder or one of its files is missing or damaged, or of another version.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no study folder {folder}: give the folder that `elbowroom study` wrote.")
    study = _read_study(folder / "study.json")
    name = str(study["chosen"])
    if name not in [m.get("name") for m in study["models"]]:
        raise InputError(
            f"{folder / 'study.json'} names {name!r} as chosen, but holds no such model: run the study again."
        )
    pictures = _read_pictures(folder / "pictures.safetensors")
    run = folder / "runs" / name
    history, recipe = _read_history(run / "history.jsonl"), _read_recipe(run / "recipe.yaml")
    return Record(folder, study, pictures, history, recipe, read_estimates(run / "evidence.json"))


def _text(path: Path) -> str:
    if not path.is_file():
        raise InputError(
            f"{path.parent} holds no {path.name}, so it is no finished study: run `elbowroom study` again."
        )
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): run the study again.") from error


def _read_study(path: Path) -> dict[str, Any]:
    try:
        study = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is damaged ({error}): run the study again.") from error
    if isinstance(study, dict) and study.get("version") == 1:
        study = _from_first(study)
    if not isinstance(study, dict) or study.get("version") != VERSION:
        found = study.get("version") if isinstance(study, dict) else None
        raise InputError(
            f"{path} is a record of version {found!r} and this elbowroom reads version {VERSION}: "
            f"use the elbowroom that wrote it, or run the study again."
        )
    missing = [key for key in _KEYS if key not in study]
    if missing:
        raise InputError(f"{path} lacks {', '.join(map(repr, missing))}: run the study again.")
    return study


def _from_first(study: dict[str, Any]) -> dict[str, Any]:
    """A record of version 1, whose models had one number, β, and no label."""
    models = [
        {
            **model,
            "label": f"β = {model['beta']:g}",
            "settings": {"beta": model["beta"]},
            "axes": {"β": f"{model['beta']:g}"},
        }
        for model in study.get("models", [])
    ]
    return {**study, "version": 2, "models": models}


def _read_pictures(path: Path) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    if not path.is_file():
        raise InputError(f"{path.parent} holds no {path.name}, so the page has no pictures: run the study again.")
    try:
        pictures = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged ({error}): run the study again.") from error
    missing = [name for name in _PICTURES if name not in pictures]
    if missing:
        raise InputError(f"{path} lacks {', '.join(map(repr, missing))}: run the study again.")
    return {name: np.asarray(array) for name, array in pictures.items()}


def _read_history(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        return [json.loads(row) for row in _text(path).splitlines() if row.strip()]
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is damaged ({error}): run the study again.") from error


def _read_recipe(path: Path) -> Mapping[str, Any] | None:
    import yaml

    if not path.is_file():
        return None
    try:
        content = yaml.safe_load(_text(path))
    except yaml.YAMLError as error:
        raise InputError(f"{path} is damaged ({error}): run the study again.") from error
    return content.get("model") if isinstance(content, dict) else None
