"""Draws of p(z): from noise where its distribution can be drawn so, else simulated; always by a key or a generator."""

from collections.abc import Mapping

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution

from elbowroom.components import Blocks, Component
from elbowroom.distributions import capabilities, draw, simulate
from elbowroom.numerics import Given, keyed_generators, keyed_normal
from elbowroom.numerics.noise import DRAW_BLOCK

__all__ = ["drawn_from_prior", "keyed_from_prior", "where_known"]

Observed = Mapping[str, tuple[Tensor, Tensor]]


def drawn_from_prior(
    prior: Blocks, order: tuple[str, ...], given: Given, n: int, generator: Generator, like: Tensor
) -> Given:
    """The namespace with every block drawn from its prior, [1, n, *event], one after the other from the generator.

    like: a tensor of the model's device and floating type.
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
    """The namespace with every block drawn from its prior, [draws, batch, *event], by (seed, example, draw) alone.

    Block number i takes noise from the stream `stream` + i; like: a tensor of the model's device and floating type.
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
            given[name] = _simulated(block, p, given, draws, index, seed, first_draw, streams[name]).to(like)
        if name in observed:
            value, mask = observed[name]
            given[name] = where_known(given[name], value, mask)
    return given


def where_known(drawn: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Draws of a block [draws, batch, *event], of the known examples its value [batch, *event]; mask [batch]."""
    return torch.where(mask.view(1, -1, *[1] * (drawn.dim() - 2)), value.to(drawn), drawn)


@torch.no_grad()
def _simulated(
    block: Component, p: Distribution, given: Given, draws: int, index: Tensor, seed: int, first_draw: int, stream: int
) -> Tensor:
    """Example by example, in blocks of draws that each have a generator of their own."""
    out = torch.empty(draws, len(index), *block.event)
    for number in range(first_draw // DRAW_BLOCK, (first_draw + draws - 1) // DRAW_BLOCK + 1):
        start, stop = max(number * DRAW_BLOCK, first_draw), min((number + 1) * DRAW_BLOCK, first_draw + draws)
        inside = slice(start - number * DRAW_BLOCK, stop - number * DRAW_BLOCK)
        rows = slice(start - first_draw, stop - first_draw)
        for column, generator in enumerate(keyed_generators(index, seed, number, stream=stream)):
            one = p if not block.given else block(_of_one(given, block.given, column, rows))
            out[rows, column] = simulate(one.expand(torch.Size([DRAW_BLOCK, 1])), generator)[inside, 0].to(out)
    return out


def _of_one(given: Given, names: tuple[str, ...], column: int, rows: slice) -> Given:
    """What a block reads for one example and one block of draws."""
    found = {}
    for name in names:
        value = given[name][:, column : column + 1] if given[name].shape[1] > 1 else given[name]
        found[name] = value[rows] if len(value) > 1 else value
    return found
