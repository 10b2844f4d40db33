"""Commands of files: data into bytes by a model, and back."""

import math
from pathlib import Path
from typing import Annotated

import typer

from elbowroom.cli_options import Run

__all__ = ["COMMANDS"]


def _above_zero(value: float | None) -> float | None:
    if value is not None and not 0 < value < math.inf:
        raise typer.BadParameter(f"a step is a number above 0; got {value:g}.")
    return value


def compress(
    run: Run,
    data: Annotated[
        Path, typer.Argument(help="A .npy or .npz file, a table (.csv, .txt, .parquet), .h5ad or a folder of images.")
    ],
    out: Annotated[Path, typer.Option(help="The file to write, FILE.elb.")],
    bits: Annotated[int, typer.Option(help="A latent is told to one of 2^bits buckets of its prior.")] = 16,
    draws: Annotated[
        int, typer.Option(min=1, help="Of the latents, for each row: more make smaller files, slower.")
    ] = 1,
    refine: Annotated[int, typer.Option(help="Steps by which q of each row is refined: smaller files, slower.")] = 0,
    chunk_rows: Annotated[
        int | None, typer.Option(help="Rows that are decoded together.", show_default="1,000, or fewer")
    ] = None,
    step: Annotated[
        float | None,
        typer.Option(
            help="What real numbers are rounded to, on the scale of the data.",
            show_default="none",
            callback=_above_zero,
        ),
    ] = None,
    lossy: Annotated[
        float | None,
        typer.Option(
            help="Hold codes on this step, in standard deviations of q, and not the data.",
            show_default="no",
            callback=_above_zero,
        ),
    ] = None,
) -> None:
    """Write data to a file of about −log p(x) nats a row, from which they come back equal; the model stays apart.

    With --lossy the file holds codes alone, and what comes back is what the decoder makes of them.
    """
    import elbowroom as er

    if lossy is not None:
        if (bits, draws, refine, step) != (16, 1, 0, None):
            raise er.InputError("--lossy holds codes on its own step: leave --bits, --draws, --refine and --step out.")
        print(er.compression.compress_lossy(run, data, out, step=lossy, chunk_rows=chunk_rows))
    else:
        file = er.compression.compress(
            run, data, out, bits=bits, draws=draws, refine=refine, step=step, chunk_rows=chunk_rows
        )
        print(file)


def decompress(
    run: Run,
    file: Annotated[Path, typer.Argument(help="What elbowroom compress has written.")],
    out: Annotated[
        Path, typer.Option(help="Where the data go: .npy, .npz, .csv, .tsv, .parquet, .h5ad, or a new folder.")
    ],
    chunk: Annotated[int | None, typer.Option(help="Only the rows of this chunk, from 0.")] = None,
) -> None:
    """Give back the data of a file, the same values, types and names (of a lossy one: near ones), or nothing at all."""
    import elbowroom as er

    print(er.compression.decompress(run, file, out=out, chunk=chunk))


COMMANDS = (compress, decompress)
"""Functions that are a command each."""
