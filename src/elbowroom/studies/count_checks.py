"""Posterior predictive checks of counts of many columns: statistics of held-out rows beside those of replicates."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from elbowroom.data import Dataset, Examples
from elbowroom.distributions import simulate
from elbowroom.numerics import Support, derived_seed, in_parts
from elbowroom.progress import Progress
from elbowroom.records import CheckRecord, GeneRecord
from elbowroom.vae import VAE
from elbowroom.vae.vae import evaluating

__all__ = ["CELL_STATISTICS", "GENE_STATISTICS", "CountChecks", "count_checks", "many_counts", "shown_checks"]

GENE_STATISTICS = ("mean", "coefficient of variation", "share of zeros")
CELL_STATISTICS = ("total", "coefficient of variation", "share of zeros")
_MANY, _DRAWS, _MOST_ROWS = 50, 40, 500
_SHOWN, _LISTED = 120, 12
_CELLS_AT_ONCE = 2**22
# Levels between draws at which a further draw lies below with 5, 50 and 95 %.
_QUANTILES = tuple((level * (_DRAWS + 1) - 1) / (_DRAWS - 1) for level in (0.05, 0.5, 0.95))
_STREAM = 0xCE

_Array = NDArray[np.float64]


class CountChecks(NamedTuple):
    """Statistics of held-out rows and of their replicates.

    Attributes
    ----------
    genes, cells : array [n, 3, 4]
        Of each gene or cell and statistic: the value, and the 5, 50 and 95 % quantiles of the replicates.
    worst : tuple of GeneRecord
        The genes that fit least.
    rows, draws : int
        Held-out rows, and replicates of each.
    """

    genes: _Array
    cells: _Array
    worst: tuple[GeneRecord, ...]
    rows: int
    draws: int

    @property
    def records(self) -> tuple[CheckRecord, ...]:
        """Which share of genes and of cells lies inside the interval, by statistic."""
        found = []
        for of, names, values in (("genes", GENE_STATISTICS, self.genes), ("cells", CELL_STATISTICS, self.cells)):
            for number, name in enumerate(names):
                known = values[:, number][np.isfinite(values[:, number]).all(1)]
                inside = (known[:, 0] >= known[:, 1]) & (known[:, 0] <= known[:, 3])
                above = known[:, 0] > known[:, 3]
                share, more = (float(one.mean()) if len(known) else math.nan for one in (inside, above))
                found.append(CheckRecord(of, name, share, more, len(known)))
        return tuple(found)


def many_counts(support: Support, event: tuple[int, ...]) -> bool:
    """Whether rows are counts of so many columns that pictures of single ones say little, as of cells.

    >>> many_counts(Support("counts"), (2_000,)), many_counts(Support("counts"), (4,))
    (True, False)
    """
    return support.kind == "counts" and len(event) == 1 and event[0] >= _MANY


@torch.no_grad()
def count_checks(vae: VAE, data: Dataset, examples: Examples, *, seed: int, progress: bool = False) -> CountChecks:
    """Draw replicates of held-out rows, each at a z from its own q(z | x), and set statistics side by side.

    Parameters
    ----------
    vae : VAE
        A model of counts.
    data : Dataset
        Which names the columns.
    examples : Examples
        Held-out rows, of which 500 are taken.
    seed : int
        Of z and of the replicates.
    progress : bool, default False
        Whether a line says how far it is.

    Returns
    -------
    CountChecks
        By gene, by cell, and the genes that fit least.
    """
    some = examples.some(_MOST_ROWS)
    columns = math.prod(data.event)
    step = max(_CELLS_AT_ONCE // (columns * _DRAWS), 1)
    by_gene = _Sums(columns)
    cells = []
    generator = Generator(vae.device).manual_seed(derived_seed(seed, _STREAM))
    with evaluating(vae), Progress("replicates of test cells", len(some), show=progress) as bar:
        for part in in_parts(some, most=step):
            noise = vae.keyed_noise(_DRAWS, part.index, seed)
            p_x = vae(part, noise, lay_out=False).p_x
            mean = p_x.mean.expand(_DRAWS, *p_x.mean.shape[1:]).double().mean(0)
            replicates = simulate(p_x, generator).expand(_DRAWS, len(part.index), columns).double()
            x = part.x.to(vae.device).double()
            by_gene.add(x, replicates, mean)
            cells.append(_beside(_of_cells(x.unsqueeze(0)), _of_cells(replicates)))
            bar.advance(len(part))
    names = [str(one) for one in data.columns or range(columns)]
    return CountChecks(by_gene.values(), np.concatenate(cells), by_gene.worst(names), len(some), _DRAWS)


class _Sums:
    """Sums over rows, of the data and of every replicate, by gene."""

    def __init__(self, columns: int) -> None:
        self.n = 0
        self.x, self.replicates = (torch.zeros(many, 4, columns, dtype=torch.float64) for many in (1, _DRAWS))
        self.mean = torch.zeros(columns, dtype=torch.float64)

    def add(self, x: Tensor, replicates: Tensor, mean: Tensor) -> None:
        """Some rows more: sums, squares, zeros, and squares about the model's means."""
        self.n += len(x)
        self.mean += mean.sum(0).cpu()
        for sums, rows in ((self.x, x.unsqueeze(0)), (self.replicates, replicates)):
            away = (rows - mean) ** 2
            sums += torch.stack([rows.sum(1), (rows**2).sum(1), (rows == 0).double().sum(1), away.sum(1)], 1).cpu()

    def values(self) -> _Array:
        """[columns, 3, 4]."""
        return _beside(self._statistics(self.x), self._statistics(self.replicates))

    def _statistics(self, sums: Tensor) -> Tensor:
        mean, square, zeros = sums[:, 0] / self.n, sums[:, 1] / self.n, sums[:, 2] / self.n
        deviation = (square - mean**2).clamp_min(0).sqrt()
        return torch.stack([mean, deviation / mean, zeros], -1)

    def worst(self, names: list[str]) -> tuple[GeneRecord, ...]:
        """The genes whose squared residuals are the farthest from those of the replicates."""
        seen, drawn = self.x[0], self.replicates
        ratio = (seen[3] / drawn[:, 3].mean(0).clamp_min(1e-12)).numpy()
        logs = drawn[:, 3].clamp_min(1e-12).log()
        surprise = ((seen[3].clamp_min(1e-12).log() - logs.mean(0)) / logs.std(0).clamp_min(1e-6)).numpy()
        surprise = np.where(seen[0].numpy() > 0, surprise, 0.0)
        order = np.argsort(-np.abs(surprise), kind="stable")[:_LISTED]
        mean, zeros = seen[0] / self.n, seen[2] / self.n
        predicted, zeros_predicted = self.mean / self.n, drawn[:, 2].mean(0) / self.n
        return tuple(
            GeneRecord(
                name=names[i],
                mean=float(mean[i]),
                predicted=float(predicted[i]),
                zeros=float(zeros[i]),
                zeros_predicted=float(zeros_predicted[i]),
                variance_ratio=float(ratio[i]),
                surprise=float(surprise[i]),
            )
            for i in order.tolist()
        )


def _of_cells(rows: Tensor) -> Tensor:
    """Statistics of rows [draws, n, columns] → [draws, n, 3]."""
    total, mean = rows.sum(-1), rows.mean(-1)
    return torch.stack([total, rows.std(-1, correction=0) / mean, (rows == 0).double().mean(-1)], -1)


def _beside(seen: Tensor, drawn: Tensor) -> _Array:
    """Values [1, n, 3] and replicates [draws, n, 3] → [n, 3, 4]."""
    levels = torch.tensor(_QUANTILES, dtype=torch.float64, device=drawn.device)
    between = torch.nanquantile(drawn, levels, dim=0)  # a replicate without a count has no coefficient of variation
    return torch.cat([seen, between]).permute(1, 2, 0).cpu().numpy()


def shown_checks(values: _Array, seed: int) -> _Array:
    """Some of many, for a picture: a seeded choice of those whose statistics are all known."""
    known = values[np.isfinite(values).all((1, 2))]
    return known[np.random.default_rng(seed).permutation(len(known))[:_SHOWN]]
