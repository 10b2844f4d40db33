"""Classes of rows by a trained run: q(y | x), and what is known of y."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.numerics import InputError, plain_arguments
from elbowroom.vae import VAE

from . import read_run
from ._run_data import run_data, run_folder
from .new_rows import new_rows
from .predictions import class_block, probabilities
from .run_folder import read_recipe
from .table_file import write_table

__all__ = ["Predictions", "predict_run"]

_PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Predictions:
    """What was predicted of some rows, and where it was written.

    Parameters
    ----------
    path : Path
        The table.
    classes : tuple of str
        The classes, in the order of the columns of `probabilities`.
    probabilities : array
        q(y | x), [n, classes].
    labels : array
        Class codes of the rows that have a label, −1 of the others, [n].
    """

    path: Path
    classes: tuple[str, ...]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]


@plain_arguments
def predict_run(
    run: str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    part: str = "test",
    source: Any = None,
    seed: int = 0,
    progress: bool = True,
) -> Predictions:
    """Write the class of each row, and the probability of every class by q(y | x), which reads no label, to a table.

    A row per example, in the order of the source: "row", its number there (from 0), "part" where all are written,
    "label" where one is known, "class", the most probable one, and a column of probabilities for each class.

    Parameters
    ----------
    run : str or Path
        The folder of a run whose recipe names a block of classes, as `elbowroom fit DATA --label COLUMN` makes it.
    out : str or Path
        A .csv, .parquet or .npy file; the last holds a structured array with the same names.
    data : str or Path, optional
        Other rows: a table with the same columns, an array (.npy, .npz), or images of the same size, which are read and
        scaled as the training data were. By default the run's own data.
    part : {"test", "train", "validation", "all"}, default "test"
        The part of the run's own data, or all of them.
    source : Any, optional
        The run's own data as `load_data` takes or returns them, where its recipe does not find them.
    seed : int, default 0
        Keys the noise of the preprocessing, by example.
    progress : bool, default True
        Whether standard error shows that data are read.

    Returns
    -------
    Predictions
        The file, and the same numbers.

    Raises
    ------
    InputError
        For a run without classes, another ending or part, and as `run_data` does.

    Examples
    --------
    >>> import tempfile
    >>> import elbowroom as er
    >>> digits = er.load_data("digits", observed="label")
    >>> vae = er.models.build({"classes": "label", "latents": 2, "widths": [8]}, digits)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = er.fit(vae, digits, epochs=1, run=folder + "/run", progress=False)
    ...     found = predict_run(folder + "/run", folder + "/classes.csv", progress=False)
    >>> found.probabilities.shape, found.classes[:3]
    ((397, 10), ('0', '1', '2'))
    """
    folder = run_folder(Path(run))
    if part not in (*_PARTS, "all"):
        raise InputError(f"The part is {', '.join(_PARTS)} or all; got {part!r}.")
    vae, _ = read_run(folder)
    block = class_block(vae)
    known = read_recipe(folder)["data"]
    classes = tuple(known.get("beside_classes", {}).get(block, ()))
    classes = classes or tuple(map(str, range(vae.posterior[block].classes)))
    if data is not None:
        x = new_rows(known, Path(data), dict(vae.coding))
        p, labels = probabilities(vae, block, x, seed), np.full(len(x), -1)
        beside: dict[str, Any] = {"row": np.arange(len(x))}
    else:
        p, labels, beside = _of_parts(vae, block, folder, part, source, seed, progress)
    words = np.array([*classes, ""])
    table = beside | ({"label": words[labels]} if (labels >= 0).any() else {}) | {"class": words[p.argmax(1)]}
    table |= {f"{block}={word}": p[:, place] for place, word in enumerate(classes)}
    return Predictions(write_table(table, Path(out)), classes, p, labels)


def _of_parts(
    vae: VAE, block: str, folder: Path, part: str, source: Any, seed: int, progress: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[str, Any]]:
    """Probabilities, labels, and which rows they are of, in the order of the source."""
    whole = run_data(folder, source=source, progress=progress)
    names = [name for name in (_PARTS if part == "all" else (part,)) if len(whole.parts[name])]
    if not names:
        raise InputError(f"The {part} part of {whole.name!r} has no examples: name another.")
    found, codes, rows, of = [], [], [], []
    for name in names:
        examples = whole.parts[name]
        found.append(probabilities(vae, block, examples, seed))
        value, known = examples.observed[block]
        codes.append(torch.where(known, value.argmax(1), -1).numpy())
        rows.append(examples.index.numpy())
        of += [name] * len(examples)
    order = np.argsort(np.concatenate(rows), kind="stable")
    beside: dict[str, Any] = {"row": np.concatenate(rows)[order]}
    beside |= {"part": np.array(of, dtype=object)[order]} if part == "all" else {}
    return np.concatenate(found)[order], np.concatenate(codes)[order], beside
