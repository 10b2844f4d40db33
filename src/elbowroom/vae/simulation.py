"""Draws of p(z): from noise where its distribution can be drawn so, else simulated; always by a key or a generator."""

from collections.abc import Mapping

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution

from elbowroom.components import Blocks, Component
from elbowroom.distributions import capabilities, draw, simulate
from elbowroom.numerics import Given, keyed_generators, keyed_normal
from elbowroom.numerics.keyed import DRAW_BLOCK

from .on_cpu import on_cpu

__all__ = ["drawn_from_prior", "keyed_from_prior", "where_known"]

Observed = Mapping[str, tuple[Tensor, Tensor]]


def drawn_from_prior(
    prior: Blocks, order: tuple[str, ...], given: Given, n: int, generator: Generator, like: Tensor
) -> Given:
    """Draw every latent block from p(z), one after the other from a generator.

    Parameters
    ----------
    prior : Blocks
        The priors by block.
    order : tuple of str
        The blocks, each after those that its prior reads.
    given : dict of Tensor
        What the priors may read, [1, n, ...].
    n : int
        How many.
    generator : Generator
        The noise.
    like : Tensor
        Has the model's device and floating type.

    Returns
    -------
    dict of Tensor
        `given` with the blocks, [1, n, *event].
    """
    given = dict(given)
    for name in order:
        block = prior[name]
        p = block(given)
        if "draw" in capabilities(p):
            noise = torch.randn(1, n, *block.noise_shape, generator=generator, device=generator.device)
            given[name] = draw(p, noise.to(like))[0]
        else:
            given[name] = simulate(p.expand(torch.Size([1, n])), generator).to(like)
    return given


def keyed_from_prior(
    prior: Blocks,
    order: tuple[str, ...],
    given: Given,
    draws: int,
    index: Tensor,
    seed: int,
    first_draw: int,
    stream: int,
    observed: Observed,
    like: Tensor,
) -> Given:
    """Draw every latent block from p(z), by (seed, example, draw) alone.

    Parameters
    ----------
    prior : Blocks
        The priors by block.
    order : tuple of str
        The blocks, each after those that its prior reads.
    given : dict of Tensor
        What the priors may read, [1, batch, ...].
    draws : int
        Per example.
    index : Tensor
        [batch] int64, the place of each example in the data set.
    seed : int
        Keys the noise.
    first_draw : int
        Number of the first draw.
    stream : int
        Block number i takes noise from stream + i.
    observed : mapping
        Block → (value, mask): what is known keeps its value.
    like : Tensor
        Has the model's device and floating type.

    Returns
    -------
    dict of Tensor
        `given` with the blocks, [draws, batch, *event].
    """
    before = first_draw % DRAW_BLOCK
    if (before or draws % DRAW_BLOCK) and any(set(block.given) & set(prior) for block in prior.values()):
        # A block that others condition on is drawn whole, so that what is simulated given it is too.
        whole = -(-(before + draws) // DRAW_BLOCK) * DRAW_BLOCK
        key = (whole, index, seed, first_draw - before, stream)
        found = keyed_from_prior(prior, order, given, *key, observed, like)
        return {name: t[before : before + draws] if name in prior else t for name, t in found.items()}
    given, streams = dict(given), {name: own for own, name in enumerate(prior, stream)}
    for name in order:
        block = prior[name]
        p = block(given)
        if "draw" in capabilities(p):
            noise = keyed_normal(block.noise_shape, draws, index, seed, first_draw=first_draw, stream=streams[name])
            given[name] = draw(p, noise.to(like))[0]
        else:
            read = {one: given[one].cpu() for one in block.given}
            drawn = _simulate_by_key(on_cpu(block), read, draws, index, seed, first_draw, streams[name])
            given[name] = drawn.to(like)
        if name in observed:
            value, mask = observed[name]
            given[name] = where_known(given[name], value, mask)
    return given


def where_known(drawn: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Put the known values of a block in the place of its draws.

    Parameters
    ----------
    drawn : Tensor
        [draws, batch, *event].
    value : Tensor
        [batch, *event].
    mask : Tensor
        [batch], True where the value is known.

    Returns
    -------
    Tensor
        [draws, batch, *event].
    """
    return torch.where(mask.view(1, -1, *[1] * (drawn.dim() - 2)), value.to(drawn), drawn)


@torch.no_grad()
def _simulate_by_key(
    block: Component, given: Given, draws: int, index: Tensor, seed: int, first_draw: int, stream: int
) -> Tensor:
    """Example by example, in blocks of draws that each have a generator of their own, of the CPU."""
    out, whole = torch.empty(draws, len(index), *block.event), None if block.given else block(given)
    for number in range(first_draw // DRAW_BLOCK, (first_draw + draws - 1) // DRAW_BLOCK + 1):
        start, stop = max(number * DRAW_BLOCK, first_draw), min((number + 1) * DRAW_BLOCK, first_draw + draws)
        inside = slice(start - number * DRAW_BLOCK, stop - number * DRAW_BLOCK)
        rows = slice(start - first_draw, stop - first_draw)
        for column, generator in enumerate(keyed_generators(index, seed, number, stream=stream)):
            one = whole or block(_of_one(given, block.given, column, rows))
            out[rows, column] = simulate(one.expand(torch.Size([DRAW_BLOCK, 1])), generator)[inside, 0].to(out)
    return out


def _of_one(given: Given, names: tuple[str, ...], column: int, rows: slice) -> Given:
    """What a block reads for one example and one block of draws."""
    found = {}
    for name in names:
        value = given[name][:, column : column + 1] if given[name].shape[1] > 1 else given[name]
        found[name] = value[rows] if len(value) > 1 else value
    return found
