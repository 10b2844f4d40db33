"""The bound that a file is held against: that of the masses which are coded."""

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elbowroom.components import Component
from elbowroom.numerics import Budget, Estimate, Given, Rows
from elbowroom.numerics.text import count

from .codec import Codec
from .families import Bool
from .masses import Whole
from .portable import Array
from .stack import Stack

__all__ = ["coded_bound"]

_WORDS_A_LATENT = 4
"""A bucket is read in 4 digits of at most 24 bits."""


@torch.no_grad()
def coded_bound(codec: Codec, x: Tensor | Rows, *, draws: int = 4, seed: int = 0) -> Estimate:
    """The bound of each row under the masses that the coder has, of latents and of cells.

    It is the ELBO where the file has one draw for each row; of several, the log of their mean weight.

    They are nearly the rounded model's own, but no symbol is rarer than 1 of 2²⁴, counts stand behind an escape symbol,
    densities are taken over whole cells, and a latent lies in a bucket of its prior, however far outside q would have
    it. Where the model calls rows very unlikely a file is shorter than the model's own ELBO says: this is what the file
    must be as long as.

    Parameters
    ----------
    codec : Codec
        Of the file.
    x : Tensor or Rows
        Rows [n, *event] on the user's scale, with contexts where the model reads any; NaN where cells are missing.
    draws : int, default 4
        Of z, per row; a multiple of the file's.
    seed : int, default 0
        Of the bits that they are drawn from.

    Returns
    -------
    Estimate
        [n], in nats; which cells are missing is not counted.

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits", preprocess="none")
    >>> vae = er.models.build({"latents": 2, "widths": [8], "likelihood": "discretised-logistic"}, digits)
    >>> bound = coded_bound(Codec(vae), digits.test.rows(slice(0, 50)).x)
    >>> bound.estimator, bool(-200 < bound.mean < -100)
    ('ELBO with 4 draws', True)
    """
    start, rows = time.monotonic(), codec.vae.examples(x)
    rng, found = np.random.default_rng(seed), list[Array]()
    for part in torch.arange(len(rows)).split(max(codec.together() // draws, 1)):
        batch = rows.rows(part)
        seen = None if batch.seen is None else batch.seen.reshape(len(batch), -1).numpy()
        whole = codec.cells.whole(batch.x)
        whole = whole if seen is None else np.where(seen, whole, 0)
        tiled = None if seen is None else np.tile(seen, (draws, 1))
        context = {
            name: batch.context[name].double().repeat(draws, *[1] * (batch.context[name].dim() - 1)).unsqueeze(0)
            for name in codec.vae.context_names
        }
        found.append(_nats(codec, np.tile(whole, (draws, 1)), tiled, context, rng).reshape(draws, -1))
    each = -np.concatenate(found, 1)
    several = codec.settings.draws
    if several > 1:
        each = np.logaddexp.reduce(each.reshape(-1, several, each.shape[1]), axis=1) - np.log(several)
    variance = each.var(0, ddof=1) / len(each) if len(each) > 1 else np.full(each.shape[1], np.nan)
    return Estimate.of(
        each.mean(0), variance, rows.index.cpu(), quantity="log p(x) of the masses in the file",
        estimator=f"ELBO with {count(draws, 'draw')}" if several == 1 else f"IWAE-{several}", direction="lower",
        budget=Budget(draws, seed, time.monotonic() - start),
    )  # fmt: skip


def _nats(codec: Codec, whole: Whole, seen: Bool | None, context: Given, rng: Any) -> Array:
    """What each row takes with latents drawn by q from random bits, less what these give back: [n]."""
    given, held, total = codec.given_of(whole, seen, context), dict[str, Whole](), np.zeros(len(whole))
    words = 2 + _WORDS_A_LATENT * len(whole) * sum(block.draws for block in codec.blocks.values())
    stack = Stack(np.maximum(rng.integers(2**32, size=words, dtype=np.uint32), 1))
    there = np.ones(whole.shape, bool) if seen is None else seen
    for do, name in codec.steps:
        if do == "pop":
            held[name] = codec.blocks[name].pop_posterior(stack, given, _run)
            total -= codec.blocks[name].nats_posterior(held[name], given, _run)
            given[name] = codec.blocks[name].value(held[name])
        elif name != "x":
            total += codec.blocks[name].nats_prior(held[name], given, _run)
        else:
            for family, raw in codec.numbers(_run(codec.vae.likelihood, given), given):
                total += family.nats(whole[:, family.places], raw, there[:, family.places])
    return total


def _run(part: Component, given: Given) -> Array:
    return part.network_output(given)[0].flatten(1).numpy()
