"""The data of a trained run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from elbowroom.data import Dataset, load_data
from elbowroom.data.loading import options_of
from elbowroom.numerics import InputError, plain_arguments
from elbowroom.records import chosen_run

from .run_folder import data_that_differ, read_recipe

__all__ = ["run_data", "run_folder"]


@plain_arguments
def run_data(folder: str | Path, *, source: Any = None, progress: bool = False) -> Dataset:
    """Load the data that a run was trained on, as its recipe says, and check that they are the same.

    Parameters
    ----------
    folder : str or Path
        The run folder.
    source : Any, optional
        The data as `load_data` takes them, where the recipe does not find them; they are loaded with the options that
        the recipe holds. Or a Dataset, where the options were arrays (of labels, contexts or observed blocks) or the
        parts are others than `load_data` draws.
    progress : bool, default False
        Whether standard error shows that data are read.

    Returns
    -------
    Dataset
        In the same three parts.

    Raises
    ------
    InputError
        Where the data are not found, or are others, by their sha256 and by which examples are in which part.

    Examples
    --------
    >>> import tempfile
    >>> import elbowroom as er
    >>> digits = er.load_data("digits", seed=3)
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = er.fit(vae, digits, epochs=1, run=folder + "/run", progress=False)
    ...     data = run_data(folder + "/run")
    >>> bool((data.test.index == digits.test.index).all())
    True
    """
    folder = Path(folder)
    known = read_recipe(folder)["data"]
    data = source if isinstance(source, Dataset) else _load(folder, known, source, progress)
    differ = data_that_differ(known, data.summary())
    if differ:
        raise InputError(
            f"These are not the data that the run in {folder} was trained on ({known['name']}): {differ}; give the "
            f"right ones as source=."
        )
    return data


def run_folder(path: Path) -> Path:
    """The run itself, where the path is a study's: that of its chosen model."""
    return chosen_run(path) or path


def _load(folder: Path, known: Mapping[str, Any], source: Any, progress: bool) -> Dataset:
    """The data that a recipe names, as it says they were loaded."""
    loading = known.get("loading") or _loading_of_old(known)
    if "arrays" in loading:
        raise InputError(
            f"The data of the run in {folder} came with arrays ({', '.join(loading['arrays'])}), which no recipe "
            f"holds: measure it in Python, and give the Dataset that it was trained on."
        )
    where = _where(folder, loading) if source is None else source
    return load_data(where, **options_of(loading), progress=progress)


def _where(folder: Path, loading: Mapping[str, Any]) -> str:
    """The name of a public data set, or the first place at which the file is found."""
    if "named" in loading:
        return str(loading["named"])
    if "path" not in loading:
        held = loading.get("held", "Dataset")
        raise InputError(
            f"The data of the run in {folder} came from memory ({held}) and not from a file: give them again as "
            f"source=."
        )
    found = next((path for path in _places(folder, loading) if path.exists()), None)
    if found is None:
        raise InputError(
            f"The data of the run in {folder} are no longer at {loading['absolute']}: say where they are now with "
            f"source=."
        )
    return str(found)


def _places(folder: Path, loading: Mapping[str, Any]) -> Iterator[Path]:
    """Where a file may lie: where it was, at the path as given from here, or, moved with the run, from above it."""
    given = Path(loading["path"]).expanduser()
    yield from (Path(loading["absolute"]), given)
    if not given.is_absolute():
        yield from (above / given for above in folder.absolute().parents)


def _loading_of_old(known: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a run whose recipe does not hold it, as far as the recipe tells."""
    path = Path(str(known["source"])).expanduser()
    where = {"path": str(path), "absolute": str(path)} if path.exists() else {"named": known["name"]}
    sizes = {name: n for name, n in known["sizes"].items() if name != "train" and name not in known["official"]}
    said = {"labels": known.get("label_column"), "seed": known["split_seed"], **sizes}
    said["flat"] = len(known["event"]) == 1 if known["image_shape"] else None
    return {**where, "options": {name: value for name, value in said.items() if value is not None}}
