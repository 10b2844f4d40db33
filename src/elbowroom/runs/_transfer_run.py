"""Examples of a run under another context."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elbowroom.data.given import known_contexts, shown_values
from elbowroom.numerics import InputError, one_of, plain_arguments

from . import read_run
from ._run_data import run_data, run_folder
from .conditions import refuse_no_size, refuse_unread
from .run_folder import read_recipe
from .written import check_out, write_x

__all__ = ["transfer_run"]

_USUAL = 64


@plain_arguments
def transfer_run(
    run: str | Path,
    out: str | Path,
    *,
    given: Mapping[str, Any] | None = None,
    n: int | None = None,
    part: str = "test",
    source: Any = None,
    seed: int = 0,
) -> Path:
    """Write what examples of a run's data become under another context: the mean of p(x | z, context) at their z.

    Parameters
    ----------
    run : str or Path
        A run folder, or a study's folder (then the run of its chosen model).
    out : str or Path
        As for `sample_run`; a table has the number of the row and the new contexts before x.
    given : mapping, optional
        Context → a class by its name, or numbers. Without any, the contexts stay: these are reconstructions.
    n : int, optional
        How many examples, the first of the part; by default 64, or all of fewer.
    part : {"train", "validation", "test"}, default "test"
        Of the data.
    source : Any, optional
        The data, where the run's recipe does not find them, as for `run_data`.
    seed : int, default 0
        Keys the noise of preprocessing.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        For another ending or part, more examples than there are, and a context or class that the model does not know.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import elbowroom as er
    >>> digits = er.load_data("digits", context="label")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = er.fit(vae, digits, epochs=1, run=folder + "/run", progress=False)
    ...     x = np.load(transfer_run(folder + "/run", folder + "/x.npy", given={"label": 3}, n=5))
    >>> x.shape
    (5, 64)
    """
    one_of("part", part, ("train", "validation", "test"))
    out, folder = Path(out), run_folder(Path(run))
    told = read_recipe(folder)["data"]
    check_out(out, told)
    vae, _ = read_run(folder)
    refuse_unread(vae, given or {}, folder)
    data = run_data(folder, source=source)
    examples = data.parts[part]
    if n is not None and not 1 <= n <= len(examples):
        raise InputError(f"n must be 1 to {len(examples):,}, as many as there are {part} examples; got {n:,}.")
    examples = examples[: _USUAL if n is None else n]
    moved = data.given(**(given or {}))
    refuse_no_size(vae, moved)
    x = vae.transfer(examples, context=moved, seed=seed).numpy()
    now = {name: moved.get(name, value).expand_as(value) for name, value in examples.context.items()}
    shown = shown_values(known_contexts(told), {name: now[name] for name in vae.context_names})
    return write_x(out, x, told, {"row": examples.index.numpy(), **shown})
