"""From a file to the data."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.atomic import write_atomic
from elbowroom.numerics import InputError, own_modes, plain_arguments
from elbowroom.progress import Progress
from elbowroom.vae import VAE

from ._compress import model_of
from ._rounded import rounded
from .archives import ArchiveTarget, write_archive
from .arrays import ArrayTarget
from .cell_data import CellTarget, write_h5ad
from .cells import Cells
from .codec import Codec, OtherOutputs
from .container import Reader
from .contexts import Contexts
from .heads import settings_of, steps_of
from .images import image_names, write_pictures
from .latents import told_places
from .lossy import reconstructed
from .masses import Whole
from .refusals import refuse_what_reads_more
from .stack import Damaged
from .table_files import write_frame
from .tables import TableTarget

__all__ = ["decompress"]

NO_CONTEXTS = Contexts()

_ENDINGS = {
    "array": (".npy",),
    "arrays": (".npz",),
    "table": (".csv", ".tsv", ".parquet"),
    "images": ("",),
    "cells": (".h5ad",),
}


@own_modes
@plain_arguments
def decompress(
    model: VAE | str | Path,
    file: str | Path,
    *,
    out: str | Path | None = None,
    chunk: int | None = None,
    progress: bool = True,
) -> Any:
    """Give back the data of a file that `compress` has written: the same values, types and names.

    Nothing comes out, and no file is written, unless all check words are those of the writing: of the model, of what
    its networks return on this machine, and of every chunk.

    Parameters
    ----------
    model : VAE, str or Path
        The model that the file was written with, or its run.
    file : str or Path
        FILE.elb.
    out : str, Path or None, default None
        Where the data go: a .npy file for an array, .npz for arrays by name, .csv, .tsv or .parquet for a table, .h5ad
        for cells, a new folder for images. None returns them.
    chunk : int or None, default None
        Only the rows of this chunk, from 0; the others are not decoded. For arrays, cells and images.
    progress : bool, default True
        Whether standard error shows how far it is.

    Returns
    -------
    array, dict of array, DataFrame, AnnData or Path
        The data, or where they were written; arrays by name where they were given so, contexts among them.

    Raises
    ------
    InputError
        For a damaged file, one of another model, where the networks return other numbers than they did, and for a
        chunk of a table.
    CapabilityError
        For a model that cannot have written it.

    Examples
    --------
    >>> decompress("runs/x", __file__)
    Traceback (most recent call last):
    elbowroom.numerics.errors.InputError: '_decompress.py' is no file of elbowroom compress: its first bytes are others.
    """
    reader = Reader(file)
    kind, numbers = _kind(reader, out), _numbers(reader, chunk)
    if kind == "table" and chunk is not None:
        raise InputError(f"{reader.path.name!r} holds a table, which comes back whole: leave chunk out.")
    if "lossy" in reader.head:
        with Progress("decompressing", sum(reader.rows[i] for i in numbers), show=progress) as bar:
            return _array(*reconstructed(model_of(model), reader, numbers, bar), reader, out, kind, chunk)
    codec = opened(model_of(model), reader)
    contexts = Contexts.read(reader, codec.vae.context_names)
    with Progress("decompressing", sum(reader.rows[i] for i in numbers), show=progress) as bar:
        parts = decoded(codec, reader, numbers, bar, contexts)
        if kind == "table":
            return _table(codec, reader, contexts, parts, out)
        if kind == "arrays":
            return _arrays(codec, reader, contexts, parts, out, chunk)
        if kind == "cells":
            return _cells(codec, reader, parts, out, chunk)
        return _array(codec.cells, parts, reader, out, kind, chunk)


def opened(vae: VAE, reader: Reader) -> Codec:
    """The codec of a file, once the model and this machine have been found to be right.

    Parameters
    ----------
    vae : VAE
        The model.
    reader : Reader
        The file.

    Returns
    -------
    Codec
        With the file's settings.

    Raises
    ------
    InputError
        For another model, and for other numbers from the same.
    """
    refuse_what_reads_more(vae)
    exact = rounded(vae)
    cells = Cells(exact, step=steps_of(reader))
    if reader.head.get("cells") != len(cells.levels):
        raise InputError(f"{reader.path.name!r} holds rows of another size than this model is over.")
    wanted = {name: int(np.prod(block.event)) for name, block in exact.prior.items() if told_places(block)}
    contexts = Contexts.read(reader, exact.context_names)
    codec = Codec(exact, settings_of(reader, cells, wanted), exact=True, contexts=contexts)
    if reader.head.get("model") != codec.fingerprint().hex():
        raise InputError(
            f"{reader.path.name!r} was written with another model, or with another elbowroom that rounds it "
            f"otherwise: give the run that it was written with."
        )
    if reader.head.get("probe") != codec.probe().hex():
        raise InputError(
            f"On this machine the model returns other numbers than where {reader.path.name!r} was written, so nothing "
            f"of it would come out right, and nothing was read: decompress it with the versions it was written with "
            f"({str(reader.head.get('written by'))[:120]})."
        )
    return codec


def decoded(
    codec: Codec, reader: Reader, numbers: list[int], bar: Progress, contexts: Contexts = NO_CONTEXTS
) -> Iterator[tuple[slice, Whole, NDArray[np.bool_] | None]]:
    """Chunks by number: which rows they are, their whole numbers, and which cells are seen.

    Parameters
    ----------
    codec : Codec
        Of the file.
    reader : Reader
        The file.
    numbers : list of int
        Of the chunks.
    bar : Progress
        Which advances.
    contexts : Contexts, default none
        Of the file.

    Yields
    ------
    tuple
        As said, chunk by chunk, each checked.
    """
    starts = np.cumsum([0, *reader.rows])
    for number in numbers:
        part = slice(int(starts[number]), int(starts[number + 1]))
        try:
            whole, seen = codec.decode(reader.chunk(number), contexts.given(part))
        except OtherOutputs as error:
            raise InputError(
                f"The networks return other numbers than where {reader.path.name!r} was written (chunk {number}), so "
                f"nothing of it is given out: decompress it with the versions and the hardware it was written with."
            ) from error
        except Damaged as error:
            raise reader.damaged(f"chunk {number}") from error
        bar.advance(len(whole))
        yield part, whole, seen


def _numbers(reader: Reader, chunk: int | None) -> list[int]:
    if chunk is None:
        return list(range(len(reader.rows)))
    if not 0 <= chunk < len(reader.rows):
        raise InputError(f"{reader.path.name!r} has {len(reader.rows):,} chunks, from 0 on; got {chunk}.")
    return [chunk]


def _kind(reader: Reader, out: str | Path | None) -> str:
    source = reader.head.get("source")
    kind = source.get("kind") if isinstance(source, dict) else None
    if not isinstance(kind, str) or kind not in _ENDINGS:
        raise reader.damaged("what it holds")
    if out is not None and Path(out).suffix.lower() not in _ENDINGS[kind]:
        endings = " or ".join(_ENDINGS[kind])
        wanted = f"a file that ends in {endings}" if endings else "a new folder"
        raise InputError(f"{reader.path.name!r} holds {'an array' if kind == 'array' else kind}: name {wanted}.")
    return kind


def _array(cells: Cells, parts: Any, reader: Reader, out: str | Path | None, kind: str, chunk: int | None) -> Any:
    target = ArrayTarget(reader)
    names = image_names(reader, target) if kind == "images" else []
    blocks = ((part, target.rows(part, cells.x(whole).numpy(), seen)) for part, whole, seen in parts)
    if chunk is not None:
        part, rows = next(blocks)
        names = names[part]
    if out is None:
        return rows if chunk is not None else target.whole(blocks)
    if kind == "images":
        return _to_folder(Path(out), names, rows if chunk is not None else target.whole(blocks))
    if chunk is not None:
        write_atomic(Path(out), lambda path: _save(path, rows))
    else:
        write_atomic(Path(out), lambda path: target.to_file(path, blocks))
    return Path(out)


def _save(path: Path, rows: NDArray[Any]) -> None:
    with path.open("wb") as file:
        np.save(file, rows, allow_pickle=False)


def _to_folder(out: Path, names: list[str], images: NDArray[Any]) -> Path:
    """All images or none: they are written beside and moved."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{str(out)!r} exists and is not empty: name a new folder for the images.")
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        write_pictures(folder, names, images)
        folder.chmod(0o755)
        folder.replace(out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return out


def _arrays(
    codec: Codec, reader: Reader, contexts: Contexts, parts: Any, out: str | Path | None, chunk: int | None
) -> Any:
    target = ArchiveTarget(reader, contexts)
    blocks = ((part, target.rows(part, codec.cells.x(whole).numpy(), seen)) for part, whole, seen in parts)
    part, x = (None, target.whole(blocks)) if chunk is None else next(blocks)
    arrays = target.arrays(x, part)
    if out is None:
        return arrays
    write_atomic(Path(out), lambda path: write_archive(path, arrays))
    return Path(out)


def _cells(codec: Codec, reader: Reader, parts: Any, out: str | Path | None, chunk: int | None) -> Any:
    target = CellTarget(reader)
    blocks = [(part, target.rows(part, codec.cells.x(whole).numpy(), seen)) for part, whole, seen in parts]
    adata = target.anndata(blocks, None if chunk is None else blocks[0][0])
    if out is None:
        return adata
    write_atomic(Path(out), lambda path: write_h5ad(adata, path))
    return Path(out)


def _table(codec: Codec, reader: Reader, contexts: Contexts, parts: Any, out: str | Path | None) -> Any:
    target = TableTarget(reader, codec.vae, contexts)
    values, masks = [], []
    for _, whole, seen in parts:
        values.append(codec.cells.x(whole).numpy())
        masks.append(np.ones(whole.shape, bool) if seen is None else seen)
    frame = target.frame(np.concatenate(values), np.concatenate(masks))
    if out is None:
        return frame
    write_atomic(Path(out), lambda path: write_frame(frame, path, Path(out).suffix.lower()))
    return Path(out)
