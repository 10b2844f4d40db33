"""Passes of a model over examples × draws, each within a memory budget."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from elbowroom.numerics import Batch, CapabilityError, InputError, Rows
from elbowroom.numerics.noise import DRAW_BLOCK
from elbowroom.progress import Progress
from elbowroom.vae import Terms
from elbowroom.vae.evaluating import evaluating
from elbowroom.vae.terms import KL

from .memory import Bytes, Memory, as_bytes, keep_freed_memory
from .target import Subject, Target, subject_of

__all__ = ["OfTerms", "Pass", "Sampled", "checked", "from_posterior", "run_passes", "passing", "pass_size"]

OfTerms = Callable[["Terms | Sampled"], tuple[Tensor, ...]]
"""What is wanted of a pass through the model: tensors [draws or 1, batch], in nats."""
Pass = Callable[[Any, int, int], tuple[Tensor, ...]]
"""A Batch or a Target, how many draws, the first draw → tensors [draws or 1, batch, ...]."""
_ROWS = 8192  # examples × draws in one pass: enough to spread what a pass costs by itself
_SCRATCH = 2  # a pass may hold this many times its tensors: convolutions work in scratch space, allocators keep holes
_KEPT = 128  # bytes per draw of an example after its pass: float64 numbers, kept and at work


def run_passes(
    subject: Subject, one_pass: Pass, draws: int, memory: Memory, progress: Progress
) -> Iterator[tuple[Tensor, ...]]:
    """What passes give, group of examples by group: each [draws, n], float64 on the CPU.

    Noise is keyed, so groups and memory change nothing but rounding. An example's draws stand in one pass where they
    fit, so that its encoder runs once. A group's data are read when its turn comes.
    """
    keep_freed_memory()
    with passing(subject):
        examples, chunk = pass_size(subject.parts, one_pass, draws, as_bytes(memory))
        for start in range(0, len(subject), examples):
            part = subject.parts.rows(slice(start, start + examples))
            passes = [_kept(one_pass, part, min(chunk, draws - first), first) for first in range(0, draws, chunk)]
            yield tuple(torch.cat(pieces) for pieces in zip(*passes, strict=True))
            progress.advance(len(part.index))


@contextmanager
def passing(subject: Subject) -> Iterator[None]:
    """Passes without gradients, a VAE in evaluation mode; modules may keep what they compute for passes with them."""
    with torch.no_grad(), evaluating(nn.Module() if subject.vae is None else subject.vae):
        yield


class Sampled:
    """What `Terms` is to a VAE: the terms of draws z ~ q(z | x) at a target, [draws, batch], in nats."""

    def __init__(self, target: Target, z: Tensor, log_q: Tensor) -> None:
        self.log_likelihood = target.log_likelihood(z)
        self._rate = log_q - target.log_prior(z)

    def rate(self, how: KL = "auto") -> Tensor:
        """log q − log p of the draws: a target has no closed KL."""
        if how == "closed":
            raise CapabilityError("The KL of a Target has no closed form: use kl='sampled'.")
        return self._rate

    @property
    def log_weight(self) -> Tensor:
        """log p(x, z) − log q(z | x)."""
        return self.log_likelihood - self._rate


def from_posterior(subject: Subject, measure: OfTerms, seed: int) -> Pass:
    """Passes that draw from q(z | x)."""
    vae = subject.vae

    def one_pass(part: Any, draws: int, first: int) -> tuple[Tensor, ...]:
        if vae is None:
            return measure(Sampled(part, *part.draw_posterior(draws, seed, first)))
        return measure(vae(part, vae.keyed_noise(draws, part.index, seed, first)))

    return one_pass


def checked(model: Any, examples: Any, draws: int) -> Subject:
    """What is to be measured, with draws that can be."""
    if draws < 1:
        raise InputError(f"A bound needs draws=1 or more; got {draws}.")
    return subject_of(model, examples)


def _kept(one_pass: Pass, part: Batch | Target, draws: int, first: int) -> list[Tensor]:
    """What a pass gives, each [draws, batch, ...], float64 on the CPU."""
    found = one_pass(part, draws, first)
    return [t.double().cpu().expand(draws, len(part.index), *t.shape[2:]) for t in found]


def pass_size(parts: Rows | Target, one_pass: Pass, draws: int, memory: int) -> tuple[int, int]:
    """How many examples, and how many of their draws, go into one pass."""
    one, two = (_bytes_of(parts, one_pass, count) for count in (1, 2))
    per_row = max(two - one, 1)
    per_example = max(one - per_row, 0) + _KEPT * draws
    room = (memory - per_example) // _SCRATCH
    if room < per_row:
        raise InputError(
            f"memory={memory:,} bytes does not hold one example, which needs about "
            f"{per_example + _SCRATCH * per_row:,}: give more, or ask for fewer draws."
        )
    rows = min(room // per_row, _ROWS)
    if rows < draws:
        return 1, rows // DRAW_BLOCK * DRAW_BLOCK or rows
    return max(1, min(_ROWS // draws, memory // (per_example + _SCRATCH * draws * per_row))), draws


def _bytes_of(parts: Rows | Target, one_pass: Pass, draws: int) -> int:
    """Bytes of all that one example's pass makes: a bound on what it holds at any time."""
    with Bytes() as made:
        _kept(one_pass, parts.rows(slice(0, 1)), draws, 0)
    return made.total
