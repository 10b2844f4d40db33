"""Codes, means and log p(x) of a model, written into an AnnData object or a copy of its file."""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.data import Dataset, Examples
from elbowroom.data.anndata_objects import is_anndata, needs_anndata, of_anndata, of_h5ad
from elbowroom.data.memory import refuse_what_exceeds_memory
from elbowroom.data.new_cells import new_cells
from elbowroom.evidence.memory import MEMORY, Memory
from elbowroom.numerics import InputError, own_modes, plain_arguments
from elbowroom.runs import read_run, run_data
from elbowroom.runs._run_data import run_folder
from elbowroom.runs.run_folder import read_recipe
from elbowroom.vae import VAE

from .file_copy import FileCopy
from .measured import MEANS_OF, Measured, measured

__all__ = ["annotate"]


@own_modes
@plain_arguments
def annotate(
    model: Any,
    cells: Any,
    *,
    out: str | Path | None = None,
    data: Dataset | None = None,
    denoised: bool = True,
    draws: int = 100,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = True,
) -> Any:
    """Write what a model knows of cells into an AnnData object, or into a copy of an .h5ad file.

    `obsm["X_elbowroom"]` gets the means of q(z | x) (other blocks of latents `obsm["X_elbowroom_BLOCK"]`);
    `layers["denoised"]` the means of counts that the decoder states, averaged over draws of q(z | x), at each cell's
    own batch and size (`obsm["denoised"]` where the model reads some of the genes alone, which
    `uns["elbowroom"]["genes"]` names); `obs["log_px"]` the importance-weighted lower bound on log p(x) of each cell in
    nats, `obs["log_px_error"]` its standard error from draws; `obs["elbowroom_part"]` the part that a cell was in,
    where these are the cells of the run. `uns["elbowroom"]` says what was estimated, how, and of which data. Nothing
    else is changed.

    Parameters
    ----------
    model : str, Path or VAE
        A run folder, or a study's (then the run of its chosen model); or a model, with `data`.
    cells : AnnData, str or Path
        An object, which is changed, or an .h5ad file, which is not. Genes are found by name; they may be other cells
        than the model was trained on.
    out : str or Path, optional
        Of a file: the new one, which must not be there yet.
    data : Dataset, optional
        Of a VAE: what it was trained on.
    denoised : bool, default True
        Whether means of counts are written: n × genes numbers of 4 bytes.
    draws : int, default 100
        Of z for each cell, for the bound on log p(x); means of counts take 25 of them at most.
    seed : int, default 0
        Keys all noise, by cell.
    memory : int or str, default "1 GiB"
        What one pass of the bound may hold.
    progress : bool, default True
        Whether standard error shows how far it is.

    Returns
    -------
    AnnData or Path
        What was written into.

    Raises
    ------
    InputError
        For cells that the model cannot read, and where a file would be overwritten.
    CapabilityError
        Where p(x | z) has no mean.

    Examples
    --------
    >>> import anndata
    >>> import elbowroom as er
    >>> adata = anndata.AnnData(np.random.default_rng(0).poisson(3.0, (40, 6)).astype("f4"))
    >>> data = er.load_data(adata, size_factor="observed")
    >>> vae = er.models.build({"latents": 2, "widths": [8], "likelihood": "poisson"}, data)
    >>> _ = er.fit(vae, data, epochs=1, progress=False)
    >>> annotate(vae, adata, data=data, draws=5, progress=False).obsm["X_elbowroom"].shape
    (40, 2)
    """
    if draws < 2:
        raise InputError(f"draws must be 2 or more, so that the bound has an error; got {draws}.")
    vae, known, own = _model(model, data, cells)
    given = {"draws": draws, "seed": seed, "memory": memory, "progress": progress}
    if is_anndata(cells):
        if out is not None:
            raise InputError("out= is for a file: an AnnData is written into itself; adata.write_h5ad(out) saves it.")
        return _into_object(vae, known, own, cells, denoised, given)
    return _into_file(vae, known, own, Path(cells), out, denoised, given)


def _into_object(
    vae: VAE, known: Mapping[str, Any], own: Dataset | None, adata: Any, denoised: bool, given: Mapping[str, Any]
) -> Any:
    examples = new_cells(known, of_anndata(adata))
    means: NDArray[np.float32] | None = None
    if denoised:
        shape = (len(examples), *examples.event)
        refuse_what_exceeds_memory(
            "The denoised counts", shape, np.dtype(np.float32), "say denoised=False, or give a file"
        )
        means = np.empty(shape, np.float32)

    def take(places: slice, some: NDArray[np.float32]) -> None:
        assert means is not None
        means[places] = some

    found = measured(vae, examples, take if denoised else None, **given)
    whole = _all_genes(examples, adata.n_vars, adata.var_names)
    for name, values in _columns(found, own).items():
        adata.obs[name] = values
    for name, codes in found.codes.items():
        adata.obsm[_key(name)] = codes
    if means is not None:
        (adata.layers if whole else adata.obsm)["denoised"] = means
    adata.uns["elbowroom"] = _certificate(vae, known, own, found, examples, whole, denoised)
    return adata


def _into_file(
    vae: VAE,
    known: Mapping[str, Any],
    own: Dataset | None,
    path: Path,
    out: str | Path | None,
    denoised: bool,
    given: Mapping[str, Any],
) -> Path:
    if out is None:
        raise InputError(f"{path.name!r} is not changed: say where the annotated copy goes by out=NEW.h5ad.")
    if not path.is_file() or path.suffix.lower() != ".h5ad":
        raise InputError(f"{str(path)!r} is no .h5ad file: anndata writes one of any table of cells.")
    if Path(out).exists():
        raise InputError(f"{str(out)!r} is there already and is not overwritten: give out= another name, or move it.")
    table = of_h5ad(path)
    examples = new_cells(known, table)
    genes = next((list(one.genes) for name, one in table.matrices.items() if name != "raw"), [])
    whole = _all_genes(examples, len(genes), genes)
    with FileCopy(path, Path(out)) as copy:
        take = copy.matrix("layers" if whole else "obsm", "denoised", examples) if denoised else None
        found = measured(vae, examples, take, **given)
        for name, values in _columns(found, own).items():
            copy.column(name, values, _said(found) if name.startswith("log_px") else {})
        for name, codes in found.codes.items():
            copy.element("obsm", _key(name), codes)
        copy.element("uns", "elbowroom", _certificate(vae, known, own, found, examples, whole, denoised))
    return Path(out)


def _model(model: Any, data: Dataset | None, cells: Any) -> tuple[VAE, Mapping[str, Any], Dataset | None]:
    """A model, the summary of its data, and these where they are the cells."""
    needs_anndata("Annotating")
    if isinstance(model, VAE):
        if data is None:
            raise InputError("A model alone does not say how its cells were read: give data=, what it was trained on.")
        known = data.summary()
        read = lambda: data if _same_as(data, cells) else None  # noqa: E731
        return model, known, read()
    folder = run_folder(Path(model))
    vae, _ = read_run(folder)
    try:
        own = run_data(folder, source=cells if is_anndata(cells) else str(cells))
    except InputError:  # other cells
        own = None
    return vae, read_recipe(folder)["data"], own


def _same_as(data: Dataset, cells: Any) -> bool:
    from elbowroom.data import load_data
    from elbowroom.data.loading import options_of

    if "arrays" in data.loading:
        return False
    try:
        return load_data(cells, **options_of(data.loading), progress=False).sha256 == data.sha256
    except InputError:
        return False


def _all_genes(examples: Examples, n: int, genes: Any) -> bool:
    """Whether the model reads every gene of the cells, in their order."""
    names = [name for name, _ in examples.table]
    return examples.event == (n,) and (not names or names == [str(gene) for gene in genes])


def _key(block: str) -> str:
    return "X_elbowroom" if block == "z" else f"X_elbowroom_{block}"


def _columns(found: Measured, own: Dataset | None) -> dict[str, NDArray[Any]]:
    """Columns of obs."""
    columns: dict[str, NDArray[Any]] = {
        "log_px": found.log_px.values,
        "log_px_error": np.sqrt(found.log_px.mc_variance),
    }
    if own is not None:
        parts = np.empty(len(found.log_px), dtype=object)
        for name, part in own.parts.items():
            parts[part.index.numpy()] = name
        columns["elbowroom_part"] = parts
    return columns


def _said(found: Measured) -> dict[str, str]:
    """What a number per cell is, for its own attributes."""
    one = found.log_px
    return {"quantity": one.quantity, "estimator": one.estimator, "direction": one.direction, "unit": one.unit}


def _certificate(
    vae: VAE,
    known: Mapping[str, Any],
    own: Dataset | None,
    found: Measured,
    cells: Examples,
    whole: bool,
    denoised: bool,
) -> dict[str, Any]:
    """What was written, by plain values."""
    one = found.log_px
    times = min(one.budget.draws, MEANS_OF)
    said: dict[str, Any] = {
        **_said(found),
        "log_px_mean": float(one.values.mean()),
        "log_px_says": str(one),
        "draws": one.budget.draws,
        "seed": one.budget.seed,
        "genes": np.array([name for name, _ in cells.table] or list(map(str, range(cells.event[0]))), dtype=object),
        "data": str(known["name"]),
        "data_sha256": str(known["sha256"]),
        "cells": "those of the training data's file: elbowroom_part says which were trained on"
        if own is not None
        else "not shown to be those of the training data",
        "version": importlib.metadata.version("elbowroom"),
    }
    if denoised:
        where = "layers['denoised']" if whole else "obsm['denoised']"
        said["denoised"] = f"{where}: E[x | z] averaged over {times} draws of q(z | x), at each cell's own contexts"
    return said
