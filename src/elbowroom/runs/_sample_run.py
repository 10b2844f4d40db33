"""Samples of a trained run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from elbowroom.data.given import known_contexts, shown_values
from elbowroom.numerics import plain_arguments

from . import read_run
from ._run_data import run_folder
from .conditions import conditions_of
from .run_folder import read_recipe
from .written import check_out, write_x

__all__ = ["sample_run"]


@plain_arguments
def sample_run(
    run: str | Path,
    out: str | Path,
    *,
    n: int = 64,
    given: Mapping[str, Any] | None = None,
    mode: Any = "ancestral",
    offset: float = 0.0,
    source: Any = None,
    seed: int = 0,
) -> Path:
    """Draw x from a trained run and write it to a file, on the user's scale.

    Parameters
    ----------
    run : str or Path
        A run folder, or a study's folder (then the run of its chosen model).
    out : str or Path
        A .npy file, [n, *event]; a .csv or .parquet file, a table with the names of the data's columns and the words
        of their classes, and of a model that reads contexts these too; or, of images, a .png with all of them on one
        sheet, or a folder, in which each becomes a file.
    n : int, default 64
        How many.
    given : mapping, optional
        Of a model that reads contexts: context → a class by its name, or numbers. Contexts that are not given are
        those of training rows drawn by the seed, among rows of the given classes where there are some.
    mode : {"ancestral", "mean", "offset"}, default "ancestral"
        As for `VAE.sample`: only "ancestral" draws x as the model says.
    offset : float, default 0.0
        Standard deviations of p(x | z) that "offset" adds to its mean.
    source : Any, optional
        The data from which contexts that are not given are taken, where the run's recipe does not find them, as for
        `run_data`.
    seed : int, default 0
        Of z and of x.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        For another ending, a .png of what are no images, and a context or class that the model does not know.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = er.fit(vae, digits, epochs=1, run=folder + "/run", progress=False)
    ...     x = np.load(sample_run(folder + "/run", folder + "/x.npy", n=4))
    >>> x.shape
    (4, 64)
    """
    out, folder = Path(out), run_folder(Path(run))
    data = read_recipe(folder)["data"]
    check_out(out, data)
    vae, _ = read_run(folder)
    context = conditions_of(vae, folder, given or {}, n, source=source, seed=seed)
    x = vae.sample(n, mode=mode, offset=offset, seed=seed, context=context).numpy()
    return write_x(out, x, data, shown_values(known_contexts(data), context))
