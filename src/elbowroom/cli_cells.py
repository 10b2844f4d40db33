"""Cells on the command line: what a model knows of them, written back."""

from pathlib import Path
from typing import Annotated

import typer

from elbowroom.cli_options import Run

__all__ = ["COMMANDS"]


def annotate(
    run: Run,
    cells: Annotated[Path, typer.Argument(help="An .h5ad file, of the run's own cells or of others.")],
    out: Annotated[Path, typer.Option(help="The annotated copy, a new .h5ad file.")],
    denoised: Annotated[bool, typer.Option(help="Whether means of counts are written too.")] = True,
    draws: Annotated[int, typer.Option(help="Draws of z for the bound on log p(x) of each cell.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
) -> None:
    """Codes, denoised counts and log p(x) of each cell, written into a copy of an .h5ad file."""
    from elbowroom.annotations import annotate as annotated

    print(annotated(run, cells, out=out, denoised=denoised, draws=draws, seed=seed))


COMMANDS = (annotate,)
