"""The cells of an SCVI model of scvi-tools as a data set, with the library and the batches that it reads."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from elbowroom.data import Dataset, Examples
from elbowroom.data._values_of import values_of
from elbowroom.data.notes import fingerprints
from elbowroom.data.values import is_sparse
from elbowroom.numerics import InputError, Support
from elbowroom.preprocess import Identity

__all__ = ["scvi_data"]


def scvi_data(model: Any) -> Dataset:
    """The cells that an SCVI model of scvi-tools was made with, as `from_scvi`'s VAE reads them, in the model's parts.

    Test cells are those that scvi-tools held out, and where it held none out those by which it stopped or could have.

    Parameters
    ----------
    model : SCVI or LinearSCVI
        Trained; counts, batches and size factors are read by its own `adata_manager`.

    Returns
    -------
    Dataset
        Counts with the contexts "library" and, where there are batches, "batch"; its notes say where test comes from.

    Raises
    ------
    InputError
        For an untrained model, no cells held out, data that were not counts, or cells without any.

    Examples
    --------
    >>> scvi_data(torch.nn.Linear(2, 2))
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: model is an SCVI of scvi-tools with its cells (adata_manager); got a Linear.
    """
    manager = getattr(model, "adata_manager", None)
    if manager is None:
        raise InputError(
            f"model is an SCVI of scvi-tools with its cells (adata_manager); got a {type(model).__name__}."
        )
    x = manager.get_from_registry("X")
    x = x.tocsr() if is_sparse(x) else np.asarray(x)
    parts, notes = _parts(model, x.shape[0])
    context, words = _context(model, manager, x)
    _refuse_fractions(x)
    wide = bool(x.max() >= 2**24)
    _, digest = fingerprints(x, wide, None, {name: [value] for name, value in context.items()})
    event = (int(x.shape[1]),)

    def part(rows: np.ndarray) -> Examples:
        own = {name: value[rows] for name, value in context.items()}
        return Examples(values_of(x, rows, event, wide), torch.from_numpy(rows), context=own, data=digest)

    return Dataset(
        name="cells",
        train=part(parts["train"]),
        validation=part(parts["validation"]),
        test=part(parts["test"]),
        support=Support("counts"),
        preprocess=Identity(),
        event=event,
        image_shape=None,
        columns=[str(name) for name in model.adata.var_names],
        label_names=None,
        source="scvi-tools",
        sha256=digest,
        split_seed=0,
        notes=notes,
        beside_classes=words,
        conditions=tuple(context),
    )


def _parts(model: Any, cells: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """Rows of each part as scvi-tools drew them, and what to say."""
    names = ("train", "validation", "test")
    found = {name: getattr(model, f"{name}_indices", None) for name in names}
    rows = {name: np.sort(np.asarray([] if one is None else one, dtype=np.int64)) for name, one in found.items()}
    sizes = {name: len(one) for name, one in rows.items()}
    if not sizes["train"] or not sizes["validation"] + sizes["test"]:
        raise InputError(
            "This model says of no cells that they were held out of its training: train it with train_size=0.8, "
            "validation_size=0.1, and give the cells that it was trained with."
        )
    if max(one.max(initial=0) for one in rows.values()) >= cells or sum(sizes.values()) != cells:
        raise InputError(
            f"The model was trained with {sum(sizes.values()):,} cells and these are {cells:,}: give the file it was "
            f"trained with, as what it held out is known by place."
        )
    if not sizes["test"]:
        half = len(rows["validation"]) // 2
        drawn = np.random.default_rng(0).permutation(rows["validation"])
        rows["validation"], rows["test"] = np.sort(drawn[:half]), np.sort(drawn[half:])
        said = (
            "scvi-tools held no test cells out: half of its validation cells stand in, which early stopping has seen."
        )
        return rows, [said]
    if not sizes["validation"]:
        rows["validation"] = rows["train"][-max(len(rows["train"]) // 10, 1) :]
        return rows, ["scvi-tools held no validation cells out: the last tenth of train stands in."]
    return rows, []


def _context(model: Any, manager: Any, x: Any) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """Library and batches of each cell, and the words of the batches."""
    module, context, words = model.module, {}, {}
    total = np.asarray(x.sum(1), dtype=np.float64).reshape(-1)
    if not total.all():
        raise InputError(
            f"{int((total == 0).sum()):,} cells have no counts in the model's genes, where its library is log 0: "
            f"leave them out (sc.pp.filter_cells) and train again."
        )
    if module.use_size_factor_key:
        total = np.asarray(manager.get_from_registry("size_factor"), dtype=np.float64).reshape(-1)
    if module.use_observed_lib_size:
        context["library"] = torch.from_numpy(total).float().unsqueeze(1)
    if module.n_batch > 1:
        codes = torch.from_numpy(np.asarray(manager.get_from_registry("batch"), dtype=np.int64).reshape(-1))
        context["batch"] = torch.nn.functional.one_hot(codes, int(module.n_batch)).float()
        words["batch"] = [str(one) for one in manager.get_state_registry("batch").categorical_mapping]
    return context, words


def _refuse_fractions(x: Any) -> None:
    values = x.data if is_sparse(x) else x
    if values.size and (bool((values < 0).any()) or bool((values != np.floor(values)).any())):
        raise InputError(
            "The model was trained on values that are no counts (negative or fractions), which none of its likelihoods "
            "is a probability of: set it up with the layer that holds counts."
        )
