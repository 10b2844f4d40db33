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
    """Read the trained model and the history of a finished run folder.

    Parameters
    ----------
    path : str or Path
        The folder, as `fit(..., run=...)` wrote it.
    modules : mapping of str to Module, optional
        The user's own networks by name, as for `load_model`.

    Returns
    -------
    vae : VAE
        The model at the chosen epoch, in evaluation mode.
    history : History
        Rows per epoch, the epoch kept, and notes.

    Raises
    ------
    InputError
        Where the folder holds no run, one of another version, or one that was not finished.

    Examples
    --------
    >>> import tempfile
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = er.fit(vae, digits, epochs=1, run=folder + "/run", progress=False)
    ...     again, history = read_run(folder + "/run")
    >>> again.latents, len(history.rows)
    (2, 1)
    """
    path = Path(path)
    read_recipe(path)
    if not (path / "summary.json").exists():
        raise InputError(f"The run in {path} was not finished: repeat its fit with resume=True.")
    try:
        summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
        lines = (path / "history.jsonl").read_text(encoding="utf-8").splitlines()
        history = History([json.loads(line) for line in lines], **summary)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"The history in {path} is missing or damaged ({error}): train again.") from error
    return load_model(path / "model.safetensors", modules=modules), history
