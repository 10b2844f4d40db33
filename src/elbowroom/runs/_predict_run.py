"""Classes of rows by a trained run: q(y | x), and what is known of y."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.numerics import plain_arguments
from elbowroom.vae import VAE

from . import read_run
from ._run_data import run_folder
from .asked_rows import Asked, asked_rows, in_source_order
from .predictions import class_block, probabilities
from .run_folder import read_recipe
from .table_file import write_table

__all__ = ["Predictions", "predict_run"]


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
    vae, _ = read_run(folder)
    block = class_block(vae)
    classes = tuple(read_recipe(folder)["data"].get("beside_classes", {}).get(block, ()))
    classes = classes or tuple(map(str, range(vae.posterior[block].classes)))
    found = in_source_order(_columns(vae, block, asked_rows(folder, vae, data, part, source, progress), seed))
    p, labels = found.pop("p"), found.pop("label")
    words = np.array([*classes, ""])
    table = found | ({"label": words[labels]} if (labels >= 0).any() else {}) | {"class": words[p.argmax(1)]}
    table |= {f"{block}={word}": p[:, place] for place, word in enumerate(classes)}
    return Predictions(write_table(table, Path(out)), classes, p, labels)


def _columns(vae: VAE, block: str, asked: list[Asked], seed: int) -> dict[str, Any]:
    """Which rows they are, their probabilities and their codes, -1 where none is known, part after part."""
    tables = [
        {name: values for name, values in one.beside.items() if name != "label"}
        | {"p": probabilities(vae, block, one.examples, seed), "label": _codes(one.examples, block)}
        for one in asked
    ]
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _codes(examples: Any, block: str) -> NDArray[np.int64]:
    observed = getattr(examples, "observed", {})  # a batch of other rows has none
    if block not in observed:
        return np.full(len(examples), -1)
    value, known = observed[block]
    return torch.where(known, value.argmax(1), -1).numpy()
