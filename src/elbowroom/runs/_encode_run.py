"""Codes of a trained run: where q(z | x) puts each example, and how surely."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.distributions import Independent, OneHotCategorical

from elbowroom.numerics import Rows, in_parts, plain_arguments
from elbowroom.progress import Progress
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from . import read_run
from ._run_data import run_folder
from .asked_rows import asked_rows, in_source_order
from .run_folder import read_recipe
from .table_file import refuse_ending, write_table

__all__ = ["encode_run"]

_ROWS_AT_ONCE = 1_000


@plain_arguments
def encode_run(
    run: str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    part: str = "test",
    source: Any = None,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """Write the codes of a run's data, or of other rows, to a table: mean and deviation of q(z | x) of each.

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
    data : str or Path, optional
        Other rows: a table with the same columns, an array (.npy, .npz), or images of the same size, which are read and
        scaled as the training data were. By default the run's own data.
    part : {"test", "train", "validation", "all"}, default "test"
        The part of the run's own data, or all of them.
    source : Any, optional
        The run's own data as `load_data` takes or returns them, where the run's recipe does not find them.
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
        For another ending or part, other rows for a model that reads contexts, and as `run_data` does.

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
    refuse_ending(out, "Codes")
    vae, _ = read_run(folder)
    asked = asked_rows(folder, vae, data, part, source, progress)
    classes = read_recipe(folder)["data"].get("beside_classes", {})
    tables = []
    with Progress("encoding", sum(len(one.examples) for one in asked), show=progress) as bar:
        for one in asked:
            found = []
            for batch in in_parts(vae.examples(one.examples), most=_ROWS_AT_ONCE):
                found.append(codes(vae, batch, classes, seed))
                bar.advance(len(batch))
            tables.append(one.beside | {name: np.concatenate([part[name] for part in found]) for name in found[0]})
    whole = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    return write_table(in_source_order(whole), out)


@torch.no_grad()
def codes(vae: VAE, examples: Rows, classes: dict[str, list[str]], seed: int = 0) -> dict[str, Any]:
    """Means of q(z | x), then its standard deviations, by the names of columns.

    Parameters
    ----------
    vae : VAE
        The model.
    examples : Rows
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
