"""Passes of a model over examples × draws, each within a memory budget."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from elbowroom.numerics import Batch, CapabilityError, InputError
from elbowroom.numerics.keyed import DRAW_BLOCK
from elbowroom.progress import Progress
from elbowroom.vae import Terms
from elbowroom.vae.evaluating import evaluating
from elbowroom.vae.terms import KL

from .memory import Bytes, FreedMemory, Memory, as_bytes
from .target import Subject, Target, subject_of

__all__ = [
    "OfTerms",
    "Pass",
    "TargetTerms",
    "checked_subject",
    "from_posterior",
    "run_passes",
    "without_gradients",
    "pass_size",
]

OfTerms = Callable[["Terms | TargetTerms"], tuple[Tensor, ...]]
"""Takes the terms of draws and returns tensors [draws or 1, batch], in nats."""
Pass = Callable[[Any, int, int], tuple[Tensor, ...]]
"""Takes a Batch or a Target, a number of draws and the first draw, and returns tensors [draws or 1, batch, ...]."""
_ROWS = 8192  # examples × draws in one pass: enough to spread what a pass costs by itself
_EXAMPLES = 1_000  # of a pass, whose rows may have to be read and made dense
_SCRATCH = 2  # a pass may hold this many times its tensors: convolutions work in scratch space, allocators keep holes
_RESULT = 128  # bytes per draw of an example after its pass: its float64 results and copies of them


def run_passes(
    subject: Subject, one_pass: Pass, draws: int, memory: Memory, progress: Progress
) -> Iterator[tuple[Tensor, ...]]:
    """Run a pass over all draws of all examples, one group of examples after another, within a memory budget.

    Noise depends on (seed, example, draw) only, so groups and memory change nothing but rounding. An example's draws
    stay in one pass if they fit, so that its encoder runs once; a group's data are read when it is processed.

    Parameters
    ----------
    subject : Subject
        The model and its examples.
    one_pass : callable
        Takes a group, a number of draws and the first draw; returns tensors [draws or 1, batch, ...].
    draws : int
        Draws per example.
    memory : int or str
        Bytes, or words such as "1 GiB".
    progress : Progress
        Advanced by the examples of each group.

    Yields
    ------
    tuple of Tensor
        What the pass gives for a group, [draws, n, ...] each, float64 on the CPU.
    """
    freed = FreedMemory(as_bytes(memory))
    with without_gradients(subject):
        examples, chunk = pass_size(subject, one_pass, draws, as_bytes(memory))
        for start in range(0, len(subject), examples):
            part = subject.some(slice(start, start + examples))
            passes = [_on_cpu(one_pass, part, min(chunk, draws - first), first) for first in range(0, draws, chunk)]
            yield tuple(torch.cat(pieces) for pieces in zip(*passes, strict=True))
            progress.advance(len(part.index))
            freed.look()


@contextmanager
def without_gradients(subject: Subject) -> Iterator[None]:
    """Switch off gradients and put a VAE into evaluation mode, so that modules may cache what they compute.

    Parameters
    ----------
    subject : Subject
        The model and its examples.

    Yields
    ------
    None
        Nothing.
    """
    with torch.no_grad(), evaluating(nn.Module() if subject.vae is None else subject.vae):
        yield


class TargetTerms:
    """Log-densities of draws z ~ q(z | x) of a Target: what `Terms` is for a VAE.

    Parameters
    ----------
    target : Target
        The model at its examples.
    z : Tensor
        Draws, [draws, batch, dim].
    log_q : Tensor
        log q(z | x) of the draws, [draws, batch], in nats.
    """

    def __init__(self, target: Target, z: Tensor, log_q: Tensor) -> None:
        self.log_likelihood = target.log_likelihood(z)
        self._rate = log_q - target.log_prior(z)

    def rate(self, how: KL = "auto") -> Tensor:
        """log q(z | x) − log p(z) of the draws, in nats: a target has no closed KL."""
        if how == "closed":
            raise CapabilityError("The KL of a Target has no closed form: use kl='sampled'.")
        return self._rate

    @property
    def log_weight(self) -> Tensor:
        """log p(x, z) − log q(z | x) of the draws, in nats."""
        return self.log_likelihood - self._rate


def from_posterior(subject: Subject, measure: OfTerms, seed: int) -> Pass:
    """The pass that draws from q(z | x).

    Parameters
    ----------
    subject : Subject
        The model and its examples.
    measure : callable
        Takes the terms of the draws and returns tensors [draws or 1, batch], in nats.
    seed : int
        Seed of all noise.

    Returns
    -------
    callable
        The pass, for `run_passes`.
    """
    vae = subject.vae

    def one_pass(part: Any, draws: int, first: int) -> tuple[Tensor, ...]:
        if vae is None:
            return measure(TargetTerms(part, *part.draw_posterior(draws, seed, first)))
        return measure(vae(part, vae.keyed_noise(draws, part.index, seed, first)))

    return one_pass


def checked_subject(model: Any, examples: Any, draws: int) -> Subject:
    """The model and its examples, once both and the number of draws are found fit to use.

    Parameters
    ----------
    model : VAE or Target
        The model.
    examples : Any
        The examples of a VAE; None for a Target.
    draws : int
        Draws per example.

    Returns
    -------
    Subject
        The model and its examples.

    Raises
    ------
    InputError
        If there are no examples, or fewer draws than 1.
    """
    if draws < 1:
        raise InputError(f"A bound needs draws=1 or more; got {draws}.")
    return subject_of(model, examples)


def _on_cpu(one_pass: Pass, part: Batch | Target, draws: int, first: int) -> list[Tensor]:
    """What a pass gives, [draws, batch, ...] each, float64 on the CPU."""
    found = one_pass(part, draws, first)
    return [t.double().cpu().expand(draws, len(part.index), *t.shape[2:]) for t in found]


def pass_size(subject: Subject, one_pass: Pass, draws: int, memory: int) -> tuple[int, int]:
    """How many examples, and how many of their draws, fit into one pass.

    Parameters
    ----------
    subject : Subject
        The model and all examples.
    one_pass : callable
        The pass.
    draws : int
        Draws per example.
    memory : int
        Bytes.

    Returns
    -------
    tuple of (int, int)
        Examples per pass, and draws per pass.

    Raises
    ------
    InputError
        If one example does not fit.
    """
    one, two = (_bytes_of(subject, one_pass, count) for count in (1, 2))
    per_row = max(two - one, 1)
    per_example = max(one - per_row, 0) + _RESULT * draws
    room = (memory - per_example) // _SCRATCH
    if room < per_row:
        raise InputError(
            f"memory={memory:,} bytes does not hold one example, which needs about "
            f"{per_example + _SCRATCH * per_row:,}: give more, or ask for fewer draws."
        )
    rows = min(room // per_row, _ROWS)
    if rows < draws:
        return 1, rows // DRAW_BLOCK * DRAW_BLOCK or rows
    return max(1, min(_ROWS // draws, _EXAMPLES, memory // (per_example + _SCRATCH * draws * per_row))), draws


def _bytes_of(subject: Subject, one_pass: Pass, draws: int) -> int:
    """Bytes that a pass over one example allocates: a bound on what it holds at any time."""
    with Bytes() as made:
        _on_cpu(one_pass, subject.some(slice(0, 1)), draws, 0)
    return made.total
