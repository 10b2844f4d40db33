"""Reading a finished run."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from elbowroom.numerics import InputError
from elbowroom.vae import VAE, load_model

from .history import History
from .run_folder import read_recipe

__all__ = ["read_run"]


def read_run(path: str | Path, *, modules: Mapping[str, torch.nn.Module] | None = None) -> tuple[VAE, History]:
    """The kept model and the history of a finished run folder.

    Raises InputError where the folder is none, of another version, or the run was not finished.
    """
    path = Path(path)
    read_recipe(path)
    if not (path / "summary.json").exists():
        raise InputError(f"The run in {path} was not finished: continue it with resume=True.")
    try:
        summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
        lines = (path / "history.jsonl").read_text(encoding="utf-8").splitlines()
        history = History([json.loads(line) for line in lines], **summary)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"The history in {path} is missing or damaged ({error}): train again.") from error
    return load_model(path / "model.safetensors", modules=modules), history
