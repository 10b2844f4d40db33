"""log p(x) of each row by a trained run, beside that of the examples it was held out on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom import evidence
from elbowroom.evidence.memory import MEMORY, Memory
from elbowroom.numerics import Batch, Estimate, InputError, Rows, count, in_parts, plain_arguments, rounded

from . import read_run
from ._run_data import run_data, run_folder
from .asked_rows import PARTS, asked_rows, in_source_order
from .table_file import refuse_ending, write_table

__all__ = ["RowScores", "score_run"]

_BESIDE = 1_000  # test examples that other rows stand beside
_UNUSUAL = 0.01
_NAMED = 10


@dataclass(frozen=True)
class RowScores:
    """log p(x) of some rows, and where it was written; printed, their mean and what is unusual.

    Parameters
    ----------
    path : Path
        The table.
    estimate : Estimate
        Of each row, in nats.
    alike : array
        [n], whether a row can stand beside the test examples: not with missing cells, where none of these has any.
    test : Estimate, optional
        Of test examples of the run's own data; None for rows of these data, or where they were not to be had.
    remark : str, default ""
        Why there are none.
    """

    path: Path
    estimate: Estimate
    alike: NDArray[np.bool_]
    test: Estimate | None = None
    remark: str = ""

    @property
    def p_values(self) -> NDArray[np.float64] | None:
        """Conformal p-values, [n]: of rows like the test examples, a share of at most p has such a p or a lower one.

        NaN for a row with missing cells where no test example has any: log p of fewer cells is another quantity.
        """
        if self.test is None:
            return None
        as_unlikely = np.searchsorted(np.sort(self.test.values), self.estimate.values, side="right")
        return np.where(self.alike, (1 + as_unlikely) / (1 + len(self.test)), np.nan)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        p = self.p_values
        yield f"these rows: {self.estimate}"
        if p is None or self.test is None:
            yield from [self.remark] if self.remark else []
            return
        yield f"test part:  {self.test}"
        level = max(_UNUSUAL, 1 / (1 + len(self.test)))
        odd = np.flatnonzero(p <= level)
        odd = odd[np.argsort(self.estimate.values[odd], kind="stable")]
        named = ", ".join(map(str, odd[:_NAMED])) + (", …" if len(odd) > _NAMED else "")
        where = f" (the least likely first, counted from 0: {named})" if len(odd) else ""
        judged, verb = int(self.alike.sum()), "is" if len(odd) == 1 else "are"
        yield (
            f"{len(odd):,} of {count(judged, 'row')} {verb} as unlikely as the least likely {level:.1%} of the test "
            f"part{where}; of rows like these about {rounded(level * judged, 1)} would be"
        )
        if judged < len(p):
            yield f"note: {count(len(p) - judged, 'row')} with missing cells, of which the test part has none: no p."


@plain_arguments
def score_run(
    run: str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    part: str = "test",
    draws: int = 500,
    source: Any = None,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = True,
) -> RowScores:
    """Write log p(x) of each row to a table: of the run's data, or of other rows, such as may be unlike them.

    A row per example, in the order of the source: "row", its number there (from 0), "label" where the data have labels,
    "log_p", the importance-weighted bound in nats, "se", the standard error that more draws would remove, and "khat",
    the Pareto shape of its weights, above 0.7 where the draws miss where p(z | x) lies and the row may be likelier than
    is said. Of other rows also "p", the conformal p-value: about the share of the run's test examples that are as
    unlikely. Of rows like these a share of 0.05 has a p of 0.05 or less.

    Parameters
    ----------
    run : str or Path
        A run folder, or a study's folder (then the run of its chosen model).
    out : str or Path
        A .csv, .parquet or .npy file; the last holds a structured array with the same names.
    data : str or Path, optional
        Other rows: a table with the same columns, an array (.npy, .npz), or images of the same size, which are read and
        scaled as the training data were. By default the run's own data.
    part : {"test", "train", "validation"}, default "test"
        The part of the run's own data.
    draws : int, default 500
        Of z from q(z | x), per row.
    source : Any, optional
        The run's own data as `load_data` takes or returns them, where the run's recipe does not find them.
    seed : int, default 0
        Keys all noise, by example.
    memory : int or str, default "1 GiB"
        How much memory a pass through the model may take.
    progress : bool, default True
        Whether standard error shows how far it is.

    Returns
    -------
    RowScores
        The file, and the same numbers.

    Raises
    ------
    InputError
        For another ending or part, other rows for a model that reads contexts or with values that the data cannot have,
        and as `run_data` does.

    References
    ----------
    Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders" (2016).
    Bates, Candès, Lei, Romano & Sesia, "Testing for outliers with conformal p-values" (2023).

    Examples
    --------
    >>> import tempfile
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = er.fit(vae, digits, epochs=1, run=folder + "/run", progress=False)
    ...     np.save(folder + "/noise.npy", np.random.default_rng(0).integers(0, 17, (5, 64)))
    ...     how = {"data": folder + "/noise.npy", "draws": 20, "progress": False}
    ...     found = score_run(folder + "/run", folder + "/scores.csv", **how)
    >>> found.estimate.values.shape, found.p_values.max() < 0.01
    ((5,), np.True_)
    """
    out, folder = Path(out), run_folder(Path(run))
    refuse_ending(out, "Scores")
    if part not in PARTS:
        raise InputError(f"The part is {', '.join(PARTS[:-1])} or {PARTS[-1]}; got {part!r}.")
    vae, _ = read_run(folder)
    (asked,) = asked_rows(folder, vae, data, part, source, progress)
    rows, test, remark = vae.examples(asked.examples), None, ""
    alike = np.ones(len(rows), dtype=bool)
    how: dict[str, Any] = {"draws": draws, "seed": seed, "memory": memory, "progress": progress}
    found = evidence.iwae(vae, rows, **how)
    if data is not None:
        try:
            beside = run_data(folder, source=source, progress=progress).test.some(_BESIDE)
        except InputError as reason:
            remark = f"note: Which of these are unusual is not known without the run's own test part. {reason}"
        else:
            alike, test = _alike(rows, beside), evidence.iwae(vae, beside, **how)
    scores = RowScores(out, found, alike, test, remark)
    columns = {"log_p": found.values, "se": np.sqrt(found.mc_variance), "khat": found.khat}
    columns |= {} if scores.p_values is None else {"p": scores.p_values}
    whole = asked.beside | {name: one for name, one in columns.items() if one is not None}
    write_table(in_source_order(whole), out)
    return scores


def _alike(rows: Rows, beside: Rows) -> NDArray[np.bool_]:
    """Whether a row has all its cells, or those that it stands beside lack some too."""
    if any(not _whole(batch).all() for batch in in_parts(beside)):
        return np.ones(len(rows), dtype=bool)
    return np.concatenate([_whole(batch) for batch in in_parts(rows)])


def _whole(batch: Batch) -> NDArray[np.bool_]:
    return np.ones(len(batch), bool) if batch.seen is None else batch.seen.flatten(1).all(1).cpu().numpy()
