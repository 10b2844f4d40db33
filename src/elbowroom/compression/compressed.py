"""What a lossless file took."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import Estimate
from elbowroom.records import FileRecord

__all__ = ["Compressed"]


@dataclass(frozen=True)
class Compressed:
    """A file that was written, and what its bytes are.

    Parameters
    ----------
    path : Path
        The file.
    rows : int
        Rows in it.
    cells : int
        Cells of a row.
    coded_bits : int
        What the rows took: the stacks without their initial bits and without what says which cells are missing.
    initial_bits : int
        What the stacks of all chunks had to begin with.
    mask_bits : int
        What says which cells are missing.
    head_bytes : int
        Head with its checksums.
    index_bytes : int
        Index of the chunks with theirs.
    beside_bytes : int
        What no model codes: other columns, and cells that the grid does not give back.
    chunks : int
        How many there are.
    contexts_bytes : int
        What the model reads beside x and z, by a general compressor: contexts and size factors, with their checksum.
    draws : int
        Of the latents, for each row.
    bound : Estimate or None
        ELBO of the rounded model on the first rows, 1,000 at most, under the masses that are coded; of several draws
        their importance-weighted bound, on fewer rows.
    float_bound : Estimate or None
        That of the model as it was trained, on the same rows and the same noise.
    step : array or None
        What real numbers were rounded to, [cells]; None where none are.
    left_out : tuple of str
        What the file does not hold of the data: layers, embeddings and the like of cells.
    cells_beside : int
        Cells that the model's grid does not give back, as an outlier, a level beyond the last or −0.0: they stand
        beside as they are, and near ones are coded in their place.
    notes : tuple of str
        Sentences on what comes back, where it is not what stood in the data.
    """

    path: Path
    rows: int
    cells: int
    coded_bits: int
    initial_bits: int
    mask_bits: int
    head_bytes: int
    index_bytes: int
    beside_bytes: int
    chunks: int
    contexts_bytes: int = 0
    draws: int = 1
    bound: Estimate | None = None
    float_bound: Estimate | None = None
    step: NDArray[np.float64] | None = None
    left_out: tuple[str, ...] = ()
    cells_beside: int = 0
    notes: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """Size of the file."""
        stacks = (self.coded_bits + self.initial_bits + self.mask_bits) // 8
        return stacks + self.head_bytes + self.index_bytes + self.beside_bytes + self.contexts_bytes

    @property
    def nats(self) -> float:
        """What a row took, in nats: to be held against the negative bound of the rounded model."""
        return self.coded_bits * math.log(2) / self.rows

    def record(self, refine: int = 0) -> FileRecord:
        """The account as a run keeps it."""
        bound: dict[str, Any] = {}
        if self.bound is not None:
            error = self.bound.se_total
            bound = {"bound": -self.bound.mean, "bound_rows": len(self.bound.values)}
            bound |= {"bound_se": error if math.isfinite(error) else None}
        return FileRecord(
            self.path.name, self.rows, self.cells, self.total_bytes, self.coded_bits / 8, self.initial_bits / 8,
            self.contexts_bytes, self.beside_bytes, self.draws, refine, **bound,
        )  # fmt: skip

    def __str__(self) -> str:
        initial, mask = self.initial_bits / 8, self.mask_bits / 8
        return (
            f"{self.path}: {self.total_bytes:,} bytes for {self.rows:,} rows of {self.cells:,} cells, "
            f"{8 * self.total_bytes / self.rows / self.cells:.4f} bits per cell in all; rows "
            f"{self.coded_bits / 8:,.0f} bytes ({self.nats:.2f} nats a row), initial bits of {self.chunks:,} chunks "
            f"{initial:,.0f}, missing cells {mask:,.0f}, head {self.head_bytes:,}, index {self.index_bytes:,}, "
            f"beside {self.beside_bytes:,}{self._contexts()}.{self._escaped()}{self._left()}"
            f"{''.join(f' {note}' for note in self.notes)}{self._rounding()}"
            f"{self._bounds()}"
        )

    def _contexts(self) -> str:
        return f", contexts {self.contexts_bytes:,}" if self.contexts_bytes else ""

    def _escaped(self) -> str:
        if not self.cells_beside:
            return ""
        return (
            f" Cells that the model's grid does not give back (outliers, levels beyond the last, −0.0): "
            f"{self.cells_beside:,}; they stand beside as they are, and come back too."
        )

    def _left(self) -> str:
        return f" Not in the file, and not given back: {', '.join(self.left_out)}." if self.left_out else ""

    def _rounding(self) -> str:
        if self.step is None:
            return ""
        low, high = self.step.min(), self.step.max()
        steps = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
        return f" Real numbers are rounded to steps of {steps}: they come back half a step away at most."

    def _bounds(self) -> str:
        if self.bound is None or self.float_bound is None:
            return ""
        name = "ELBO" if self.draws == 1 else f"IWAE-{self.draws}"
        given = " (rows given their contexts, as what they took)" if self.contexts_bytes else ""
        return (
            f" −{name}{given} of the rounded model, by the masses that are coded, {-self.bound.mean:.2f} ± "
            f"{self.bound.se_total:.2f} nats on the first {len(self.bound.values):,} rows, of the model as trained "
            f"{-self.float_bound.mean:.2f}."
        )
