"""Cells that read earlier cells of their row: coded front by front, each under its masses given those before it."""

import math
from collections.abc import Iterator

import numpy as np
import torch

from elbowroom.likelihoods import Autoregressive, Likelihood
from elbowroom.numerics import Given

from .cells import Cells, families_in
from .families import Bool, Family
from .masses import Whole
from .portable import Array
from .stack import Stack

__all__ = ["Ordered", "families_of"]


class Ordered:
    """How cells that read their neighbours are coded, by a family whose cells are independent.

    Who writes has all cells and runs the network of neighbours once. Who reads takes one front of cells after another,
    none of which reads another of its front, in all rows of a group at once.

    Parameters
    ----------
    likelihood : Autoregressive
        In 64 bits, its networks exact.
    cells : Cells
        Levels and edges of all cells of x.
    places : slice
        Which of them are the likelihood's.
    cap : int
        As for `Family`.

    Raises
    ------
    CapabilityError
        For a family without masses.
    """

    def __init__(self, likelihood: Autoregressive, cells: Cells, places: slice, cap: int) -> None:
        self.family, self.places = Family(likelihood.family, cells, places, cap), places
        self.likelihood, self.cells = likelihood, cells
        self.parts, self.numbers, self.counts = likelihood.parts, likelihood.numbers, self.family.counts

    @property
    def width(self) -> int:
        """How many numbers are held for a cell while it is coded, in round figures."""
        hidden, reads = self.likelihood.inner.weight.shape
        return max(self.family.width, reads + 2 * hidden)

    def with_beside(self, raw: Array, given: Given) -> Array:
        """As `Family` has it."""
        return self.family.with_beside(raw, given)

    def push(self, stack: Stack, whole: Whole, raw: Array, seen: Bool) -> None:
        """Put cells [n, size] on the stack, the last front first."""
        found = self.completed(whole, raw, seen)
        for _, here in reversed(list(self._fronts(seen))):
            self.family.push(stack, whole, found, here)

    def pop(self, stack: Stack, raw: Array, seen: Bool) -> Whole:
        """Take cells [n, size] from the stack; 0 where they are missing."""
        whole, found = np.zeros(seen.shape, np.int64), raw.copy()
        for front, here in self._fronts(seen):
            found[:, : self.parts, front] = self._given_neighbours(whole, raw, seen, front)
            whole += self.family.pop(stack, found, here)
        return whole

    def logs(self, whole: Whole, raw: Array, seen: Bool) -> Whole:
        """log p(x | z) of each row, [n], as `Family` has it."""
        return self.family.logs(whole, self.completed(whole, raw, seen), seen)

    def nats(self, whole: Whole, raw: Array, seen: Bool) -> Array:
        """What the cells of each row take, [n], as `Family` has it."""
        return self.family.nats(whole, self.completed(whole, raw, seen), seen)

    def completed(self, whole: Whole, raw: Array, seen: Bool) -> Array:
        """Numbers [n, parts, size] of all cells given those that they read, from those of the network alone."""
        found = raw.copy()
        found[:, : self.parts] = self._given_neighbours(whole, raw, seen, slice(None))
        return found

    def _fronts(self, seen: Bool) -> Iterator[tuple[Whole, Bool]]:
        """Cells of each front, and which of them are seen."""
        for front in self.likelihood.fronts:
            here, places = np.zeros_like(seen), front.numpy()
            here[:, places] = seen[:, places]
            yield places, here

    @torch.no_grad()
    def _given_neighbours(self, whole: Whole, raw: Array, seen: Bool, at: Whole | slice) -> Array:
        own = torch.from_numpy(raw[:, : self.parts, at]).movedim(1, 2).unsqueeze(0)
        places = None if isinstance(at, slice) else torch.from_numpy(at)
        y = torch.from_numpy(self._y(whole, seen)).reshape(1, len(whole), *self.likelihood.event)
        found: Array = self.likelihood.given_neighbours(y, own, places)[0].movedim(2, 1).numpy()
        return found

    def _y(self, whole: Whole, seen: Bool) -> Array:
        """What the network reads of cells."""
        everywhere = np.zeros((len(whole), len(self.cells.levels)), np.int64)
        everywhere[:, self.places] = whole
        return np.where(seen, self.cells.y(everywhere).flatten(1)[:, self.places].numpy(), 0.0)


def families_of(likelihood: Likelihood, cells: Cells, cap: int) -> list[Family | Ordered]:
    """The families of a likelihood, in the order of the columns.

    Parameters
    ----------
    likelihood : Likelihood
        In 64 bits.
    cells : Cells
        Levels and edges of all cells of x.
    cap : int
        As for `Family`.

    Returns
    -------
    list of Family or Ordered
        One, or those of a mixed table.
    """
    found, start = list[Family | Ordered](), 0
    for family in families_in(likelihood):
        places = slice(start, start + math.prod(family.event))
        made = Ordered if isinstance(family, Autoregressive) else Family
        found.append(made(family, cells, places, cap))
        start = places.stop
    return found
