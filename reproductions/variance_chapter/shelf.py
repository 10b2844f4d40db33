"""The trained models of the chapter, and how pictures and tables are written."""

import html
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from models import CELLS, GRID, data_of, folder_of, model_of
from numpy.typing import NDArray
from torch import Tensor
from verdicts import SIMPLE

import elbowroom as er
from elbowroom.pages.embedding import both_widths
from elbowroom.plots import mosaic, to_bytes
from elbowroom.plots.style import Sheet
from elbowroom.runs import read_run

ROW = 12


class Shelf:
    """The trained models by name, and MNIST."""

    def __init__(self, runs: Path) -> None:
        self.runs, self.cells = runs, {cell.name: cell for cell in CELLS}
        self.data = data_of(self.cells[SIMPLE])
        self.levels = data_of(self.cells["discretised logistic"])

    def model(self, name: str) -> er.VAE:
        """A trained model in evaluation mode."""
        cell = self.cells[name]
        if cell.family not in GRID:
            return read_run(self.runs / folder_of(cell))[0]
        from safetensors.torch import load_file

        vae = model_of(cell, self.levels)
        vae.load_state_dict(load_file(self.runs / folder_of(cell) / "model.safetensors"))
        return vae

    def data_for(self, name: str) -> Any:
        """The data that the model reads."""
        cell = self.cells[name]
        if cell.family in GRID:
            return self.levels
        return self.data if cell.data == "mnist" and not cell.logits else data_of(cell)


def pictures(rows: Sequence[Tensor]) -> str:
    """Rows of images [n, 784] in levels, as one picture."""
    drawn: list[NDArray[np.uint8]] = [to_bytes(row.numpy(), (28, 28), (0, 255)) for row in rows]
    return f'<img alt="" src="{mosaic(drawn, gap=1)}">'


def drawing(draw: Callable[[Sheet], Any], title: str) -> str:
    """One plot as SVG inside the page, at the width of a page."""
    return both_widths(draw, "plot-" + sha256(title.encode()).hexdigest()[:8], title)[0]


def samples(shelf: Shelf, name: str, mode: str = "ancestral", rows: int = 4) -> str:
    """Samples of one model; the same seed draws the same z in every mode."""
    word, _, offset = mode.partition(" ")
    x = shelf.model(name).sample(rows * ROW, mode=word, offset=float(offset or 0), seed=2)  # type: ignore[arg-type]
    return pictures(list(x.split(ROW)))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, the first column in words."""
    top = "".join(f"<th scope=col>{html.escape(name)}</th>" for name in head)
    body = "".join(
        f"<tr><th scope=row>{html.escape(row[0])}</th>{''.join(f'<td>{html.escape(c)}</td>' for c in row[1:])}</tr>"
        for row in rows
    )
    return f"<div class=scroll><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
