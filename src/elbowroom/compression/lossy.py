"""Lossy files: codes on a stated step, and the decoder's means of them on the data's grid."""

import copy
import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elbowroom import posteriors
from elbowroom.numerics import CapabilityError, Given, InputError
from elbowroom.progress import Progress
from elbowroom.vae import VAE

from ._rounded import fingerprint, rounded
from .cells import CONTINUOUS, Cells, families_in
from .codec import Chunk, refuse_what_reads_more
from .container import Reader
from .lossy_masses import CodeMasses
from .masses import Whole
from .portable import Array
from .refusals import refuse_cells_in_order
from .stack import Damaged, Stack, initial_words, refuse_other_coder

__all__ = ["Decoder", "check_word", "reconstructed"]

SAME, ROUNDED = "the same on every machine", "the same up to rounding on other machines"
_REAL = (posteriors.DiagonalNormal, posteriors.FullNormal, posteriors.Ladder)
_ROWS_AT_ONCE = 256


class Decoder:
    """What turns codes into values on the data's grid.

    Parameters
    ----------
    vae : VAE
        The trained model. Networks that can be made exact are, so that every machine has the same reconstructions.

    Attributes
    ----------
    exact : bool
        Whether they are.
    blocks : dict
        Block that p(x | z) reads → its event.

    Raises
    ------
    CapabilityError
        For a model whose latents or cells are no numbers on a line, with the reason.
    """

    def __init__(self, vae: VAE) -> None:
        refuse_what_reads_more(vae)
        refuse_cells_in_order(vae)
        if vae.context_names:
            raise CapabilityError(
                f"This model reads the context {vae.context_names[0]!r}, which a lossy file does not hold: write one "
                f"without loss, or train a model without it."
            )
        refuse_other_coder()
        self.vae, self.exact = _exact(vae)
        self.cells = _cells(self.vae)
        self.blocks = {name: self.vae.prior[name].event for name in self.vae.likelihood.given}
        for name in self.blocks:
            if not isinstance(self.vae.posterior[name], _REAL):
                kind = type(self.vae.posterior[name]).__name__
                raise CapabilityError(
                    f"Block {name!r} has a {kind} posterior, and lossy files hold means of normals on a step: train "
                    f"a model with normal posteriors, or write a file without loss."
                )

    @property
    def sizes(self) -> list[int]:
        """Latents of each block."""
        return [int(np.prod(event)) for event in self.blocks.values()]

    def cells_of(self, z: Array) -> Whole:
        """The decoder's means, as whole numbers on the data's grid.

        Parameters
        ----------
        z : array
            [n, D], blocks one after another.

        Returns
        -------
        array
            [n, cells].
        """
        return np.concatenate([self._cells_of(z[i : i + _ROWS_AT_ONCE]) for i in range(0, len(z), _ROWS_AT_ONCE)])

    @torch.no_grad()
    def _cells_of(self, z: Array) -> Whole:
        parts = np.split(z, np.cumsum(self.sizes)[:-1], 1)
        given: Given = {
            name: torch.from_numpy(part).reshape(1, len(z), *event)
            for (name, event), part in zip(self.blocks.items(), parts, strict=True)
        }
        means = self.vae.preprocess.inverse(self.vae.likelihood(given).mean[0])
        whole = self.cells.whole(means)
        fixed = np.where(self.cells.open, np.iinfo(np.int64).max, self.cells.levels)
        clipped: Whole = np.clip(whole, np.where(self.cells.open, np.iinfo(np.int64).min, 0), fixed - 1)
        return clipped


def _cells(vae: VAE) -> Cells:
    """The grid of the data, or the way out of a lossy file where they have none."""
    try:
        return Cells(vae)
    except CapabilityError as error:
        if not any(isinstance(one, CONTINUOUS) for one in families_in(vae.likelihood)):
            raise
        raise CapabilityError(
            "The data of this model are real numbers on no grid, and a lossy file gives back values of a grid: "
            "round them to one, load them again and train, or write a file that is not lossy, on a stated step (step=)."
        ) from error


def _exact(vae: VAE) -> tuple[VAE, bool]:
    try:
        return rounded(vae), True
    except CapabilityError:
        return copy.deepcopy(vae).double().eval(), False


def check_word(whole: Whole) -> bytes:
    """8 bytes over codes or cells."""
    return hashlib.sha256(whole.astype("<i8").tobytes()).digest()[:8]


def reconstructed(
    vae: VAE, reader: Reader, numbers: list[int], bar: Progress
) -> tuple[Cells, Iterator[tuple[slice, Whole, None]]]:
    """The rows of a lossy file, chunk by chunk, as `decoded` gives those of others.

    Parameters
    ----------
    vae : VAE
        The model.
    reader : Reader
        The file.
    numbers : list of int
        Of the chunks.
    bar : Progress
        Which advances.

    Returns
    -------
    cells : Cells
        Of the model.
    parts : iterator
        Which rows they are, their whole numbers, and None: no cell is missing.

    Raises
    ------
    InputError
        For another model and a damaged file.
    """
    decoder = Decoder(vae)
    if reader.head.get("cells") != len(decoder.cells.levels):
        raise InputError(f"{reader.path.name!r} holds rows of another size than this model is over.")
    if reader.head.get("model") != fingerprint(decoder.vae).hex():
        raise InputError(
            f"{reader.path.name!r} was written with another model, or with another elbowroom that rounds it "
            f"otherwise: give the run that it was written with."
        )
    units, masses = _told(reader, sum(decoder.sizes))
    return decoder.cells, _parts(decoder, reader, numbers, units, masses, bar)


def _told(reader: Reader, size: int) -> tuple[Array, CodeMasses]:
    """How long a step of each latent is, and the masses of codes: both stand beside."""
    content, reader.beside = reader.beside, b""  # nothing else stands there
    units = np.frombuffer(content[: 4 * size].ljust(4 * size, b"\0"), "<f4").astype(np.float64)
    try:
        masses = CodeMasses.unpacked(content[4 * size :])
    except Damaged as error:
        raise reader.damaged("the masses of its codes") from error
    if len(masses.low) != size or not (np.isfinite(units) & (units > 0)).all():
        raise reader.damaged("the steps of its codes")
    return units, masses


def _parts(
    decoder: Decoder, reader: Reader, numbers: list[int], units: Array, masses: CodeMasses, bar: Progress
) -> Iterator[tuple[slice, Whole, None]]:
    starts, moved = np.cumsum([0, *reader.rows]), False
    for number in numbers:
        chunk = reader.chunk(number)
        whole = decoder.cells_of(_codes(reader, number, chunk, masses) * units)
        if check_word(whole) != chunk.outputs and decoder.exact:
            raise InputError(
                f"The decoder returns other values than where {reader.path.name!r} was written (chunk {number}), so "
                f"nothing of it is given out: give the very model that it was written with."
            )
        moved |= check_word(whole) != chunk.outputs
        bar.advance(len(whole))
        yield slice(int(starts[number]), int(starts[number + 1])), whole, None
    if not decoder.exact:
        _tell(reader, moved)


def _tell(reader: Reader, moved: bool) -> None:
    """Say that networks are not exact: what came out here need not come out elsewhere."""
    how = (
        "and some values come out otherwise than where it was written: by a level where this machine rounds otherwise, "
        "by more where its libraries do more than round"
        if moved
        else "and here the values are those of the writing; on another machine some may differ by a level"
    )
    warnings.warn(
        f"{Path(reader.path).name!r} was written with a decoder whose networks cannot be made exact, {how}.",
        stacklevel=2,
    )


def _codes(reader: Reader, number: int, chunk: Chunk, masses: CodeMasses) -> Whole:
    """The codes of a chunk, or a sentence."""
    if chunk.rows * len(masses.low) > 2**24:
        raise reader.damaged(f"a chunk of more than {2**24:,} codes")
    try:
        stack = Stack(chunk.words)
        codes = masses.pop(stack, chunk.rows)
        if not np.array_equal(stack.words(), initial_words(chunk.initial)) or check_word(codes) != chunk.values:
            raise Damaged
    except Damaged as error:
        raise reader.damaged(f"chunk {number}") from error
    return codes


def head_of(decoder: Decoder, step: float) -> dict[str, Any]:
    """What the head says of a lossy file, beside what every file's says."""
    return {
        "model": fingerprint(decoder.vae).hex(),
        "cells": len(decoder.cells.levels),
        "lossy": {"step": step, "exact": decoder.exact, "values": SAME if decoder.exact else ROUNDED},
    }
