"""The audit of a model that scvi-tools saved, in the user's environment and by its own loader."""

import json
import sys
from pathlib import Path
from typing import Any

from elbowroom import ledger
from elbowroom.adapters import from_scvi, scvi_data
from elbowroom.atomic import write_atomic
from elbowroom.numerics import CapabilityError, InputError, own_modes, plain_arguments
from elbowroom.pages import report

from ._audit_run import AuditedRun

__all__ = ["audit_scvi"]

_ENDING = "model.pt"
_CLASSES = ("SCVI", "LinearSCVI")
_TRUST = (
    "{path} is a pickle: scvi-tools, which loads it, runs whatever code is in it, so go on only with files that you "
    "trust."
)


@own_modes
@plain_arguments
def audit_scvi(
    model: str | Path,
    cells: str | Path,
    *,
    quick: bool = False,
    n: int | None = None,
    both_ends: bool = False,
    seed: int = 0,
    path: str | Path | None = None,
    progress: bool = True,
) -> AuditedRun:
    """Audit a model that scvi-tools saved on the cells that it held out; audit.json and audit.html go beside it.

    The file is loaded by the scvi-tools of this environment, after a warning on standard error that it can run code;
    nothing of elbowroom unpickles.

    Parameters
    ----------
    model : str or Path
        The model.pt that `SCVI.save` wrote, of an SCVI or LinearSCVI, with the prefix it was given.
    cells : str or Path
        The .h5ad that it was trained with.
    quick : bool, default False
        Whether precision is given up for speed.
    n : int, optional
        Held-out cells that log p(x) is measured on; by default as many as `er.audit` takes.
    both_ends : bool, default False
        Whether to measure the other end of log p(x) too, an upper bound if the chains have mixed.
    seed : int, default 0
        Keys all noise, and which cells are taken.
    path : str or Path, optional
        A file of JSON that the record is written to as well.
    progress : bool, default True
        Whether standard error shows how far it is.

    Returns
    -------
    AuditedRun
        The record, and the path of its page.

    Raises
    ------
    InputError
        For files that are not there or of another kind, or a model that `adapters.from_scvi` does not take.
    CapabilityError
        Where scvi-tools is not installed.

    Examples
    --------
    >>> audit_scvi("no-such/model.pt", "cells.h5ad")
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: There is no file no-such/model.pt.
    """
    model, cells = Path(model), Path(cells)
    loaded = _loaded(model, cells)
    data = scvi_data(loaded)
    how: dict[str, Any] = {"quick": quick, "n": n, "both_ends": both_ends, "seed": seed, "progress": progress}
    found = ledger.audit(from_scvi(loaded), data, **how)
    for note in data.notes:
        print(f"note: {note}", file=sys.stderr)
    text = json.dumps(found.to_dict(), indent=1)
    for file in (model.with_name("audit.json"), *([] if path is None else [Path(path)])):
        write_atomic(file, text)
    return AuditedRun(found, report(found, model.with_name("audit.html")))


def _loaded(model: Path, cells: Path) -> Any:
    """The model with its cells, by scvi-tools' own loader."""
    for file in (model, cells):
        if not file.is_file():
            raise InputError(f"There is no file {file}.")
    if not model.name.endswith(_ENDING):
        raise InputError(f"{model}: scvi-tools saves a model as [PREFIX]model.pt; give that file.")
    try:
        import anndata
        import scvi
    except ImportError as error:
        raise CapabilityError(
            f"{model} is read by scvi-tools alone, which is not installed here ({error.name}): install it beside "
            f"elbowroom (`make scvi` makes such an environment) and give the same command there."
        ) from error
    print(_TRUST.format(path=model), file=sys.stderr)
    adata, prefix, said = anndata.read_h5ad(cells), model.name.removesuffix(_ENDING), ""
    for name in _CLASSES:
        try:
            return getattr(scvi.model, name).load(model.parent, adata=adata, accelerator="cpu", prefix=prefix or None)
        except (ValueError, KeyError, RuntimeError, AttributeError) as error:
            said = said or str(error).split("\n")[0].rstrip(".")
    raise InputError(
        f"scvi-tools loads {model} as none of {', '.join(_CLASSES)} with the cells of {cells} ({said}): give the cells "
        f"it was trained with; of other models make a VAE by er.adapters.from_modules."
    )
