"""The missing cells of a trained run's data, filled in."""

from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from elbowroom.imputation import impute
from elbowroom.imputation.imputations import joined
from elbowroom.numerics import InputError, one_of, plain_arguments

from . import read_run
from ._run_data import run_data, run_folder
from .written import with_whole_numbers

__all__ = ["impute_run"]

_PARTS = ("all", "train", "validation", "test")


@plain_arguments
def impute_run(
    run: str | Path,
    out: str | Path,
    *,
    columns: Sequence[str] | None = None,
    imputations: int = 10,
    part: str | None = None,
    draws: int = 500,
    source: Any = None,
    seed: int = 0,
    progress: bool = True,
) -> list[str]:
    """Fill in the missing cells of a run's data, or predict some columns from the others, and write the tables.

    Rows are in the order of the source, and each table begins with "row", their number there (from 0).

    Parameters
    ----------
    run : str or Path
        A run folder, or a study's folder (then the run of its chosen model).
    out : str or Path
        A .csv file NAME.csv, which gets the table completed with medians. Beside it stand NAME-interval.csv, the ends
        of the 95 % interval of every column with missing cells, and NAME-1.csv, NAME-2.csv, …, the imputations.
    columns : sequence of str, optional
        Names of columns that are predicted from the others, as for `impute`: they are left out, and the lines say how
        near the draws come to what they hold.
    imputations : int, default 10
        How many completed tables are drawn.
    part : {"all", "train", "validation", "test"}, optional
        Which rows. By default all, and the test rows where columns are predicted.
    draws : int, default 500
        Weighted draws of z per row, as for `impute`.
    source : Any, optional
        The data, where the run's recipe does not name them, as for `run_data`.
    seed : int, default 0
        Seed of all noise.
    progress : bool, default True
        Whether to show progress on standard error.

    Returns
    -------
    list of str
        What was imputed, and the files, to print.

    Raises
    ------
    InputError
        For another ending or part, or data without a missing cell.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import elbowroom as er
    >>> impute_run("runs/x", "table.png")
    Traceback (most recent call last):
    elbowroom.numerics.errors.InputError: Completed tables are written to .csv; got table.png.
    """
    out = Path(out)
    if out.suffix != ".csv":
        raise InputError(f"Completed tables are written to .csv; got {out}.")
    part = part or ("all" if columns is None else "test")
    one_of("part", part, _PARTS if columns is None else _PARTS[1:])
    folder = run_folder(Path(run))
    data = run_data(folder, source=source)
    vae, _ = read_run(folder)
    chosen = data if part == "all" else data.parts[part]
    how: dict[str, Any] = {"columns": columns, "imputations": imputations, "draws": draws, "seed": seed}
    found = joined([impute(vae, chosen, samples=max(200, imputations), data=data, progress=progress, **how)])
    if not len(found.rows):
        raise InputError(f"No cell of these rows of {data.name!r} is missing, so there is nothing to fill in.")
    out.parent.mkdir(parents=True, exist_ok=True)
    tables = {f"-{k + 1}": found.to_frame(k) for k in range(imputations)}
    files = []
    for ending, table in {"": found.to_frame(), "-interval": intervals(found), **tables}.items():
        files.append(out.with_name(f"{out.stem}{ending}.csv"))
        _with_rows(with_whole_numbers(table)).to_csv(files[-1], index=False)
    return [*str(found).splitlines(), *map(str, files)]


def _with_rows(table: Any) -> Any:
    """A table with the numbers of its rows in the source before the others, under a name that none of them has."""
    name = next(one for one in chain(["row"], (f"row ({i})" for i in count(2))) if one not in table.columns)
    table.insert(0, name, table.index)
    return table


def intervals(found: Any) -> Any:
    """The ends of the 95 % interval, NAME low and NAME high, of every column of numbers with missing cells."""
    import pandas as pd

    low, high = (found.framed(end) for end in found.interval())
    gaps = [low.columns[i] for i in sorted(set(found.cells.tolist()))]
    ends = {f"{name} {word}": table[name] for name in gaps for word, table in (("low", low), ("high", high))}
    kept = {name: values for name, values in ends.items() if name.rsplit(" ", 1)[0] not in found.classes}
    return pd.DataFrame(kept, index=low.index)
