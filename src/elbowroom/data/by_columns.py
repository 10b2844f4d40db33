"""The preprocessing of a table, column by column."""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import torch
from torch import Tensor

from elbowroom.numerics import Support
from elbowroom.preprocess import Atoms, Chain, Codes, Columns, Identity, Preprocess, Rounded, Standardise

from .values import Values

__all__ = ["by_columns"]

Pieces = Callable[[], Iterable[Tensor]]


def by_columns(support: Support, train: Values, seed: int) -> Preprocess:
    """Map every column as its support asks: numbers standardised, rounded ones dequantised first, a few values coded.

    Parameters
    ----------
    support : Support
        Of the table.
    train : Values
        The training part, from which means and scales are taken.
    seed : int
        Draws the noise of dequantising while these are taken.

    Returns
    -------
    Preprocess
        One map, or `Columns` of several.
    """
    columns = support.columns or (support,) * train.event[0]
    steps, sizes, start = [], [], 0
    for run in _runs(columns):
        where = slice(start, start + len(run))
        start += len(run)
        steps.append(_step(run, lambda where=where: (piece[:, where] for piece in train.pieces()), seed))  # type: ignore[misc]
        sizes.append(len(run))
    return steps[0] if len(steps) == 1 else Columns(steps, sizes)


def _runs(columns: Sequence[Support]) -> list[list[Support]]:
    """Neighbouring columns that one map serves."""

    def served(one: Support) -> tuple[object, ...]:
        if one.kind == "real" and not one.atoms:
            return ("real",)
        alone = one.kind in ("real", "unit") or one.values
        return (one.kind if alone else "as they are", one.values, one.atoms, one.step)

    return [list(run) for _, run in groupby(columns, key=served)]


def _step(run: list[Support], pieces: Pieces, seed: int) -> Preprocess:
    first = run[0]
    if first.values:
        return Codes(first.values)
    if first.kind != "real":
        return Identity()
    return Atoms(_scaled(run, pieces, seed), first.atoms) if first.atoms else _scaled(run, pieces, seed)


def _scaled(run: list[Support], pieces: Pieces, seed: int) -> Preprocess:
    """Standardised, and dequantised before that where values were rounded; atoms have no part in the scale."""
    standardise = Standardise((len(run),))
    atoms = run[0].atoms

    def between() -> Iterable[Tensor]:
        for piece in pieces():
            wide = piece.double()
            atom = torch.isin(piece, torch.tensor(atoms, dtype=piece.dtype)) if atoms else torch.zeros_like(piece) > 0
            yield wide.masked_fill(atom, torch.nan)

    if not any(one.step for one in run):
        return standardise.fit(between())
    rounded = Rounded([one.step or 0.0 for one in run], _first_values(between(), len(run)))
    generator = torch.Generator().manual_seed(seed)
    uniforms = (torch.rand(piece.shape, generator=generator, dtype=torch.float64) for piece in between())
    standardise.fit(rounded.cells(piece, u)[0] for piece, u in zip(between(), uniforms, strict=True))
    return Chain([rounded, standardise])


def _first_values(pieces: Iterable[Tensor], columns: int) -> list[float]:
    """A value that each column takes; 0 where it takes none."""
    found = torch.full((columns,), torch.nan, dtype=torch.float64)
    for piece in pieces:
        for i in torch.nonzero(found.isnan()).flatten().tolist():
            seen = piece[:, i][~piece[:, i].isnan()]
            if len(seen):
                found[i] = seen[0]
        if not found.isnan().any():
            break
    values: list[float] = found.nan_to_num().tolist()
    return values
