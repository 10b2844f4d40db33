"""Rows ↔ words of a chunk: bits back over a stack."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from elbowroom.numerics import CapabilityError, Given
from elbowroom.vae import VAE

from ._rounded import fingerprint, rounded
from .ascent import Ascent
from .blocks import block_of
from .cells import Cells, Spans
from .chunk import Chunk
from .contexts import Contexts
from .coupled import Coupled
from .families import Bool, Family
from .latents import Block, Reference
from .masses import Nested, Whole
from .ordered import Ordered, families_of
from .outputs import OfGroup, Outputs, digest, run
from .portable import Array
from .refusals import refuse_what_reads_more
from .schedule import schedule
from .stack import Damaged, Empty, Stack, initial_words, refuse_other_coder

__all__ = ["Chunk", "Codec", "OtherOutputs", "Settings", "refuse_what_reads_more"]

_MOST_TOGETHER, _MOST_DRAWN, _NUMBERS_AT_ONCE = 64, 256, 2**21
_MASK_ONES = 2**16
NO_CONTEXTS = Contexts()


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
    draws : int
        Of the latents, for each row.
    refine : int
        Steps by which q of each row is refined.
    """

    bits: int
    cap: int
    spans: Spans
    seen: Whole | None = None
    references: dict[str, Reference] = field(default_factory=dict)
    draws: int = 1
    refine: int = 0


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
    contexts : Contexts, default none
        What the model reads beside x and z, of whatever rows: their shapes are asked for.

    Raises
    ------
    CapabilityError
        For a model that cannot, with the reason.

    References
    ----------
    Townsend, Bird & Barber, "Practical lossless compression with latent variables using bits back coding" (2019).
    """

    def __init__(
        self, vae: VAE, settings: Settings | None = None, *, exact: bool = False, contexts: Contexts = NO_CONTEXTS
    ) -> None:
        refuse_what_reads_more(vae)
        refuse_other_coder()
        self.vae = vae if exact else rounded(vae)
        self.settings = settings or _probing(self.vae)
        self.made_up = contexts.made_up()
        self.cells = Cells(self.vae, self.settings.spans)
        self.blocks: dict[str, Block] = {
            name: block_of(name, self.vae.prior[name], block, self.settings.bits, self.settings.references.get(name))
            for name, block in self.vae.posterior.items()
        }
        self.families = families_of(self.vae.likelihood, self.cells, self.settings.cap)
        if self.settings.refine:
            if self.settings.seen is not None:
                raise CapabilityError(
                    "q is refined for rows without missing cells alone: write this file with refine=0."
                )
            ascent = Ascent(self.vae, self.settings.refine)
            for block in self.blocks.values():
                block.ascent = ascent
        self.steps = _schedule(self.vae)
        self.coupled = Coupled(self.blocks, self.settings.draws, self._at_once(_MOST_DRAWN))

    def together(self) -> int:
        """How many rows are coded at once, at most."""
        most = self._at_once(_MOST_TOGETHER)
        if self.settings.draws == 1:
            return most
        drawn = self.settings.draws * sum(block.draws for block in self.blocks.values())
        return min(most, max(_NUMBERS_AT_ONCE // drawn, 1))

    def _at_once(self, most: int) -> int:
        held = sum(family.width * (family.places.stop - family.places.start) for family in self.families)
        return min(max(_NUMBERS_AT_ONCE // max(held, 1), 1), most)

    def groups(self, rows: int) -> list[slice]:
        """Rows that are coded together, in the order of an encoder: from the last row, first few, then more.

        A group pops its latents before it pushes anything, so that the first one should be small: it takes the initial
        bits.
        """
        found, done, slow = list[slice](), 0, 4 if self.settings.draws == 1 else 8
        while done < rows:
            size = min(self.together(), max(done // slow, 1), rows - done)
            found.append(slice(rows - done - size, rows - done))
            done += size
        return found

    def encode(self, whole: Whole, seen: Bool | None = None, context: Given | None = None) -> Chunk:
        """Code rows [n, D], with seen [n, D] where cells are missing.

        Parameters
        ----------
        whole : array
            [n, D] whole numbers, as `cells` has them.
        seen : array or None, default None
            False where a cell is missing.
        context : dict or None, default None
            What the model reads beside x: name → [1, n, *event], 64 bits.

        Returns
        -------
        Chunk
            The words and their check words.
        """
        primed = 64
        while True:
            try:
                return self._encode(whole, seen, context or {}, primed)
            except Empty:
                primed *= 4

    def _encode(self, whole: Whole, seen: Bool | None, context: Given, primed: int) -> Chunk:
        stack, outputs, mask_bits = Stack.primed(primed), Outputs(self.vae), 0.0
        for number, group in enumerate(self.groups(len(whole))):
            part = None if seen is None else seen[group]
            self._push(stack, whole[group], part, _of_rows(context, group), outputs.of_group(number))
            if part is not None:
                before = stack.bits
                self._mask(len(part)).push(stack, part.reshape(-1).astype(np.int64))
                mask_bits += stack.bits - before
        unread = stack.lowest  # words below were never looked at, so the decoder will not either
        values = digest(_as_bytes(whole, seen))
        return Chunk(stack.words()[unread:], primed - unread, len(whole), outputs.word(), values, mask_bits)

    def _push(self, stack: Stack, whole: Whole, seen: Bool | None, context: Given, outputs: OfGroup) -> None:
        given, held, index = self.given_of(whole, seen, context), dict[str, Whole](), None
        if self.settings.draws > 1:
            held, index = self.coupled.take(stack, given, partial(self._log_x, whole, seen), outputs)
        for do, name in self.steps:
            if do == "pop" and index is not None:
                continue
            if do == "pop":
                self._whiten(stack, name, len(whole), outputs.number)
                held[name] = self.blocks[name].pop_posterior(stack, given, outputs)
                given[name] = self.blocks[name].value(held[name])
            elif name == "x":
                self._push_x(stack, whole, seen, given, outputs)
            else:
                self.blocks[name].push_prior(stack, held[name], given, outputs)
        if index is not None:
            self.coupled.even.push(stack, index)

    def decode(self, chunk: Chunk, context: Given | None = None) -> tuple[Whole, Bool | None]:
        """The rows of a chunk again.

        Parameters
        ----------
        chunk : Chunk
            As `encode` made it.
        context : dict or None, default None
            That of these rows, as `encode` was given it.

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
        stack, outputs = Stack(chunk.words), Outputs(self.vae)
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
                beside = _of_rows(context or {}, group)
                whole[group] = self._pop(stack, rows, part, beside, outputs.of_group(number))
        except Damaged:
            failed = True
        if failed or not np.array_equal(stack.words(), initial_words(chunk.initial)):
            raise Damaged
        if outputs.word() != chunk.outputs:
            raise OtherOutputs
        if digest(_as_bytes(whole, seen)) != chunk.values:
            raise Damaged
        return whole, seen

    def _pop(self, stack: Stack, rows: int, seen: Bool | None, context: Given, outputs: OfGroup) -> Whole:
        given, held, whole = dict(context), dict[str, Whole](), np.zeros((rows, 0), np.int64)
        index = self.coupled.even.pop(stack, rows) if self.settings.draws > 1 else None
        for do, name in reversed(self.steps):
            if do == "pop" and index is not None:
                continue
            if do == "pop":
                self.blocks[name].push_posterior(stack, held[name], given, outputs)
                self._whiten(stack, name, rows, outputs.number)
            elif name == "x":
                whole = self._pop_x(stack, rows, seen, given, outputs)
                given |= self.given_of(whole, seen, context)
            else:
                held[name] = self.blocks[name].pop_prior(stack, rows, given, outputs)
                given[name] = self.blocks[name].value(held[name])
        if index is not None:
            log_x = partial(self._log_x, whole, seen)
            self.coupled.put_back(stack, held, index, given, log_x, outputs)
        return whole

    def _log_x(self, whole: Whole, seen: Bool | None, given: Given, draws: int) -> Whole:
        """log p(x | z) of so many draws of all rows, one draw after another."""
        tiled, mask = np.tile(whole, (draws, 1)), np.tile(_seen_of(seen, whole.shape), (draws, 1))
        total = np.zeros(len(tiled), np.int64)
        for family, raw in self.numbers(run(self.vae.likelihood, given), given):
            total += family.logs(tiled[:, family.places], raw, mask[:, family.places])
        return total

    def _whiten(self, stack: Stack, name: str, rows: int, group: int) -> None:
        """What q is drawn from looks random."""
        place = 1 + len(self.blocks) * group + list(self.blocks).index(name)
        stack.whiten(rows * self.blocks[name].draws, place)

    def given_of(self, whole: Whole, seen: Bool | None, context: Given) -> Given:
        """What components read before any latent is drawn."""
        given = {"x": self.cells.y(whole, seen).unsqueeze(0), **context}
        if any("seen" in block.given for block in self.vae.posterior.values()):
            mask = np.ones(whole.shape) if seen is None else seen.astype(np.float64)
            given["seen"] = torch.from_numpy(mask).reshape(1, len(whole), *self.cells.event)
        return given

    def _push_x(self, stack: Stack, whole: Whole, seen: Bool | None, given: Given, outputs: OfGroup) -> None:
        pairs, there = list(self.numbers(outputs(self.vae.likelihood, given), given)), _seen_of(seen, whole.shape)
        for family, raw in reversed(pairs):
            family.push(stack, whole[:, family.places], raw, there[:, family.places])
        _note_ordered(pairs, whole, there, outputs)

    def _pop_x(self, stack: Stack, rows: int, seen: Bool | None, given: Given, outputs: OfGroup) -> Whole:
        pairs = list(self.numbers(outputs(self.vae.likelihood, given), given))
        there = _seen_of(seen, (rows, len(self.cells.levels)))
        whole = np.concatenate([family.pop(stack, raw, there[:, family.places]) for family, raw in pairs], 1)
        _note_ordered(pairs, whole, there, outputs)
        return whole

    def numbers(self, out: Array, given: Given) -> Iterator[tuple[Family | Ordered, Array]]:
        """Each family with its numbers [n, parts, size], of what the network returned and of what stands beside it."""
        start = 0
        for family in self.families:
            part = out[:, start : start + family.numbers]
            yield family, family.with_beside(part.reshape(len(out), family.parts, -1), given)
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
        chunk = self.encode(whole, seen, self.made_up.given(slice(0, 6)))
        settled = b"".join(block.settled for block in self.blocks.values())
        content = chunk.words.astype("<u4").tobytes() + chunk.outputs + chunk.values + settled
        return hashlib.sha256(content).digest()[:16]

    def fingerprint(self) -> bytes:
        """A hash of the rounded model, 32 bytes: kinds of its parts, and every number in them."""
        return fingerprint(self.vae)


def _of_rows(context: Given, rows: slice) -> Given:
    return {name: value[:, rows] for name, value in context.items()}


def _note_ordered(pairs: Sequence[tuple[Any, Array]], whole: Whole, seen: Bool, outputs: OfGroup) -> None:
    """Hand on what networks of neighbours return for all cells, to a check word."""
    for family, raw in pairs:
        if isinstance(family, Ordered):
            places = family.places
            outputs.note(f"x {places.start}", family.completed(whole[:, places], raw, seen[:, places]))


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
