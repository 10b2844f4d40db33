"""What `measure` leaves of counts of many columns, as of cells: posterior predictive checks, and residuals by gene."""

from dataclasses import dataclass

from .values import EstimateField

__all__ = ["CellsRecord", "CheckRecord", "GeneRecord"]


@dataclass(frozen=True)
class CheckRecord:
    """A statistic of the held-out rows beside its replicates.

    Parameters
    ----------
    of, statistic : str
        "genes" or "cells", and "coefficient of variation", "share of zeros", "mean" or "total".
    inside : float
        Share of genes, or of cells, whose statistic lies between the 5 and 95 % quantiles of its replicates.
    above : float
        Share of them above the 95 % quantile.
    n : int
        How many genes or cells.
    """

    of: str
    statistic: str
    inside: float
    above: float
    n: int


@dataclass(frozen=True)
class GeneRecord:
    """Residuals of one gene over the held-out rows.

    Parameters
    ----------
    name : str
        Of the gene.
    mean, predicted : float
        Mean count, and the model's.
    zeros, zeros_predicted : float
        Shares of zeros.
    variance_ratio : float
        Mean squared residual about the model's means, by that of the replicates: above 1 the model is too sure.
    surprise : float
        By how many standard errors of the replicates that mean squared residual is off.
    """

    name: str
    mean: float
    predicted: float
    zeros: float
    zeros_predicted: float
    variance_ratio: float
    surprise: float


@dataclass(frozen=True)
class CellsRecord:
    """The checks of the chosen model on held-out rows.

    Parameters
    ----------
    checks : tuple of CheckRecord
        By gene and by cell.
    genes : tuple of GeneRecord
        Those that fit least.
    columns, rows, draws : int
        Genes, held-out rows, and replicates of each.
    map_axes : str
        What the axes of the latent map are.
    batches : tuple of str
        Names of the batches; empty where there is none, or one.
    with_size : Estimate, optional
        log p(x | size) + log p(size), where the size is observed and log p of the totals is known.
    size_law : str, optional
        By which law of totals, in words.
    """

    checks: tuple[CheckRecord, ...]
    genes: tuple[GeneRecord, ...]
    columns: int
    rows: int
    draws: int
    map_axes: str
    batches: tuple[str, ...] = ()
    with_size: EstimateField | None = None
    size_law: str | None = None
