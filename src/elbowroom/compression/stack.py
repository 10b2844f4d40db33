"""A stack of bits: constriction's asymmetric numeral systems, with an end that is watched."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import CapabilityError, InputError

__all__ = ["TOTAL", "Damaged", "Stack", "initial_words", "refuse_other_coder", "stream"]

TOTAL = 2**24
"""The sum of the masses of an alphabet."""
_WORD = 2**32


class Damaged(Exception):
    """What is on the stack was not put there by this codec."""


class Empty(Damaged):
    """More was taken from the stack than is there."""


def initial_words(n: int) -> NDArray[np.uint32]:
    """The bits that a first row is decoded from: the top n words of a fixed stream, the top one last.

    Parameters
    ----------
    n : int
        2 or more.

    Returns
    -------
    array
        [n] of 32-bit words.

    Examples
    --------
    >>> bool((initial_words(5)[-3:] == initial_words(3)).all())
    True
    """
    words = stream(0, n)
    words[0] |= np.uint32(2**31)  # the top word of a stack is never 0
    return words[::-1].copy()


def stream(start: int, n: int) -> NDArray[np.uint32]:
    """Words of a fixed stream that looks random, from a place on (Steele, Lea & Flood's SplitMix, 2014)."""
    places = np.arange(start + 1, start + n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (places ^ (places >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed >> np.uint64(32)).astype(np.uint32)


class Stack:
    """Symbols that are pushed with masses and popped with the same masses, last first.

    Parameters
    ----------
    words : array
        [n] of 32-bit words, 2 or more, the top one last and not 0.

    Raises
    ------
    Damaged
        For words that no stack ends in.

    Examples
    --------
    >>> stack = Stack.primed(4)
    >>> stack.push(np.array([1, 0]), np.full((2, 2), 2**23 - 1, np.float32))
    >>> stack.pop(np.full((2, 2), 2**23 - 1, np.float32)).tolist()
    [1, 0]
    """

    def __init__(self, words: NDArray[np.uint32]) -> None:
        model, self._coder = _constriction()
        self._rows, self._even = model.Categorical(perfect=False), model.Uniform
        if len(words) < 2 or not words[-1]:
            raise Damaged
        self._coder = self._coder(np.ascontiguousarray(words, np.uint32))
        self.lowest = self._coder.pos()[0]

    @classmethod
    def primed(cls, words: int) -> "Stack":
        """A stack with the fixed initial words on it."""
        return cls(initial_words(words))

    def push(self, symbols: NDArray[np.int64], spare: NDArray[np.float32]) -> None:
        """Put symbols [cells] on the stack; spare [cells, n] are the masses − 1 of each cell's symbols."""
        if len(symbols):
            self._coder.encode_reverse(symbols.astype(np.int32), self._rows, np.ascontiguousarray(spare))

    def pop(self, spare: NDArray[np.float32]) -> NDArray[np.int64]:
        """Take symbols [cells] from the stack; the library would make them up where it is empty, so that is refused."""
        if not len(spare):
            return np.zeros(0, np.int64)
        found = self._coder.decode(self._rows, np.ascontiguousarray(spare)).astype(np.int64)
        self._watch()
        return found

    def push_even(self, symbols: NDArray[np.int64], bits: int) -> None:
        """Put numbers of so many bits, 1 to 16, on the stack, all alike in mass."""
        if len(symbols):
            self._coder.encode_reverse(symbols.astype(np.int32), self._even(1 << bits))

    def pop_even(self, cells: int, bits: int) -> NDArray[np.int64]:
        """Take numbers of so many bits from the stack."""
        if not cells:
            return np.zeros(0, np.int64)
        found = self._coder.decode(self._even(1 << bits), cells).astype(np.int64)
        self._watch()
        return found

    def whiten(self, cells: int, place: int) -> None:
        """Turn the top 16 · cells bits into as many that look random, or these back into those: it undoes itself.

        Bits that were coded under a model that is not quite that of the data are not quite random, and a latent that is
        decoded from them is not quite a draw from q: without this the file of an untrained model of classes was 7 %
        longer than its bound.
        """
        self.push_even(self.pop_even(cells, 16) ^ (stream(place << 32, cells) >> np.uint32(16)), 16)

    def words(self) -> NDArray[np.uint32]:
        """All that is on the stack, the top last."""
        return np.asarray(self._coder.get_compressed(), np.uint32)

    @property
    def bits(self) -> int:
        """How many bits are on the stack."""
        return int(self._coder.num_valid_bits())

    def _watch(self) -> None:
        below, state = self._coder.pos()
        self.lowest = min(self.lowest, below)
        if state < _WORD:
            raise Empty


def _constriction() -> tuple[Any, Any]:
    try:
        import constriction
    except ImportError as error:
        raise CapabilityError(
            "Compressing needs the entropy coder of constriction: pip install elbowroom[compression]."
        ) from error
    return constriction.stream.model, constriction.stream.stack.AnsCoder


def refuse_other_coder() -> None:
    """Refuse a version of constriction that turns masses into other bits than files hold.

    Raises
    ------
    InputError
        Where it does.

    Examples
    --------
    >>> refuse_other_coder()
    """
    symbols = np.array([0, 1, 2, 1, 2])
    masses = np.array([[1, 2**24 - 2, 1], [7, 2**23, 2**23 - 7], [5, 2**24 - 1005, 1000], [1, 1, 2**24 - 2]], np.int64)
    masses = masses[[0, 1, 2, 1, 3]]
    stack = Stack.primed(2)
    stack.push(symbols, (masses - 1).astype(np.float32))
    stack.push_even(np.array([5, 65535]), 16)
    if stack.words().tolist() != _by_definition(symbols.tolist(), masses.tolist()):
        raise InputError(
            "This version of constriction makes other bits of the same masses than files are made of: take the version "
            "that the file was written with (0.4 or 0.5)."
        )


def _by_definition(symbols: list[int], masses: list[list[int]]) -> list[int]:
    """The same stack in whole numbers: state ← ⌊state / m⌋ · 2²⁴ + state mod m + what lies below the symbol."""
    even = [(256, 5 * 256), (256, 65535 * 256)]
    steps = [(row[s], sum(row[:s])) for s, row in zip(symbols, masses, strict=True)]
    top = initial_words(2).tolist()
    words, state = list[int](), top[0] + top[1] * _WORD
    for mass, below in [*reversed(steps), *reversed(even)]:
        if state >> 40 >= mass:
            words.append(state % _WORD)
            state //= _WORD
        state = (state // mass) * TOTAL + state % mass + below
    return [*words, state % _WORD, state // _WORD]
