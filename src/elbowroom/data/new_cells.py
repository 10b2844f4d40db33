"""Cells, old or new, as a trained model reads them: its genes, its batches, sizes on its scale."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import InputError
from elbowroom.numerics.text import name_list

from .beside import context_sources
from .cell_table import CellTable, from_cells, twice_named
from .csr_on_disk import CsrOnDisk
from .dataset import Examples
from .raw import Raw
from .size_factors import LATENT, OBSERVED, sizes_of_others
from .values import Sparse, blocks

__all__ = ["new_cells"]


def new_cells(known: Mapping[str, Any], table: CellTable) -> Examples:
    """The rows of a table of cells, for a model that was trained on data with this summary.

    Parameters
    ----------
    known : mapping
        `Dataset.summary()` of what the model was trained on, as a run's recipe holds it.
    table : CellTable
        The cells; genes are found by name and may stand in another order, among others.

    Returns
    -------
    Examples
        All cells in their order, with the contexts of the training data.

    Raises
    ------
    InputError
        For genes, columns and batches that are missing or that the model does not know.
    """
    loading = known.get("loading", {})
    if "arrays" in loading:
        raise InputError(
            f"The model's data came with arrays ({', '.join(loading['arrays'])}), which these cells cannot have: "
            "train it with names of obs columns."
        )
    told = loading.get("options", {})
    sources = {name: str(given) for name, given in context_sources(told.get("context")).items() if name != "label"}
    sources |= {"batch": told["batch"]} if told.get("batch") else {}
    size = known.get("size_factor") or {}
    columns = [*sources.values(), *([size["word"]] if size and size["word"] not in (OBSERVED, LATENT) else [])]
    own = told.get("labels") if told.get("labels") in table.obs.columns else None
    raw, _ = from_cells(table, own, columns, told.get("drop") or (), told.get("layer"))
    n, words = raw.x.shape[0], known.get("beside_classes", {})
    contexts = {name: _context(name, raw.taken[column], words.get(name)) for name, column in sources.items()}
    if own and known.get("label_names"):
        contexts["label"] = _context("label", raw.taken[own], known["label_names"])
    if size and size["word"] != LATENT:
        contexts["size"] = sizes_of_others(raw, size)
    x = _columns_of(raw, known, twice_named(table, told.get("layer")))
    wide = x.dtype.itemsize > 4 and any((b.astype(np.float32) != b).any() for _, b in blocks(x))
    if "missing" not in known and any(np.isnan(b).any() for _, b in blocks(x)):
        raise InputError(
            f"{raw.what} has cells without a value (NaN), and the model was trained on data that have none: fill them "
            "in, or leave out those rows."
        )
    values = Sparse(x, np.arange(n), (x.shape[1],), bool(wide))
    named = tuple((name, ()) for name in known.get("columns") or ())
    return Examples(values, torch.arange(n), context=contexts, table=named)


def _context(name: str, values: Any, words: list[str] | None) -> Tensor:
    """A context of known words one-hot, or of numbers."""
    array: NDArray[Any] = np.asarray(values)
    if words is None:
        try:
            numbers = np.asarray(array, np.float64).reshape(len(array), -1)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"The context {name!r} holds words, and the model was trained on numbers there: give numbers."
            ) from error
        if not np.isfinite(numbers).all():
            raise InputError(f"The context {name!r} has missing values: fill them in, or drop those rows.")
        return torch.from_numpy(numbers.astype(np.float32))
    whole = array.dtype.kind == "f" and not (array % 1).any()
    cells = [str(cell) for cell in (array.astype(np.int64) if whole else array).tolist()]
    strange = list(dict.fromkeys(cell for cell in cells if cell not in words))
    if strange:
        raise InputError(
            f"The model knows no {name} {name_list(strange)}; it knows {name_list(words)}: leave those cells out, or "
            "name one that they are like."
        )
    codes = torch.tensor([words.index(cell) for cell in cells])
    return torch.nn.functional.one_hot(codes, len(words)).float()


def _columns_of(raw: Raw, known: Mapping[str, Any], twice: Collection[str]) -> Any:
    """The columns that the model reads, in its order; genes of one name are told apart by their order alone."""
    wanted, there = known.get("columns"), raw.columns or []
    if wanted is None or list(wanted) == there:
        return raw.x
    places = {name: place for place, name in enumerate(there)}
    absent = [name for name in wanted if name not in places]
    if absent:
        raise InputError(
            f"{raw.what} lacks {len(absent):,} of the {len(wanted):,} genes that the model reads "
            f"({name_list(absent)}): give cells with all of them."
        )
    kept = np.array([places[name] for name in wanted])
    unclear = [name for name in wanted if name in twice]
    if unclear and (np.diff(kept) < 0).any():
        raise InputError(
            f"{raw.what} has several genes of one name among those that the model reads ({name_list(unclear)}), in "
            "another order than it was trained with, so that nothing tells them apart: give each a name of its own, "
            "as adata.var['gene_ids'] does, in both."
        )
    return raw.x.of_columns(kept) if isinstance(raw.x, CsrOnDisk) else raw.x[:, kept]
