"""Noise that depends on (seed, example) only: the same whatever the batch size, order or memory budget."""

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ._plain_arguments import plain_arguments

__all__ = ["DRAW_BLOCK", "derived_seed", "keyed_generators", "keyed_normal", "keyed_uniform", "narrow_seed"]

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
    """A generator seed for each example, distinct for distinct examples (torch reads 32 bits of a seed only)."""
    salt = derived_seed(seed, stream)
    return [_mix(_mix(i & _WORD) ^ salt) for i in index]


@lru_cache(maxsize=4096)
def derived_seed(seed: int, use: int) -> int:
    """Another seed, as good as independent of the first.

    Parameters
    ----------
    seed : int
        The first seed.
    use : int
        What it is for: each use gets another seed.

    Returns
    -------
    int
        The other seed.

    Examples
    --------
    >>> derived_seed(0, 1) == derived_seed(0, 1), derived_seed(0, 1) == derived_seed(0, 2)
    (True, False)
    """
    return int(np.random.SeedSequence([seed, use]).generate_state(1)[0])


@plain_arguments
def narrow_seed(seed: int) -> int:
    """The seed itself where 32 bits hold it, as scikit-learn asks, else another that depends on all of it.

    Parameters
    ----------
    seed : int
        From 0.

    Returns
    -------
    int
        Below 2³².

    Examples
    --------
    >>> narrow_seed(7), narrow_seed(2**40) < 2**32, narrow_seed(2**40) == narrow_seed(2**41)
    (7, True, False)
    """
    return seed if seed <= _WORD else derived_seed(seed, 0)


@plain_arguments
def keyed_normal(
    shape: tuple[int, ...], draws: int, index: Int64[Tensor, "n"], seed: int, *, first_draw: int = 0, stream: int = 0
) -> Float[Tensor, "draws n *shape"]:
    """Standard normals that depend on (seed, example, draw) only.

    Parameters
    ----------
    shape : tuple of int
        Shape of the noise of one draw.
    draws : int
        Draws per example.
    index : Tensor
        The position of each example in its data set, [n], int64.
    seed : int
        Seed.
    first_draw : int, default 0
        Number of the first draw: runs of draws put together are the same as one long run.
    stream : int, default 0
        Another number gives other noise under the same seed, for each latent block.

    Returns
    -------
    Tensor
        [draws, n, *shape], float32, on the CPU.

    Examples
    --------
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
        in_place = into.shape[:2] == (DRAW_BLOCK, 1)  # a whole block of one example is contiguous there
        used = block_noise.view(-1)[: -(-inside.stop * math.prod(shape) // _LANES) * _LANES]  # the beginning of a block
        for column, key in enumerate(_keys(rows, seed, stream * 65_536 + block)):
            generator.manual_seed(key)
            if in_place:
                into.normal_(generator=generator)
            else:
                used.normal_(generator=generator)
                into[:, column] = block_noise[inside]
    return out


@plain_arguments
def keyed_generators(index: Int64[Tensor, "n"], seed: int, block: int, *, stream: int = 0) -> Iterator[torch.Generator]:
    """A random generator for each example, for draws that are not made from normals.

    Parameters
    ----------
    index : Tensor
        The position of each example in its data set, [n], int64.
    seed : int
        Seed.
    block : int
        Which block of `DRAW_BLOCK` draws they are for.
    stream : int, default 0
        Another number gives other generators under the same seed.

    Yields
    ------
    torch.Generator
        The generator of an example; depends on (seed, example, block, stream) only.

    Examples
    --------
    >>> index = torch.tensor([7, 3])
    >>> both = [torch.rand((), generator=g).item() for g in keyed_generators(index, 0, 0)]
    >>> both[1] == torch.rand((), generator=next(keyed_generators(index[1:], 0, 0))).item()
    True
    """
    for key in _keys(index.tolist(), seed, stream * 65_536 + block):
        yield torch.Generator().manual_seed(key)


@plain_arguments
def keyed_uniform(shape: tuple[int, ...], index: Int64[Tensor, "n"], seed: int) -> Float[Tensor, "n *shape"]:
    """Uniforms on [0, 1) that depend on (seed, example) only, one draw for each example.

    Parameters
    ----------
    shape : tuple of int
        Shape of the noise of one example.
    index : Tensor
        The position of each example in its data set, [n], int64.
    seed : int
        Seed.

    Returns
    -------
    Tensor
        [n, *shape], float32, on the CPU.

    Examples
    --------
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
