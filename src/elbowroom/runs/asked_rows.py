"""The rows that a command about a trained run reads: those of the run's own data, or others from a file."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from elbowroom.data import Dataset, Examples
from elbowroom.numerics import InputError, as_batch
from elbowroom.vae import VAE

from ._run_data import run_data
from .new_rows import new_rows
from .run_folder import read_recipe

__all__ = ["PARTS", "Asked", "asked_rows", "in_source_order"]

PARTS = ("train", "validation", "test")


class Asked(NamedTuple):
    """Some rows, and what is written beside each.

    Attributes
    ----------
    examples : Examples or Batch
        As `VAE.examples` takes them.
    beside : dict of array
        Name → [n]: "row", the number in the source (from 0), "part" where several are asked for, and "label".
    """

    examples: Any
    beside: dict[str, Any]


def asked_rows(folder: Path, vae: VAE, data: Any, part: str, source: Any, progress: bool) -> list[Asked]:
    """Read the rows of a file, or of a part of the run's own data, or of all its parts.

    Parameters
    ----------
    folder : Path
        The run.
    vae : VAE
        Its model.
    data : str, Path or None
        A file of other rows, read and scaled as the training data were.
    part : {"train", "validation", "test", "all"}
        Of the run's own data, where there is no file.
    source : Any
        The run's own data, where its recipe does not find them.
    progress : bool
        Whether standard error shows that data are read.

    Returns
    -------
    list of Asked
        One, or one for each part that has examples.

    Raises
    ------
    InputError
        For another part or one without examples, a file of rows for a model that reads contexts, and as `run_data` and
        `new_rows` do.
    """
    if part not in (*PARTS, "all"):
        raise InputError(f"The part is {', '.join(PARTS)} or all; got {part!r}.")
    if data is not None:
        _refuse_contexts(vae)
        x = as_batch(new_rows(read_recipe(folder)["data"], Path(data), dict(vae.coding)))
        return [Asked(x, {"row": x.index.numpy()})]
    whole = run_data(folder, source=source, progress=progress)
    names = [name for name in (PARTS if part == "all" else (part,)) if len(whole.parts[name])]
    if not names:
        raise InputError(f"The {part} part of {whole.name!r} has no examples: name another.")
    several = part == "all"
    return [Asked(whole.parts[name], _beside(whole, whole.parts[name], name if several else None)) for name in names]


def in_source_order(columns: dict[str, Any]) -> dict[str, Any]:
    """Named columns, each in the order of "row", the number in the source.

    Parameters
    ----------
    columns : dict of array
        Name → [n, ...], "row" among them.

    Returns
    -------
    dict of array
        The same.

    Examples
    --------
    >>> in_source_order({"row": np.array([7, 2]), "z": np.array([0.5, 1.5])})
    {'row': array([2, 7]), 'z': array([1.5, 0.5])}
    """
    order = np.argsort(columns["row"], kind="stable")
    return {name: np.asarray(values)[order] for name, values in columns.items()}


def _refuse_contexts(vae: VAE) -> None:
    if vae.context_names:
        raise InputError(
            f"This model reads {', '.join(map(repr, vae.context_names))} beside x, which no file of other rows brings: "
            f"in Python, give the estimator or vae.encode a Batch(x, index, context=...)."
        )


def _beside(data: Dataset, examples: Examples, part: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"row": examples.index.numpy()}
    if part is not None:
        found["part"] = np.array([part] * len(examples), dtype=object)
    if examples.labels is not None:
        names = data.label_names or []
        found["label"] = np.array([names[code] if names else code for code in examples.labels.tolist()])
    return found
