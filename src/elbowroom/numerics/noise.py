"""Noise keyed by (seed, example): the same numbers whatever the batch size, order or memory budget."""

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

__all__ = ["DRAW_BLOCK", "derived_seed", "keyed_generators", "keyed_normal", "keyed_uniform"]

DRAW_BLOCK = 64
"""Draws come in blocks of this size, each with a generator of its own, so that draws can be had in chunks."""

_WORD = 0xFFFFFFFF
_LANES = 16  # torch makes normals by so many at once: whole lanes are the same however many follow


def _mix(word: int) -> int:
    """A bijection of 32-bit words that scatters neighbours (the finaliser of MurmurHash3)."""
    word ^= word >> 16
    word = word * 0x85EBCA6B & _WORD
    word ^= word >> 13
    word = word * 0xC2B2AE35 & _WORD
    return word ^ word >> 16


def _keys(index: Iterable[int], seed: int, stream: int) -> list[int]:
    """One generator seed per example: distinct for distinct examples, as torch reads only 32 bits of a seed."""
    salt = derived_seed(seed, stream)
    return [_mix(_mix(i & _WORD) ^ salt) for i in index]


@lru_cache(maxsize=4096)
def derived_seed(seed: int, use: int) -> int:
    """A seed for another use of the same seed, as good as independent of it."""
    return int(np.random.SeedSequence([seed, use]).generate_state(1)[0])


def keyed_normal(
    shape: tuple[int, ...], draws: int, index: Int64[Tensor, "n"], seed: int, *, first_draw: int = 0, stream: int = 0
) -> Float[Tensor, "draws n *shape"]:
    """Standard normals [draws, len(index), *shape] in float32 that depend only on (seed, example, draw).

    `first_draw` continues a longer run of draws: chunks of it, put together, are the run itself. `stream`
    separates uses (latent blocks) under one seed.

    >>> index = torch.tensor([7, 3])
    >>> whole = keyed_normal((2,), 130, index, seed=0)
    >>> part = keyed_normal((2,), 66, index[1:], seed=0, first_draw=64)
    >>> bool((whole[64:, 1:] == part).all())
    True
    """
    out = torch.empty(draws, len(index), *shape, dtype=torch.float32)
    generator = torch.Generator()
    rows = index.tolist()
    first, last = first_draw // DRAW_BLOCK, (first_draw + draws - 1) // DRAW_BLOCK
    block_noise = torch.empty(DRAW_BLOCK, *shape, dtype=torch.float32)
    for block in range(first, last + 1):
        start = max(block * DRAW_BLOCK, first_draw)
        stop = min((block + 1) * DRAW_BLOCK, first_draw + draws)
        inside = slice(start - block * DRAW_BLOCK, stop - block * DRAW_BLOCK)
        into = out[start - first_draw : stop - first_draw]
        in_place = into.shape[:2] == (DRAW_BLOCK, 1)  # one example's whole block lies there as it is drawn
        used = block_noise.view(-1)[: -(-inside.stop * math.prod(shape) // _LANES) * _LANES]  # the beginning of a block
        for column, key in enumerate(_keys(rows, seed, stream * 65_536 + block)):
            generator.manual_seed(key)
            if in_place:
                into.normal_(generator=generator)
            else:
                used.normal_(generator=generator)
                into[:, column] = block_noise[inside]
    return out


def keyed_generators(index: Int64[Tensor, "n"], seed: int, block: int, *, stream: int = 0) -> Iterator[torch.Generator]:
    """One generator after another, for the block of `DRAW_BLOCK` draws of each example: for what noise cannot draw.

    >>> index = torch.tensor([7, 3])
    >>> [torch.rand((), generator=g).item() for g in keyed_generators(index, 0, 0)][1] == torch.rand(
    ...     (), generator=next(keyed_generators(index[1:], 0, 0))).item()
    True
    """
    for key in _keys(index.tolist(), seed, stream * 65_536 + block):
        yield torch.Generator().manual_seed(key)


def keyed_uniform(shape: tuple[int, ...], index: Int64[Tensor, "n"], seed: int) -> Float[Tensor, "n *shape"]:
    """Uniforms on [0, 1), [len(index), *shape], that depend only on (seed, example): one draw per example.

    >>> index = torch.tensor([5, 9])
    >>> bool((keyed_uniform((3,), index, 1)[1] == keyed_uniform((3,), index[1:], 1)[0]).all())
    True
    """
    out = torch.empty(len(index), math.prod(shape), dtype=torch.float32)
    generator = torch.Generator()
    for row, key in zip(out, _keys(index.tolist(), seed, stream=-1 & _WORD), strict=True):
        generator.manual_seed(key)
        row.uniform_(generator=generator)
    return out.view(len(index), *shape)
