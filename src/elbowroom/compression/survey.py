"""A first reading of the data: what their file has to say before any row is coded."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.numerics import Batch, Given
from elbowroom.vae import VAE

from .cells import Cells, Spans
from .codec import Settings
from .latents import Reference, told_places
from .masses import Whole

__all__ = ["Survey"]

_LEAST_CAP, _MOST_CAP, _ABOVE_CAP = 16, 256, 1e-3
_ONES = 65_536
_WIDER, _FARTHEST = 1.5, 1e5
_ROWS_FOR_REFERENCES = 2_000


class Survey:
    """Ranges of cells, how often they are seen, and where latents lie.

    Parameters
    ----------
    vae : VAE
        The rounded model.
    cells : Cells
        Its cells, before their ranges are known.
    bits : int
        Binary digits of a latent's bucket.
    draws : int, default 1
        Of the latents, for each row.
    refine : int, default 0
        Steps by which q of each row is refined.
    """

    def __init__(self, vae: VAE, cells: Cells, bits: int, draws: int = 1, refine: int = 0) -> None:
        self.vae, self.cells, self.bits, self.draws, self.refine = vae, cells, bits, draws, refine
        size = len(cells.levels)
        self.low, self.high = np.full(size, 2**62), np.full(size, -(2**62))
        self.seen, self.rows, self.missing = np.zeros(size, np.int64), 0, False
        self.counted = np.zeros(_MOST_CAP + 1, np.int64)
        self.means: dict[str, list[NDArray[np.float64]]] = {}
        self.variances: dict[str, list[NDArray[np.float64]]] = {}

    def add(self, whole: Whole, seen: NDArray[np.bool_] | None, context: Given | None = None) -> None:
        """Read some rows, [n, D], with contexts by name, [n, *event]."""
        there = np.ones(whole.shape, bool) if seen is None else seen
        self.low = np.minimum(self.low, np.where(there, whole, 2**62).min(0))
        self.high = np.maximum(self.high, np.where(there, whole, -(2**62)).max(0))
        self.seen += there.sum(0)
        self.missing |= not there.all()
        if self.cells.open.any():
            open_cells = whole[:, self.cells.open][there[:, self.cells.open]]
            self.counted += np.bincount(np.clip(open_cells, 0, _MOST_CAP), minlength=_MOST_CAP + 1)
        if self.rows < _ROWS_FOR_REFERENCES and self._asked():
            first = slice(0, _ROWS_FOR_REFERENCES)
            beside = {name: value[first] for name, value in (context or {}).items()}
            self._look_at_latents(whole[first], None if seen is None else seen[first], beside)
        self.rows += len(whole)

    def settings(self) -> Settings:
        """What the file says of how it is coded."""
        empty = self.high < self.low  # columns that are missing everywhere
        spans = Spans(np.where(empty, 0, self.low), np.where(empty, 0, self.high), self.cells.step)
        seen = np.clip(np.rint(_ONES * self.seen / self.rows), 1, _ONES - 1).astype(np.int64) if self.missing else None
        return Settings(self.bits, self._cap(), spans, seen, self._references(), self.draws, self.refine)

    def _cap(self) -> int:
        above = np.cumsum(self.counted[::-1])[::-1] / max(self.counted.sum(), 1)
        cap = _LEAST_CAP
        while cap < _MOST_CAP and above[cap] > _ABOVE_CAP:
            cap *= 2
        return cap

    def _asked(self) -> list[str]:
        """Blocks whose prior is not the same for every row."""
        return [name for name, block in self.vae.prior.items() if told_places(block)]

    @torch.no_grad()
    def _look_at_latents(self, whole: Whole, seen: NDArray[np.bool_] | None, context: Given) -> None:
        x = self.cells.x(whole)
        mask = None if seen is None else torch.from_numpy(seen).reshape(x.shape)
        batch = Batch(x, torch.arange(len(x)), context, seen=mask)
        noise: Any = {} if self.vae.preprocess.noise_shape is None else {"x": torch.full_like(x, 0.5)}
        given: Given = self.vae.given(batch, noise)[0]
        for name, block in self.vae.posterior.items():
            q = block(given)
            given[name] = q.mean
            if name in self._asked():
                self.means.setdefault(name, []).append(q.mean[0].flatten(1).numpy())
                self.variances.setdefault(name, []).append(q.variance[0].flatten(1).numpy())

    def _references(self) -> dict[str, Reference]:
        """A normal over the latents of these rows, half as wide again, in numbers of few digits."""
        found: dict[str, Reference] = {}
        for name in self._asked():
            means, variances = np.concatenate(self.means[name]), np.concatenate(self.variances[name])
            scale = _WIDER * np.sqrt(means.var(0) + variances.mean(0)) + 1e-3
            near = np.clip(means.mean(0), -_FARTHEST, _FARTHEST), np.clip(scale, 1 / _FARTHEST, _FARTHEST)
            found[name] = np.round(near[0], 4), np.round(near[1], 4)
        return found
