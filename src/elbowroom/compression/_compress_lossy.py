"""From data to a file of codes."""

import importlib.metadata
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elbowroom.atomic import write_atomic
from elbowroom.numerics import InputError, own_modes, plain_arguments
from elbowroom.progress import Progress
from elbowroom.records import FileRecord, keep_file
from elbowroom.runs._run_data import run_folder
from elbowroom.vae import VAE

from ._compress import model_of
from .archives import ArchiveSource
from .arrays import ArraySource, restored
from .codec import Chunk
from .container import Sizes, write
from .images import ImageSource
from .known import Known
from .lossy import Decoder, check_word, head_of
from .lossy_masses import CodeMasses
from .masses import Whole
from .portable import Array
from .readable import refuse_other_places, refuse_unreadable
from .sources import source_of
from .stack import Stack

__all__ = ["CompressedLossy", "compress_lossy"]

_ROWS_IN_A_CHUNK, _IN_A_CHUNK = 10_000, 2**24
_ROWS_AT_ONCE = 1_000


@dataclass(frozen=True)
class CompressedLossy:
    """A lossy file that was written, what its bytes are, and how far its reconstructions lie from the data.

    Parameters
    ----------
    path : Path
        The file.
    rows : int
        Rows in it.
    cells : int
        Cells of a row.
    step : float
        Of the codes, in standard deviations of q.
    coded_bytes : int
        What the codes took.
    told_bytes : int
        Steps and masses of the codes, which the file says itself.
    head_bytes : int
        Head, index of the chunks and initial words, with their checksums.
    squared_error : float
        Mean over all cells, on the data's scale.
    peak : float
        The greatest value less the least that a cell can have, or has where there is no bound.
    exact : bool
        Whether the decoder's networks are exact, so that the reconstructions are the same on every machine.
    notes : tuple of str
        Sentences on what comes back, where it is not what stood in the data.
    """

    path: Path
    rows: int
    cells: int
    step: float
    coded_bytes: int
    told_bytes: int
    head_bytes: int
    squared_error: float
    peak: float
    exact: bool
    notes: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """Size of the file."""
        return self.coded_bytes + self.told_bytes + self.head_bytes

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio of the mean squared error over all cells, in dB."""
        return math.inf if self.squared_error == 0 else 10 * math.log10(self.peak**2 / self.squared_error)

    def record(self) -> FileRecord:
        """The account as a run keeps it."""
        return FileRecord(
            self.path.name, self.rows, self.cells, self.total_bytes, self.coded_bytes, 0.0, 0.0, self.told_bytes,
            lossy_error=math.sqrt(self.squared_error),
        )  # fmt: skip

    def __str__(self) -> str:
        same = "the same on every machine" if self.exact else "the same up to rounding on other machines"
        return (
            f"{self.path}: {self.total_bytes:,} bytes for {self.rows:,} rows of {self.cells:,} cells, "
            f"{self.total_bytes / self.rows:.1f} bytes a row in all; codes {self.coded_bytes:,} "
            f"({self.coded_bytes / self.rows:.1f} a row) on steps of {self.step:g} standard deviations of q, their "
            f"masses {self.told_bytes:,}, head and index {self.head_bytes:,}. Lossy: reconstructions, {same}, lie "
            f"{math.sqrt(self.squared_error):.4g} from the data in the root mean square, PSNR {self.psnr:.2f} dB; this "
            f"bounds no likelihood.{''.join(f' {note}' for note in self.notes)}"
        )


@own_modes
@plain_arguments
def compress_lossy(
    model: VAE | str | Path,
    data: Any,
    out: str | Path,
    *,
    step: float = 1.0,
    chunk_rows: int | None = None,
    progress: bool = True,
) -> CompressedLossy:
    """Write codes of the data to a file, from which `decompress` gives back what the decoder makes of them.

    The codes are means of q(z | x), rounded to steps and coded under a mixture of normals fitted to them, which the
    file holds. The distortion is measured as the file is written. The file holds no model; who decompresses needs the
    same one.

    Parameters
    ----------
    model : VAE, str or Path
        The trained model, a run folder, or a study's folder (then the run of its chosen model).
    data : array, tensor, part of a data set, str or Path
        Rows like those it was trained on, without missing cells. Paths lead to a .npy or .npz file, of
        which the file holds x alone, or to images.
    out : str or Path
        The file, FILE.elb.
    step : float, default 1.0
        Of the codes of each latent, in standard deviations of q(z | x) (root of their mean square over these rows).
        Smaller steps make longer files and come no nearer to x than the decoder does.
    chunk_rows : int or None, default None
        Rows that are decoded together; None takes 10,000, or fewer where a row has many cells.
    progress : bool, default True
        Whether standard error shows how far it is.

    Returns
    -------
    CompressedLossy
        What its bytes are, and the distortion.

    Raises
    ------
    InputError
        For data that the model cannot be of, missing cells, tables, and a step that is not above 0 or too small.
    CapabilityError
        For a model whose latents are no normals or whose data lie on no grid, with the reason.

    References
    ----------
    Ballé, Laparra & Simoncelli, "End-to-end optimized image compression" (2017).

    Examples
    --------
    >>> import tempfile
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = compress_lossy(vae, digits.test, folder + "/test.elb", progress=False)
    ...     again = er.compression.decompress(vae, folder + "/test.elb", progress=False)
    >>> again.shape, bool(abs(file.squared_error - ((again - digits.test[:].x.numpy()) ** 2).mean()) < 1e-9)
    ((397, 64), True)
    """
    if not 0 < step < math.inf:
        raise InputError(f"A step is a number above 0; got {step:g}.")
    out = Path(out)
    refuse_other_places(out, data)
    vae = model_of(model)
    decoder = Decoder(vae)
    source = _source(data, vae, decoder)
    means, units = _means(decoder, source, progress)
    with np.errstate(over="ignore", under="ignore"):
        units = (step * units).astype("<f4").astype(np.float64)
    if not (np.isfinite(units) & (units > 0)).all():
        raise InputError(f"Steps of {step:g} standard deviations are no numbers of 32 bits: take others.")
    masses = _masses(means / units, step)
    codes = np.rint(means / units).astype(np.int64)
    parts = _parts(len(codes), _chunk_rows(chunk_rows, max(len(decoder.cells.levels), codes.shape[1])))
    head = {**head_of(decoder, step), "rows": len(codes), "chunks": len(parts), "source": _head(source), "beside": 0}
    head["written by"] = ", ".join(f"{one} {importlib.metadata.version(one)}" for one in ("elbowroom", "constriction"))
    beside = units.astype("<f4").tobytes() + masses.packed()
    errors, written = _Errors(), list[tuple[list[Chunk], Sizes]]()
    with Progress("compressing", len(codes), show=progress) as bar:
        chunks = _chunks(decoder, source, codes, units, masses, parts, errors, bar)

        def to(path: Path) -> None:
            written.append(write(path, head, beside, chunks))
            refuse_unreadable(path, vae)

        write_atomic(out, to)
    entries, sizes = written[0]
    initial = sum(4 * chunk.initial for chunk in entries)
    account = CompressedLossy(
        out, len(codes), len(decoder.cells.levels), step, sizes.chunks - initial, sizes.beside,
        sizes.head + sizes.index + initial, errors.mean, errors.peak(decoder, source.scale), decoder.exact,
        tuple(source.notes),
    )  # fmt: skip
    if not isinstance(model, VAE):
        keep_file(run_folder(Path(model)), account.record())
    return account


def _source(data: Any, vae: VAE, decoder: Decoder) -> ArraySource:
    source = source_of(data, vae, decoder.cells, Known((), {}))
    if not isinstance(source, ArraySource):
        raise InputError("A table has no lossy file: its columns have no common error. Write it without loss.")
    if isinstance(source, ArchiveSource):
        source.notes.append(source.alone())
    return source


def _head(source: ArraySource) -> dict[str, Any]:
    """What is said of the data: of arrays by name and of cells the array that the model reads alone."""
    return source.head() if isinstance(source, ImageSource) else ArraySource.head(source)


def _parts(rows: int, each: int) -> list[slice]:
    return [slice(start, min(start + each, rows)) for start in range(0, rows, each)]


def _chunk_rows(asked: int | None, numbers: int) -> int:
    most = max(_IN_A_CHUNK // numbers, 1)
    if asked is not None and not 1 <= asked <= most:
        raise InputError(f"A chunk has 1 to {most:,} rows of these data; got {asked:,}.")
    return asked or min(_ROWS_IN_A_CHUNK, most)


@torch.no_grad()
def _means(decoder: Decoder, source: ArraySource, progress: bool) -> tuple[Array, Array]:
    """Means of q, [n, D], and the root mean square of its standard deviations, [D]."""
    found, variances = list[Array](), list[Array]()
    with Progress("encoding", len(source), show=progress) as bar:
        for part in _parts(len(source), _ROWS_AT_ONCE):
            x = torch.from_numpy(np.ascontiguousarray(source.rows(part)))
            if x.isnan().any():
                raise InputError("Rows with missing cells have no lossy file: write them without loss.")
            moments = _moments(decoder, x)
            found.append(np.concatenate([mean for mean, _ in moments], 1))
            variances.append(np.concatenate([variance for _, variance in moments], 1).sum(0))
            bar.advance(len(x))
    return np.concatenate(found), np.sqrt(np.sum(variances, 0) / len(source))


def _moments(decoder: Decoder, x: torch.Tensor) -> list[tuple[Array, Array]]:
    """Means and variances of q, [n, D] of each block that is coded; x stands in the middle of its cells."""
    vae = decoder.vae
    batch = vae.examples(x).rows(slice(None))
    noise = {} if vae.preprocess.noise_shape is None else {"x": torch.full_like(batch.x, 0.5)}
    given, _ = vae.given(batch, noise)
    found = {}
    for name, block in vae.posterior.items():
        q = block(given)
        given[name] = q.mean
        found[name] = q.mean[0].flatten(1).numpy(), q.variance[0].flatten(1).numpy()
    return [found[name] for name in decoder.blocks]


def _masses(codes: Array, step: float) -> CodeMasses:
    if not (np.abs(codes) < 2**15 - 1).all():
        raise InputError(f"With steps of {step:g} standard deviations a code has more than 65,535 values: take longer.")
    return CodeMasses.fitted(codes)


class _Errors:
    """Squared errors as rows are written."""

    def __init__(self) -> None:
        self.total, self.count, self.low, self.high = 0.0, 0, math.inf, -math.inf

    def add(self, x: Array, other: Array) -> None:
        """Take some rows and what they come back as, both as the data are scaled."""
        self.total, self.count = self.total + float(((x - other) ** 2).sum()), self.count + x.size
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))

    @property
    def mean(self) -> float:
        """Per cell."""
        return self.total / self.count

    def peak(self, decoder: Decoder, scale: float) -> float:
        """The span of the grid as the data are scaled, or that of the data where it has no end."""
        cells = decoder.cells
        if cells.open.any():
            return self.high - self.low
        ends = [cells.x(one).numpy() for one in (np.zeros((1, len(cells.levels)), np.int64), cells.levels[None] - 1)]
        low, high = (restored(one, None, scale, np.dtype(np.float64)) for one in ends)
        return float((high - low).max())


def _chunks(
    decoder: Decoder, source: ArraySource, codes: Whole, units: Array, masses: CodeMasses, parts: list[slice],
    errors: _Errors, bar: Progress,
) -> Iterator[Chunk]:  # fmt: skip
    for part in parts:
        stack = Stack.primed(2)
        masses.push(stack, codes[part])
        whole = decoder.cells_of(codes[part] * units)
        errors.add(*source.beside_what_comes_back(part, decoder.cells.x(whole).numpy()))
        yield Chunk(stack.words(), 2, len(whole), check_word(whole), check_word(codes[part]))
        bar.advance(len(whole))
