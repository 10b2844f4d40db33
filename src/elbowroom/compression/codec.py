"""Rows ↔ words of a chunk: bits back over a stack."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom import likelihoods as lik
from elbowroom.components import Component
from elbowroom.numerics import CapabilityError, Given
from elbowroom.vae import VAE

from ._rounded import fingerprint, rounded
from .cells import Cells, Spans
from .families import Bool, families_of
from .latents import Classes, Normals, Reference, block_of
from .masses import Nested, Whole
from .portable import Array
from .schedule import schedule
from .stack import Damaged, Empty, Stack, initial_words, refuse_other_coder

__all__ = ["Chunk", "Codec", "OtherOutputs", "Settings"]

_MOST_TOGETHER, _NUMBERS_AT_ONCE = 64, 2**21
_MASK_ONES = 2**16


class OtherOutputs(Exception):
    """The networks returned other numbers than when the file was written."""


@dataclass(frozen=True)
class Settings:
    """What a file says of how it was coded, beside the model.

    Parameters
    ----------
    bits : int
        Binary digits of a latent's bucket.
    cap : int
        Of counts: from which one on they are one symbol, an escape, behind which another stands for the rest.
    spans : Spans
        Where the whole numbers of each cell lie.
    seen : array or None
        [D]: of 65,536, how often each cell is seen; None where none is missing.
    references : dict
        Block → mean and standard deviation of its buckets, where its prior is not the same for every row.
    """

    bits: int
    cap: int
    spans: Spans
    seen: Whole | None = None
    references: dict[str, Reference] = field(default_factory=dict)


@dataclass(frozen=True)
class Chunk:
    """Some rows, coded.

    Parameters
    ----------
    words : array
        32-bit words, the top of the stack last.
    initial : int
        How many of them, at the bottom, are the fixed initial words that a first row needs.
    rows : int
        How many rows.
    outputs : bytes
        Check word over what the networks returned, 8 bytes.
    values : bytes
        Check word over the cells, 8 bytes.
    mask_bits : float
        Bits that say which cells are missing.
    """

    words: NDArray[np.uint32]
    initial: int
    rows: int
    outputs: bytes
    values: bytes
    mask_bits: float = 0.0


class Codec:
    """Bits back for one model.

    Parameters
    ----------
    vae : VAE
        The trained model.
    settings : Settings or None, default None
        Of the file; None asks only whether the model can be coded.
    exact : bool, default False
        Whether the model is `rounded` already.

    Raises
    ------
    CapabilityError
        For a model that cannot, with the reason.

    References
    ----------
    Townsend, Bird & Barber, "Practical lossless compression with latent variables using bits back coding" (2019).
    """

    def __init__(self, vae: VAE, settings: Settings | None = None, *, exact: bool = False) -> None:
        refuse_what_reads_more(vae)
        refuse_other_coder()
        self.vae = vae if exact else rounded(vae)
        self.settings = settings or _probing(self.vae)
        self.cells = Cells(self.vae, self.settings.spans)
        self.blocks: dict[str, Normals | Classes] = {
            name: block_of(name, self.vae.prior[name], block, self.settings.bits, self.settings.references.get(name))
            for name, block in self.vae.posterior.items()
        }
        self.families = families_of(self.vae.likelihood, self.cells, self.settings.cap)
        self.steps = _schedule(self.vae)

    def together(self) -> int:
        """How many rows are coded at once, at most."""
        held = sum(family.width * (family.places.stop - family.places.start) for family in self.families)
        return min(max(_NUMBERS_AT_ONCE // max(held, 1), 1), _MOST_TOGETHER)

    def groups(self, rows: int) -> list[slice]:
        """Rows that are coded together, in the order of an encoder: from the last row, first few, then more.

        A group pops its latents before it pushes anything, so that the first one should be small: it takes the initial
        bits.
        """
        found, done = list[slice](), 0
        while done < rows:
            size = min(self.together(), max(done // 4, 1), rows - done)
            found.append(slice(rows - done - size, rows - done))
            done += size
        return found

    def encode(self, whole: Whole, seen: Bool | None = None) -> Chunk:
        """Code rows [n, D], with seen [n, D] where cells are missing.

        Parameters
        ----------
        whole : array
            [n, D] whole numbers, as `cells` has them.
        seen : array or None, default None
            False where a cell is missing.

        Returns
        -------
        Chunk
            The words and their check words.
        """
        primed = 64
        while True:
            try:
                return self._encode(whole, seen, primed)
            except Empty:
                primed *= 4

    def _encode(self, whole: Whole, seen: Bool | None, primed: int) -> Chunk:
        stack, outputs, mask_bits = Stack.primed(primed), _Outputs(self.vae), 0.0
        for number, group in enumerate(self.groups(len(whole))):
            part = None if seen is None else seen[group]
            self._push(stack, whole[group], part, outputs.of_group(number))
            if part is not None:
                before = stack.bits
                self._mask(len(part)).push(stack, part.reshape(-1).astype(np.int64))
                mask_bits += stack.bits - before
        unread = stack.lowest  # words below were never looked at, so the decoder will not either
        values = _digest(_as_bytes(whole, seen))
        return Chunk(stack.words()[unread:], primed - unread, len(whole), outputs.word(), values, mask_bits)

    def _push(self, stack: Stack, whole: Whole, seen: Bool | None, outputs: "_OfGroup") -> None:
        given, held = self._given(whole, seen), dict[str, Whole]()
        for do, name in self.steps:
            if do == "pop":
                self._whiten(stack, name, len(whole), outputs.number)
                held[name] = self.blocks[name].pop_posterior(stack, given, outputs)
                given[name] = self.blocks[name].value(held[name])
            elif name == "x":
                self._push_x(stack, whole, seen, given, outputs)
            else:
                self.blocks[name].push_prior(stack, held[name], given, outputs)

    def decode(self, chunk: Chunk) -> tuple[Whole, Bool | None]:
        """The rows of a chunk again.

        Parameters
        ----------
        chunk : Chunk
            As `encode` made it.

        Returns
        -------
        whole : array
            [n, D].
        seen : array or None
            [n, D] where cells are missing.

        Raises
        ------
        OtherOutputs
            Where the networks return other numbers than they did; nothing is returned then.
        Damaged
            Where the words are not what `encode` made.
        """
        stack, outputs = Stack(chunk.words), _Outputs(self.vae)
        whole = np.zeros((chunk.rows, len(self.cells.levels)), np.int64)
        seen = None if self.settings.seen is None else np.ones(whole.shape, bool)
        failed = False
        try:
            for number, group in reversed(list(enumerate(self.groups(chunk.rows)))):
                rows = group.stop - group.start
                part = None
                if seen is not None:
                    part = self._mask(rows).pop(stack, rows * whole.shape[1]).reshape(rows, -1) > 0
                    seen[group] = part
                whole[group] = self._pop(stack, rows, part, outputs.of_group(number))
        except Damaged:
            failed = True
        if failed or not np.array_equal(stack.words(), initial_words(chunk.initial)):
            raise Damaged
        if outputs.word() != chunk.outputs:
            raise OtherOutputs
        if _digest(_as_bytes(whole, seen)) != chunk.values:
            raise Damaged
        return whole, seen

    def _pop(self, stack: Stack, rows: int, seen: Bool | None, outputs: "_OfGroup") -> Whole:
        given, held, whole = Given(), dict[str, Whole](), np.zeros((rows, 0), np.int64)
        for do, name in reversed(self.steps):
            if do == "pop":
                self.blocks[name].push_posterior(stack, held[name], given, outputs)
                self._whiten(stack, name, rows, outputs.number)
            elif name == "x":
                whole = self._pop_x(stack, rows, seen, given, outputs)
                given |= self._given(whole, seen)
            else:
                held[name] = self.blocks[name].pop_prior(stack, rows, given, outputs)
                given[name] = self.blocks[name].value(held[name])
        return whole

    def _whiten(self, stack: Stack, name: str, rows: int, group: int) -> None:
        """What q is drawn from looks random."""
        place = 1 + len(self.blocks) * group + list(self.blocks).index(name)
        stack.whiten(rows * self.blocks[name].draws, place)

    def _given(self, whole: Whole, seen: Bool | None) -> Given:
        given = {"x": self.cells.y(whole, seen).unsqueeze(0)}
        if any("seen" in block.given for block in self.vae.posterior.values()):
            mask = np.ones(whole.shape) if seen is None else seen.astype(np.float64)
            given["seen"] = torch.from_numpy(mask).reshape(1, len(whole), *self.cells.event)
        return given

    def _push_x(self, stack: Stack, whole: Whole, seen: Bool | None, given: Given, outputs: "_OfGroup") -> None:
        for family, raw in reversed(list(self._numbers(outputs(self.vae.likelihood, given)))):
            family.push(stack, whole[:, family.places], raw, _seen_of(seen, whole.shape)[:, family.places])

    def _pop_x(self, stack: Stack, rows: int, seen: Bool | None, given: Given, outputs: "_OfGroup") -> Whole:
        shape = (rows, len(self.cells.levels))
        pairs = self._numbers(outputs(self.vae.likelihood, given))
        parts = [family.pop(stack, raw, _seen_of(seen, shape)[:, family.places]) for family, raw in pairs]
        return np.concatenate(parts, 1)

    def _numbers(self, out: Array) -> Iterator[tuple[Any, Array]]:
        start = 0
        for family in self.families:
            part = out[:, start : start + family.numbers]
            yield family, part.reshape(len(out), family.parts, -1)
            start += family.numbers

    def _mask(self, rows: int) -> Nested:
        assert self.settings.seen is not None
        missing = 1.0 - np.tile(self.settings.seen, rows) / _MASK_ONES
        below = np.stack([np.zeros_like(missing), missing, np.ones_like(missing)], 1)
        return Nested(2, lambda places: np.take_along_axis(below, places, 1))

    def probe(self) -> bytes:
        """A check word over the whole way from made-up rows to words, 16 bytes: equal where files decode."""
        shape = (6, len(self.cells.levels))
        places = np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape)
        whole = (places * 7919 + places // 5 * 104_729) % np.maximum(self.cells.levels, 1)
        if any(family.counts for family in self.families):
            whole = np.where(_of_counts(self.families, shape), places % 7, whole)
        seen = None if self.settings.seen is None else places % 11 > 0
        chunk = self.encode(whole, seen)
        return hashlib.sha256(chunk.words.astype("<u4").tobytes() + chunk.outputs + chunk.values).digest()[:16]

    def fingerprint(self) -> bytes:
        """A hash of the rounded model, 32 bytes: kinds of its parts, and every number in them."""
        return fingerprint(self.vae)


class _Outputs:
    """Check words over what networks returned, by group and part, so that an encoder and a decoder have the same."""

    def __init__(self, vae: VAE) -> None:
        named = [("p", vae.prior.items()), ("q", vae.posterior.items()), ("p", [("x", vae.likelihood)])]
        self.names = {id(part): f"{kind} {name}" for kind, parts in named for name, part in parts}
        self.found: dict[tuple[int, str], bytes] = {}

    def of_group(self, number: int) -> "_OfGroup":
        return _OfGroup(self, number)

    def word(self) -> bytes:
        """One check word over all, 8 bytes."""
        return _digest(b"".join(word for _, word in sorted(self.found.items())))


@dataclass
class _OfGroup:
    """Runs networks on one group."""

    outputs: _Outputs
    number: int

    @torch.no_grad()
    def __call__(self, part: Component, given: Given) -> Array:
        out = part.network_output(given)[0]
        numbers = np.ascontiguousarray(out.reshape(out.shape[0], -1).cpu().numpy(), "<f8")
        self.outputs.found[self.number, self.outputs.names[id(part)]] = _digest(numbers.tobytes())
        return numbers


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:8]


def _as_bytes(whole: Whole, seen: Bool | None) -> bytes:
    held = whole if seen is None else np.where(seen, whole, -1)
    return held.astype("<i8").tobytes()


def _seen_of(seen: Bool | None, shape: tuple[int, ...]) -> Bool:
    return np.ones(shape, bool) if seen is None else seen


def _of_counts(families: Sequence[Any], shape: tuple[int, int]) -> Bool:
    found = np.zeros(shape, bool)
    for family in families:
        found[:, family.places] |= family.counts
    return found


def _schedule(vae: VAE) -> list[tuple[str, str]]:
    own = ("x", "seen", *vae.posterior)
    reads_q = {name: [one for one in block.given if one in own] for name, block in vae.posterior.items()}
    reads_q = {name: ["x" if one == "seen" else one for one in read] for name, read in reads_q.items()}
    reads_p = {"x": list(vae.likelihood.given), **{name: list(block.given) for name, block in vae.prior.items()}}
    return schedule(reads_q, reads_p)


def _probing(vae: VAE) -> Settings:
    """Settings that only serve to see whether a model can be coded."""
    size = math.prod(vae.likelihood.event)
    zeros = np.zeros(size, np.int64)
    return Settings(bits=4, cap=16, spans=Spans(zeros, zeros + 1))


def refuse_what_reads_more(vae: VAE) -> None:
    """Refuse models that read what a file does not hold.

    Parameters
    ----------
    vae : VAE
        The model.

    Raises
    ------
    CapabilityError
        With the reason.
    """
    if vae.context_names:
        raise CapabilityError(
            f"This model reads the context {vae.context_names[0]!r}, which a file does not hold: train one without it."
        )
    if vae.reads_beta or any("index" in block.given for block in vae.posterior.values()):
        raise CapabilityError(
            "The encoder of this model reads more than x (the weight of the rate, or the place of a row), which a "
            "decoder does not know: train one whose q(z | x) reads x alone."
        )
    if isinstance(vae.likelihood, lik.Autoregressive):
        raise CapabilityError(
            "An autoregressive p(x | z) is decoded cell by cell, which this codec does not do: train one whose cells "
            "are independent given z."
        )
