"""The data of a trained run."""

from pathlib import Path
from typing import Any

from elbowroom.data import Dataset, load_data
from elbowroom.numerics import InputError
from elbowroom.records import chosen_run

from .run_folder import read_recipe

__all__ = ["run_data", "run_folder"]


def run_data(folder: str | Path, *, source: Any = None) -> Dataset:
    """Load the data that a run was trained on, by its recipe, and check that they are the same.

        Parameters
    ----------
    folder : str or Path
        The run folder.
    source : Any, optional
        The data as `load_data` takes them, where the name or path in the recipe does not find them; or a Dataset,
        where they came with an array of labels, contexts, observed blocks or missing cells.

    Returns
    -------
    Dataset
        In the same three parts. The preprocessing stands in the run's model; here the data have none.

    Raises
    ------
    InputError
        Where the data are others, by their sha256, or split otherwise.

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
    known = read_recipe(Path(folder))["data"]
    data = source if isinstance(source, Dataset) else _load(known, source)
    same, found = ("sha256", "sizes", "official", "split_seed"), data.summary()
    if any(found[name] != known[name] for name in same):
        raise InputError(
            f"These are not the data that the run in {folder} was trained on, in the same parts ({known['name']}, "
            f"sha256 {known['sha256'][:12]}…): give the right ones as source=, or the Dataset of load_data."
        )
    return data


def _load(known: dict[str, Any], source: Any) -> Dataset:
    """The data that a recipe names, split as it says."""
    sizes = {name: n for name, n in known["sizes"].items() if name != "train" and name not in known["official"]}
    flat = len(known["event"]) == 1 if known["image_shape"] else None
    given = _where(known) if source is None else source
    labels = known.get("label_column")
    return load_data(given, preprocess="none", labels=labels, seed=known["split_seed"], flat=flat, **sizes)


def run_folder(path: Path) -> Path:
    """The run itself, where the path is a study's: that of its chosen model."""
    return chosen_run(path) or path


def _where(known: dict[str, Any]) -> str:
    """The file that the data came from, where it is still there; else their name."""
    path = Path(str(known["source"])).expanduser()
    return str(path) if path.exists() else str(known["name"])
