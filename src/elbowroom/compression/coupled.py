"""Several draws of z that take the bits of one: shifts of one uniform number, an index that their weights choose."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np

from elbowroom.numerics import Given

from .latents import Block, Watch
from .masses import LOG_UNITS, Nested, Whole, from_weights, whole_logs
from .outputs import OfGroup, run
from .portable import Array
from .stack import TOTAL, Stack, stream
from .units import Units

__all__ = ["Coupled"]

_HALF = 12
_SHIFTS = 2**30

Known = Mapping[str, tuple[Array, ...]]
"""Block → numbers of its q for each row, where it reads no latent."""

LogX = Callable[[Given, int], Whole]
"""From latents of so many draws of the rows, one draw after another, to log p(x | z) of each."""


class Coupled:
    """K draws of all blocks for each row.

    One number u below 2²⁴ for each latent is taken from the stack; draw j lies where u + s_j does among the units of q,
    s_j from a fixed stream, so that each draw is one from q and takes no bits of its own. An index is taken by the
    weights p(x, z_j) / q(z_j | x), and what u says beyond the draw that it chooses is put back. A row's length is
    then −log of the mean weight.

    Parameters
    ----------
    blocks : mapping
        Blocks of latents in the order in which q draws them.
    draws : int
        K, 2 or more.
    together : int
        How many rows networks are run on at once.

    References
    ----------
    Ruan, Ullrich, Severo, Townsend, Khisti, Doucet, Makhzani & Maddison, "Improving lossless compression rates via
    Monte Carlo bits-back coding" (2021), of which this is BB-CIS.
    """

    def __init__(self, blocks: Mapping[str, Block], draws: int, together: int) -> None:
        self.blocks, self.draws, self.together = blocks, draws, together
        self.even = Nested(draws, lambda places: places / float(draws))

    def take(self, stack: Stack, given: Given, log_x: LogX, group: OfGroup) -> tuple[dict[str, Whole], Whole]:
        """Take a draw of each block from the stack, as an encoder does.

        Parameters
        ----------
        stack : Stack
            Whose top is taken.
        given : dict
            "x", and "seen" where q reads it; the chosen latents are added.
        log_x : callable
            log p(x | z).
        group : OfGroup
            Of the rows.

        Returns
        -------
        held : dict
            Block → symbols [n, D].
        index : array
            [n]: which draw it is, to be put on the stack when all else is.
        """
        rows = given["x"].shape[1]
        self._whiten(stack, rows, group.number)
        units = {
            name: ((stack.pop_even(2 * size, _HALF).reshape(2, -1).T * [2**_HALF, 1]).sum(1)).reshape(rows, -1)
            for name, size in self._sizes(rows)
        }
        known = self._known(given, group)
        held, logs = self._weigh(units, given, known, log_x, group)
        index = self._chooser(logs).pop(stack, rows)
        chosen = {name: one[index, np.arange(rows)] for name, one in held.items()}
        for name, block in self.blocks.items():
            found = self._units(name, known, given, group)
            shifted = (units[name] + self._shifts(name, rows, group.number)[index, np.arange(rows)]) % TOTAL
            symbols, rest, sizes = found.of(shifted.reshape(-1))
            assert (symbols == chosen[name].reshape(-1)).all()
            _rest(sizes).push(stack, rest)
            given[name] = block.value(chosen[name])
        return chosen, index

    def put_back(
        self, stack: Stack, held: Mapping[str, Whole], index: Whole, given: Given, log_x: LogX, group: OfGroup
    ) -> None:
        """The reverse, once x is known; given holds the latents too."""
        rows, units = len(index), dict[str, Whole]()
        read = {name: one for name, one in given.items() if name not in self.blocks}
        known = self._known(read, group)
        for name in reversed(list(self.blocks)):
            found, symbols = self._units(name, known, given, group), held[name].reshape(-1)
            sizes = found.sizes(symbols)
            rest = _rest(sizes).pop(stack, len(sizes))
            shifted = (found.starts(np.arange(len(symbols)), symbols) + rest).reshape(rows, -1)
            units[name] = (shifted - self._shifts(name, rows, group.number)[index, np.arange(rows)]) % TOTAL
        _, logs = self._weigh(units, read, known, log_x, group)
        self._chooser(logs).push(stack, index)
        for name, _ in reversed(list(self._sizes(rows))):
            flat = units[name].reshape(-1)
            stack.push_even(np.concatenate([flat >> _HALF, flat % 2**_HALF]), _HALF)
        self._whiten(stack, rows, group.number)

    def _weigh(
        self, units: Mapping[str, Whole], given: Given, known: Known, log_x: LogX, group: OfGroup
    ) -> tuple[dict[str, Whole], Whole]:
        """All draws [K, n, D] of each block, and their log weights [K, n] in whole units of 2⁻²⁰ nats."""
        rows = given["x"].shape[1]
        shifted = {name: one + self._shifts(name, rows, group.number) for name, one in units.items()}
        parts = [self._some(shifted, some, given, known, log_x) for some in self._slices(rows)]
        held = {name: np.concatenate([part[name] for part, _ in parts]) for name in self.blocks}
        logs = np.concatenate([part for _, part in parts])
        group.note("weights", logs.astype("<i8", copy=False))
        return held, logs

    def _some(
        self, shifted: Mapping[str, Whole], some: slice, given: Given, known: Known, log_x: LogX
    ) -> tuple[dict[str, Whole], Whole]:
        rows, held = given["x"].shape[1], dict[str, Whole]()
        draws = some.stop - some.start
        tiled = {name: one.repeat(1, draws, *[1] * (one.ndim - 2)) for name, one in given.items()}
        logs = np.zeros(draws * rows, np.int64)
        for name, block in self.blocks.items():
            found = self._units(name, known, tiled, run, draws)
            symbols, _, sizes = found.of((shifted[name][some] % TOTAL).reshape(-1))
            logs -= whole_logs(sizes.astype(np.float64)).reshape(draws * rows, -1).sum(1)
            held[name] = symbols.reshape(draws * rows, -1)
            tiled[name] = block.value(held[name])
        for name, block in self.blocks.items():
            logs += block.prior_logs(held[name], tiled, run)
        logs += log_x(tiled, draws)
        return {name: one.reshape(draws, rows, -1) for name, one in held.items()}, logs.reshape(draws, rows)

    def _known(self, given: Given, watch: Watch) -> Known:
        alone = {
            name: block for name, block in self.blocks.items() if not set(block.posterior.given) & set(self.blocks)
        }
        return {name: block.posterior_of(given, watch) for name, block in alone.items()}

    def _units(self, name: str, known: Known, given: Given, watch: Watch, draws: int = 1) -> Units:
        """q of so many draws of all rows."""
        block: Any = self.blocks[name]
        numbers = [np.tile(one, (draws, 1)) for one in known.get(name, ())] or block.posterior_of(given, watch)
        return cast("Units", block.units(*numbers))

    def _slices(self, rows: int) -> list[slice]:
        each = max(self.together // rows, 1)
        return [slice(start, min(start + each, self.draws)) for start in range(0, self.draws, each)]

    def _sizes(self, rows: int) -> list[tuple[str, int]]:
        return [(name, rows * block.draws) for name, block in self.blocks.items()]

    def _shifts(self, name: str, rows: int, group: int) -> Whole:
        """[K, n, D], from a fixed stream."""
        place, size = _SHIFTS + len(self.blocks) * group + list(self.blocks).index(name), self.blocks[name].draws
        words = stream(place << 32, self.draws * rows * size) >> np.uint32(8)
        return words.astype(np.int64).reshape(self.draws, rows, size)

    def _chooser(self, logs: Whole) -> Nested:
        below = from_weights((logs - logs.max(0)).T / LOG_UNITS)
        return Nested(self.draws, lambda places: np.take_along_axis(below, places, 1))

    def _whiten(self, stack: Stack, rows: int, group: int) -> None:
        """What u and the index are taken from looks random."""
        bits = sum(2 * _HALF * size for _, size in self._sizes(rows)) + 16 * rows
        stack.whiten(-(-bits // 16), 1 + len(self.blocks) * group)


def _rest(sizes: Whole) -> Nested:
    """Numbers below sizes [cells], all alike."""
    return Nested(sizes, lambda places: places.astype(np.float64))
