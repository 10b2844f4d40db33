"""Codes of a trained run: where q(z | x) puts each example, and how surely."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.distributions import Independent, OneHotCategorical

from elbowroom.data import Dataset, Examples
from elbowroom.numerics import InputError, plain_arguments
from elbowroom.progress import Progress
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from . import read_run
from ._run_data import run_data, run_folder
from .table_file import write_table

__all__ = ["encode_run"]

_PARTS = ("train", "validation", "test")
_ROWS_AT_ONCE = 1_000


@plain_arguments
def encode_run(
    run: str | Path,
    out: str | Path,
    *,
    part: str = "test",
    source: Any = None,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Write the codes of a run's data to a table: the mean of q(z | x) and its standard deviation, row by row.

    A row per example, in the order of the source: "row", its number there (from 0), "part" where all are written,
    "label" where the data have labels, then "z1", "z2", … (the means) and "z1_sd", "z2_sd", …. Of a block of classes
    there is the probability of each class, and no deviation. Later blocks of a hierarchy are given the means of
    earlier ones.

    Parameters
    ----------
    run : str or Path
        A run folder, or a study's folder (then the run of its chosen model).
    out : str or Path
        A .csv, .parquet or .npy file; the last holds a structured array with the same names.
    part : {"test", "train", "validation", "all"}, default "test"
        The part of the data, or all of them.
    source : Any, optional
        The data as `load_data` takes or returns them, where the run's recipe does not find them.
    seed : int, default 0
        Keys the noise of the preprocessing, and the draws of a q whose mean and deviation have no closed form, by
        example.
    progress : bool, default True
        Whether standard error shows how far it is.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        For another ending or part, and as `run_data` does.

    Examples
    --------
    >>> import tempfile
    >>> import pandas
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = er.fit(vae, digits, epochs=1, run=folder + "/run", progress=False)
    ...     codes = pandas.read_csv(encode_run(folder + "/run", folder + "/codes.csv", progress=False))
    >>> list(codes.columns), len(codes)
    (['row', 'label', 'z1', 'z2', 'z1_sd', 'z2_sd'], 397)
    """
    out, folder = Path(out), run_folder(Path(run))
    if out.suffix.lower() not in (".csv", ".parquet", ".npy"):
        raise InputError(f"Codes are written to .csv, .parquet or .npy; got {out}.")
    if part not in (*_PARTS, "all"):
        raise InputError(f"The part is {', '.join(_PARTS)} or all; got {part!r}.")
    vae, _ = read_run(folder)
    data = run_data(folder, source=source, progress=progress)
    parts = _PARTS if part == "all" else (part,)
    tables = []
    with Progress("encoding", sum(len(data.parts[name]) for name in parts), show=progress) as bar:
        for name in parts:
            for rows in torch.arange(len(data.parts[name])).split(_ROWS_AT_ONCE):
                some = data.parts[name][rows]
                beside = _beside(data, some, name if part == "all" else None)
                tables.append(beside | codes(vae, some, data.beside_classes, seed))
                bar.advance(len(some))
    if not tables:
        raise InputError(f"The {part} part of {data.name!r} has no examples: name another.")
    whole = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    order = np.argsort(whole["row"], kind="stable")
    return write_table({name: values[order] for name, values in whole.items()}, out)


@torch.no_grad()
def codes(vae: VAE, examples: Examples, classes: dict[str, list[str]], seed: int = 0) -> dict[str, Any]:
    """Means of q(z | x), then its standard deviations, by the names of columns.

    Parameters
    ----------
    vae : VAE
        The model.
    examples : Examples
        What it reads.
    classes : dict of list
        Block of classes → their names, where they have any.
    seed : int, default 0
        As for `encode_run`.

    Returns
    -------
    dict of array
        Name → [n].
    """
    means: dict[str, Any] = {}
    deviations: dict[str, Any] = {}
    batch = vae.examples(examples).rows(slice(None))
    with evaluating(vae):
        given, _ = vae.given(batch, vae.keyed_noise(0, batch.index, seed))
        for block, posterior in vae.posterior.items():
            q = posterior(given)
            given[block], variance = vae.moments(block, q, batch.index, seed=seed)
            of_classes = isinstance(q.base_dist if isinstance(q, Independent) else q, OneHotCategorical)
            mean = given[block][0].flatten(1).numpy()
            names = _names(block, posterior.event, classes.get(block) if of_classes else None, of_classes)
            means |= dict(zip(names, mean.T, strict=True))
            if not of_classes:
                sd = variance[0].sqrt().flatten(1).numpy()
                deviations |= {f"{name}_sd": column for name, column in zip(names, sd.T, strict=True)}
    return means | deviations


def _names(block: str, event: Sequence[int], words: list[str] | None, of_classes: bool) -> list[str]:
    """Columns of a block: z1, z2, …; of a block "z2" z2_1, z2_2, …; of classes y=left, y=right; of cells z1=0, z1=1, ….

    >>> _names("z", [2], None, False), _names("z2", [2], None, False), _names("y", [2], ["u", "v"], True)
    (['z1', 'z2'], ['z2_1', 'z2_2'], ['y=u', 'y=v'])
    >>> _names("z", [2, 2], None, True)
    ['z1=0', 'z1=1', 'z2=0', 'z2=1']
    """
    between = "_" if block[-1].isdigit() else ""
    *cells, last = event if of_classes else [*event, 1]
    places = [f"{block}{between}{i + 1}" for i in range(math.prod(cells))] if cells else [block]
    return [f"{place}={word}" for place in places for word in words or range(last)] if of_classes else places


def _beside(data: Dataset, examples: Examples, part: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {"row": examples.index.numpy()}
    if part is not None:
        found["part"] = np.array([part] * len(examples), dtype=object)
    if examples.labels is not None:
        names = data.label_names or []
        found["label"] = np.array([names[code] if names else code for code in examples.labels.tolist()])
    return found
