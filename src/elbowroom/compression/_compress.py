"""From data to a file."""

import importlib.metadata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.atomic import write_atomic
from elbowroom.evidence import elbo, iwae
from elbowroom.numerics import Batch, Estimate, InputError, as_batch, own_modes, plain_arguments
from elbowroom.progress import Progress
from elbowroom.records import keep_file
from elbowroom.runs import read_run
from elbowroom.runs._run_data import run_folder
from elbowroom.runs.run_folder import read_recipe
from elbowroom.vae import VAE
from elbowroom.vae.coarse import refuse_coarse
from elbowroom.vae.on_cpu import on_cpu

from ._rounded import rounded
from .blocks import refuse_other_blocks
from .cells import Cells
from .codec import Chunk, Codec
from .coded import coded_bound
from .compressed import Compressed
from .container import Sizes, write
from .escapes import Window
from .heads import LEAST_STEP, MOST_DRAWS, MOST_STEPS, said
from .known import known_of
from .masses import Whole
from .readable import refuse_other_places, refuse_unreadable
from .refusals import refuse_other_contexts, refuse_other_gaps, refuse_what_reads_more
from .sources import Source, source_of
from .survey import Survey

__all__ = ["compress", "model_of"]

_CELLS_IN_A_CHUNK, _MOST_IN_A_CHUNK = 2**22, 2**24
_ROWS_IN_A_CHUNK = 1_000
_ROWS_FOR_BOUNDS, _FEWEST_FOR_BOUNDS, _DRAWS_FOR_BOUNDS = 1_000, 50, 4


@own_modes
@plain_arguments
def compress(
    model: VAE | str | Path,
    data: Any,
    out: str | Path,
    *,
    bits: int = 16,
    draws: int = 1,
    refine: int = 0,
    step: float | Sequence[float] | None = None,
    chunk_rows: int | None = None,
    bounds: bool = True,
    progress: bool = True,
) -> Compressed:
    """Write data to a file from which `decompress` gives back values, types and names, without any loss.

    Rows take about −log p(x) of the model's ELBO, or of an importance-weighted bound: bits back over asymmetric numeral
    systems. The file holds no model; who decompresses needs the same one.

    Parameters
    ----------
    model : VAE, str or Path
        The trained model, a run folder, or a study's folder (then the run of its chosen model).
    data : array, tensor, mapping of str to array, DataFrame, AnnData, part of a data set, str or Path
        Rows like those it was trained on. Paths lead to a .npy or .npz file, a table (.csv, .tsv, .txt, these also
        packed as .gz, .parquet, .feather), cells (.h5ad: X, obs and var), a folder of images, or an image of several
        frames; all are read as `load_data` reads them: each frame is a row, and pictures come back upright. Contexts
        that the model reads stand beside x: columns of the table, arrays of the .npz or of the mapping, those of the
        part.
    out : str or Path
        The file, FILE.elb.
    bits : int, default 16
        A latent is told to one of 2^bits buckets of its prior, 4 to 16; more cost initial bits and nothing else.
    draws : int, default 1
        K, 1 to 4,096: a row takes about −log of the mean of K importance weights, which is the shorter the more they
        are, and K passes of the decoder network. For more than one, latents of all blocks are taken at once.
    refine : int, default 0
        Steps, 1,000 at most, by which q of each row climbs the bound from the encoder's; a reader takes the same ones
        once it has x. For bits whose decoder is an MLP, with one block of latents and a diagonal normal q.
    step : float or sequence of float, optional
        For models of real numbers, which take endless bits: the step that these are rounded to, on the scale of the
        data, one for all or one for each column. What comes back is half a step away at most; the file says so.
    chunk_rows : int or None, default None
        Rows that are decoded together; None takes 1,000, or fewer where a row has many cells. Each chunk needs initial
        bits.
    bounds : bool, default True
        Whether the bounds of the rounded model and of the one it was made from are measured on the first 1,000 rows.
    progress : bool, default True
        Whether standard error shows how far it is.

    Returns
    -------
    Compressed
        What its bytes are.

    Raises
    ------
    InputError
        For data that the model cannot be of.
    CapabilityError
        For a model without exact masses, with the reason.

    References
    ----------
    Townsend, Bird & Barber, "Practical lossless compression with latent variables using bits back coding" (2019).
    Kingma, Abbeel & Ho, "Bit-Swap" (2019).
    Ruan et al., "Improving lossless compression rates via Monte Carlo bits-back coding" (2021).
    Kim, Wiseman, Miller, Sontag & Rush, "Semi-amortized variational autoencoders" (2018), for a q refined row by row.

    Examples
    --------
    >>> import tempfile
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = compress(vae, digits.test, folder + "/test.elb", progress=False)
    ...     again = er.compression.decompress(vae, folder + "/test.elb", progress=False)
    >>> file.rows, bool((again == digits.test.rows(slice(None)).x.numpy()).all())
    (397, True)
    """
    out = Path(out)
    if not 4 <= bits <= 16:
        raise InputError(f"bits are 4 to 16; got {bits}.")
    if not 1 <= draws <= MOST_DRAWS:
        raise InputError(f"draws are 1 to {MOST_DRAWS:,}; got {draws:,}.")
    if not 0 <= refine <= MOST_STEPS:
        raise InputError(f"refine is 0 to {MOST_STEPS:,} steps; got {refine:,}.")
    refuse_other_places(out, data)
    vae = model_of(model)
    refuse_what_reads_more(vae)
    known, exact = known_of(model, vae), rounded(vae)
    refuse_other_blocks(exact)
    steps = None if step is None else _steps(step, int(np.prod(vae.likelihood.event)))
    cells = Cells(exact, step=steps)
    if steps is not None and not cells.stated.any():
        raise InputError("The data of this model lie on a grid and come back as they are: leave step out.")
    source = source_of(data, vae, cells, known)
    source.contexts.check(len(source))
    parts = _parts(len(source), _chunk_rows(chunk_rows, len(cells.levels)))
    refuse_other_contexts(exact, source.contexts)
    window = Window.of(cells, source.rows(parts[0]))
    survey = _survey(exact, cells, source, window, parts, (bits, draws, refine), progress)
    codec = Codec(exact, survey.settings(), exact=True, contexts=source.contexts)
    head = {
        "model": codec.fingerprint().hex(),
        "probe": codec.probe().hex(),
        "rows": len(source),
        "cells": len(cells.levels),
        "chunks": len(parts),
        "settings": said(codec),
        "source": source.head(),
        "beside": 0,
        "written by": _versions(),
        **({"contexts": source.contexts.head()} if known.names else {}),
    }
    written: list[tuple[list[Chunk], Sizes]] = []
    with Progress("compressing", len(source), show=progress) as bar:
        chunks = _chunks(codec, cells, source, window, parts, bar)

        def to(path: Path) -> None:
            contexts = source.contexts.packed() if known.names else None
            written.append(write(path, head, source.beside(), chunks, contexts))
            refuse_unreadable(path, vae, codec)

        write_atomic(out, to)
    measured = _bounds(vae, codec, cells, source, window) if bounds else (None, None)
    account = replace(_account(out, *written[0], len(cells.levels), draws, *measured), step=steps)
    account = replace(account, left_out=tuple(source.left_out), notes=tuple(source.notes))
    account = replace(account, cells_beside=source.cells_beside)
    if not isinstance(model, VAE):
        keep_file(run_folder(Path(model)), account.record(refine))
    return account


def _steps(step: float | Sequence[float], cells: int) -> NDArray[np.float64]:
    steps = np.broadcast_to(np.asarray(step, np.float64), (cells,) if np.ndim(step) == 0 else (len(step),))  # type: ignore[arg-type]
    if len(steps) != cells or not (np.isfinite(steps) & (steps >= LEAST_STEP)).all():
        raise InputError(f"step is a number from {LEAST_STEP:g} on, or one for each of {cells:,} columns; got {step}.")
    return steps


def _versions() -> str:
    named = ("elbowroom", "torch", "numpy", "constriction")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in named)


def model_of(model: VAE | str | Path) -> VAE:
    """The model of a run, which knows its columns by name where they have names; or the model itself, on the CPU."""
    if isinstance(model, VAE):
        refuse_coarse(model)
        return on_cpu(model)
    folder = run_folder(Path(model))
    vae, _ = read_run(folder)
    known = read_recipe(folder)["data"]
    classes = known.get("classes") or {}
    vae.table = tuple((name, tuple(classes.get(name, ()))) for name in known.get("columns") or ())
    return vae


def _chunk_rows(asked: int | None, cells: int) -> int:
    most = max(_MOST_IN_A_CHUNK // cells, 1)
    if asked is None:
        return max(min(_ROWS_IN_A_CHUNK, _CELLS_IN_A_CHUNK // cells), 1)
    if not 1 <= asked <= most:
        raise InputError(f"A chunk has 1 to {most:,} rows of these data; got {asked:,}.")
    return asked


def _parts(rows: int, each: int) -> list[slice]:
    return [slice(start, min(start + each, rows)) for start in range(0, rows, each)]


def _batch(vae: VAE, cells: Cells, source: Source, window: Window, part: slice) -> Batch:
    """Rows with their contexts, as the model has examples."""
    batch = as_batch(torch.from_numpy(np.ascontiguousarray(window.held(cells, source.rows(part)))))
    return vae.examples(replace(batch, context=source.contexts.rows(part))).rows(slice(None))


def _whole(cells: Cells, batch: Batch) -> tuple[Whole, NDArray[np.bool_] | None]:
    """Rows as whole numbers, and which cells are seen."""
    seen = None if batch.seen is None else batch.seen.reshape(len(batch), -1).numpy()
    return cells.whole(batch.x), seen


def _survey(
    exact: VAE,
    cells: Cells,
    source: Source,
    window: Window,
    parts: list[slice],
    coding: tuple[int, int, int],
    progress: bool,
) -> Survey:
    found = Survey(exact, cells, *coding)
    with Progress("reading", len(source), show=progress) as bar:
        for part in parts:
            whole, seen = _whole(cells, _batch(exact, cells, source, window, part))
            refuse_other_gaps(exact, seen)
            source.settle(part, cells, whole, seen)
            found.add(whole, seen, source.contexts.rows(part))
            bar.advance(part.stop - part.start)
    return found


def _chunks(
    codec: Codec, cells: Cells, source: Source, window: Window, parts: list[slice], bar: Progress
) -> Iterator[Chunk]:
    for part in parts:
        whole, seen = _whole(codec.cells, _batch(codec.vae, cells, source, window, part))
        if codec.settings.seen is not None and seen is None:
            seen = np.ones(whole.shape, bool)
        context = source.contexts.given(part)
        yield codec.encode(whole if seen is None else np.where(seen, whole, 0), seen, context)
        bar.advance(part.stop - part.start)


def _bounds(vae: VAE, codec: Codec, cells: Cells, source: Source, window: Window) -> tuple[Estimate, Estimate]:
    """Bounds of the rounded model, under the masses that are coded, and of the other at the encoder's q."""
    draws = codec.settings.draws
    rows = min(len(source), max(_ROWS_FOR_BOUNDS // draws, _FEWEST_FOR_BOUNDS))
    x = _batch(codec.vae, cells, source, window, slice(0, rows))
    if draws == 1:
        own = elbo(vae, x, draws=_DRAWS_FOR_BOUNDS)
        return coded_bound(codec, x, draws=_DRAWS_FOR_BOUNDS), _of_steps(own, codec.cells, x)
    return coded_bound(codec, x, draws=draws), _of_steps(iwae(vae, x, draws=draws), codec.cells, x)


def _of_steps(bound: Estimate, cells: Cells, x: Batch) -> Estimate:
    """Densities of real numbers over their steps, as masses are."""
    if cells.step is None:
        return bound
    there = np.ones((len(x), len(cells.levels)), bool) if x.seen is None else x.seen.flatten(1).numpy()
    logs = np.where(cells.stated & there, np.log(cells.step), 0.0).sum(1)
    return replace(bound, values=bound.values + logs)


def _account(
    out: Path,
    entries: list[Chunk],
    sizes: Sizes,
    cells: int,
    draws: int,
    bound: Estimate | None,
    float_bound: Estimate | None,
) -> Compressed:
    initial = sum(32 * chunk.initial for chunk in entries)
    mask = round(sum(chunk.mask_bits for chunk in entries))
    rows = sum(chunk.rows for chunk in entries)
    coded = 8 * sizes.chunks - initial - mask
    return Compressed(
        out, rows, cells, coded, initial, mask, sizes.head, sizes.index, sizes.beside, len(entries), sizes.contexts,
        draws, bound, float_bound,
    )  # fmt: skip
