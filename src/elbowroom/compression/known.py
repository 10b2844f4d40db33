"""What a run knows of its contexts: their words, and where they stand in data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.data.beside import context_sources
from elbowroom.numerics import InputError
from elbowroom.runs._run_data import run_folder
from elbowroom.runs.run_folder import read_recipe
from elbowroom.vae import VAE
from elbowroom.vae.meanings import SIZE

__all__ = ["Known", "known_of"]

_LABEL = "label"


@dataclass(frozen=True)
class Known:
    """What is known of the contexts of a model.

    Parameters
    ----------
    names : tuple of str
        What the model reads.
    words : mapping
        Context → the words of its classes.
    called : mapping
        Context → the column that held it, where that has another name.
    summary : mapping
        Of the data that a run was trained on; nothing for a model that comes without its run.
    """

    names: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    called: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def read(self) -> dict[str, tuple[str, ...]]:
        """Names that columns with contexts and sizes may have, and the words of their classes."""
        word = (self.summary.get("size_factor") or {}).get("word")
        found: dict[str, tuple[str, ...]] = {word: ()} if word else {}
        found |= {name: tuple(self.words.get(name, ())) for name in self.names}
        return found | {at: tuple(self.words.get(name, ())) for name, at in self.called.items()}

    def at(self, name: str, arrays: Mapping[str, Any]) -> str:
        """What a context is called in these arrays: as when the run was trained, else as the model calls it."""
        told = self.called.get(name, name)
        return name if told not in arrays and name in arrays else told

    @property
    def of_model(self) -> "Known":
        """The same for arrays that are called, coded and scaled as the model reads them."""
        return replace(self, called={}, summary={})

    def sizes(self, totals: NDArray[np.float64], columns: int, arrays: Mapping[str, Any]) -> NDArray[np.float32] | None:
        """Size factors on the model's scale, [n, 1], of totals over so many columns or of a column by its name.

        None where they stand there themselves, as an array 'size'.
        """
        told = self.summary.get("size_factor")
        if SIZE not in self.names or not told:
            return None
        own = told["word"] == "observed"
        if not own and told["word"] in arrays:
            totals = _as_sizes(told["word"], arrays[told["word"]])
        elif SIZE in arrays and not (own and told["columns"] == columns):
            return None
        elif not own or told["columns"] != columns:
            raise InputError(
                f"The model reads 'size', by {told['word']!r} over {told['columns']:,} columns, which these data do "
                f"not have: give the rows with all columns, or the sizes themselves as an array 'size' beside x."
            )
        if not (np.isfinite(totals) & (totals > 0)).all():
            raise InputError("A row of these data has the size 0 or none: leave it out.")
        return (totals / told["mean"]).astype(np.float32)[:, None]


def _as_sizes(name: str, values: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name!r} holds what is no number, and the model reads sizes there: mend it, or leave those rows out."
        ) from error


def known_of(model: VAE | str | Path, vae: VAE) -> Known:
    """What is known of the contexts of a model.

    Parameters
    ----------
    model : VAE, str or Path
        The model itself, or its run.
    vae : VAE
        The model.

    Returns
    -------
    Known
        What it reads, and how.
    """
    words = {name: tuple(told) for name, told in vae.coding if name != SIZE and name in vae.context_names}
    if isinstance(model, VAE):
        return Known(vae.context_names, words)
    summary = read_recipe(run_folder(Path(model)))["data"]
    words |= {name: tuple(told) for name, told in (summary.get("beside_classes") or {}).items()}
    if summary.get("label_names"):
        words[_LABEL] = tuple(map(str, summary["label_names"]))
    options = summary.get("loading", {}).get("options", {})
    called = {name: at for name, at in context_sources(options.get("context")).items() if isinstance(at, str)}
    called |= {"batch": options["batch"]} if isinstance(options.get("batch"), str) else {}
    if isinstance(options.get("labels"), str):
        called[_LABEL] = options["labels"]
    elif summary.get("label_column"):
        called.setdefault(_LABEL, str(summary["label_column"]))
    return Known(vae.context_names, words, called, summary)
