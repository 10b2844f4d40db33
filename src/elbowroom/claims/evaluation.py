"""Somebody's evaluation function, asked: whom it counts, how often, in which mode, with how many draws."""

import contextlib
import copy
import inspect
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elbowroom.numerics import InputError, rounded
from elbowroom.numerics.seeded import seeded
from elbowroom.vae import VAE

from .claim_text import Claim
from .measured import Measured

__all__ = ["Evaluation", "faults_of_evaluation"]

_DRAWS = re.compile(r"(n|num|mc|iwae)?_?(draws|samples|mc|particles|k|s|l)")
_ROWS = 257  # one more than the usual batch sizes divide, so that the last batch is another
_PLACES = (0, 128, 256)
_REPEATS = 4
_TRIED, _FEW, _MANY = 10, 1, 50  # draws
_ALONE = 60  # noises with which one example is measured by itself


class Evaluation:
    """An evaluation function of (model, x), or of (model, x, draws), as a function of what may change.

    Parameters
    ----------
    fn : callable
        The function.
    model : VAE
        The model, which is copied for every call.
    claim : Claim
        What its numbers are said to be, whose unit and sign they have.
    dimensions : int
        Elements of one x.
    """

    def __init__(self, fn: Callable[..., Any], model: VAE, claim: Claim, dimensions: int) -> None:
        self.fn, self.model, self.claim, self.dimensions = fn, model, claim, dimensions
        names = list(inspect.signature(fn).parameters)
        self.draws = next((name for name in names[2:] if _DRAWS.fullmatch(name.lower())), None)

    def __call__(self, x: Tensor, *, draws: int | None = None, seed: int = 0, training: bool = False) -> float:
        """The number, in nats per example, more of which is better."""
        more = {self.draws: _TRIED if draws is None else draws} if self.draws else {}
        model = copy.deepcopy(self.model).train(training)
        with seeded(seed, model.device), _numpy_state(seed), torch.no_grad():
            try:
                found = self.fn(model, x, **more)
            except Exception as error:  # whatever somebody's function raises
                said = " ".join(str(error).split())[:200]
                raise InputError(
                    f"evaluate= was called with the model and x {tuple(x.shape)} and failed ({type(error).__name__}: "
                    f"{said}): "
                    f"hand over a function of these two that returns a number."
                ) from error
        value = float(np.asarray(found.detach().cpu() if isinstance(found, Tensor) else found).mean())
        one = self.claim.as_said(1.0, self.dimensions)
        return value / one


@contextlib.contextmanager
def _numpy_state(seed: int) -> Iterator[None]:
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def faults_of_evaluation(ask: Evaluation, x: Tensor, test: Measured) -> Iterator[tuple[str, str]]:
    """The faults of an evaluation function, found by what changes its number and what does not.

    Parameters
    ----------
    ask : Evaluation
        The function.
    x : Tensor
        Test examples, [n, *event], in the order of `test`.
    test : Measured
        The model on them.

    Yields
    ------
    tuple of (str, str)
        A name in a few words, and a sentence.
    """
    best = test.elbo.mean(0)
    good, bad = x[best.argmax()], x[best.argmin()]
    yield from _of_mode(ask, x)
    yield from _of_company(ask, good, bad)
    with contextlib.suppress(InputError):  # batch norm in training mode takes no batch of one, and is found elsewhere
        yield from _of_weights(ask, good, bad, float(best.max() - best.min()))
    yield from _of_sums(ask, good)
    if ask.claim.quantity != "ELBO":
        yield from _of_crowds(ask, good)
    if ask.draws is not None:
        yield from _of_draws(ask, x, test)


def _of_mode(ask: Evaluation, x: Tensor) -> Iterator[tuple[str, str]]:
    """Does it switch to evaluation mode?"""
    if not _same(one := ask(x), other := ask(x, training=True)):
        yield (
            "mode left as it is",
            f"It prints {rounded(one)} for a model in evaluation mode and {rounded(other)} for the same one in "
            f"training mode: "
            f"call "
            f"model.eval() in it.",
        )


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-5)


def _of_company(ask: Evaluation, good: Tensor, bad: Tensor) -> Iterator[tuple[str, str]]:
    """Is the number of an example its own? With the same noise the mixed batches sum to what the plain ones do."""
    event = [1] * good.dim()
    odd = (torch.arange(64) % 2 == 1).view(-1, *event)
    mixed = ask(torch.where(odd, good, bad)) + ask(torch.where(odd, bad, good))
    plain = sum(ask(one.expand(64, *one.shape).clone()) for one in (good, bad))
    if not math.isclose(mixed, plain, rel_tol=1e-4, abs_tol=1e-3):
        yield (
            "examples change each other",
            f"The number of an example changes with the examples beside it, by {rounded(abs(mixed - plain) / 2)} nats: "
            f"does "
            f"it fit a "
            f"σ to the batch at hand, or run batch norm in training mode? Fix both before measuring.",
        )


def _of_weights(ask: Evaluation, good: Tensor, bad: Tensor, apart: float) -> Iterator[tuple[str, str]]:
    """What one example moves the mean by, at the first, a middle and the last of 257 places."""
    rows = good.expand(_ROWS, *good.shape)
    moved: dict[int, list[float]] = {place: [] for place in _PLACES}
    for seed in range(_REPEATS):
        base = ask(rows.clone(), seed=seed)
        for place, found in moved.items():
            other = rows.clone()
            other[place] = bad
            found.append(base - ask(other, seed=seed))
    means = {place: float(np.mean(found)) for place, found in moved.items()}
    errors = {place: float(np.std(found, ddof=1)) / math.sqrt(_REPEATS) for place, found in moved.items()}
    largest = max(map(abs, means.values()))
    if largest < 0.01 * apart / _ROWS:
        yield (
            "x unused",
            "It does not move with the x that it is handed, as if it measured others: hand it its examples.",
        )
        return
    unused = [place for place in _PLACES if abs(means[place]) < 1e-6 * largest]
    if unused:
        who = "first" if 0 in unused else "last"
        yield (
            "examples left out",
            f"The {who} of {_ROWS} examples does not count, so that it is the number of one batch: average over all "
            f"examples.",
        )
        return
    first, last = means[0], means[_PLACES[-1]]
    close = max(0.1 * abs(first), 5 * math.hypot(errors[0], errors[_PLACES[-1]]))
    if abs(last - first) > close:
        yield (
            "unequal weights",
            f"The last of {_ROWS} examples weighs {last / first:.3g} times what the first does, as in a mean of the "
            f"means of unequal "
            f"batches: weigh batches by their size.",
        )


def _of_sums(ask: Evaluation, good: Tensor) -> Iterator[tuple[str, str]]:
    """Twice the examples, twice the number?"""
    one, two = (ask(good.expand(count, *good.shape).clone()) for count in (64, 128))
    if abs(two / one - 2) < 0.2:
        yield "sum for a mean", "Its number doubles with the examples: divide by their number."


def _of_crowds(ask: Evaluation, good: Tensor) -> Iterator[tuple[str, str]]:
    """Is the bound of one example that of many which are the same?"""
    with contextlib.suppress(InputError):
        alone = np.array([ask(good[None], seed=seed) for seed in range(_ALONE)])
        many = np.array([ask(good.expand(_ROWS, *good.shape).clone(), seed=seed) for seed in range(_REPEATS)])
        noise = math.hypot(*(float(one.std(ddof=1)) / math.sqrt(len(one)) for one in (alone, many)))
        off = float(alone.mean() - many.mean())
        if abs(off) > 5 * noise + 1e-4 * abs(float(many.mean())):
            yield (
                "weights of a whole batch",
                f"The same example has {rounded(off)} nats more when it is measured alone: take the log of the mean "
                f"weight for "
                f"each example, not for the batch.",
            )


def _of_draws(ask: Evaluation, x: Tensor, test: Measured) -> Iterator[tuple[str, str]]:
    """Does it make the draws that are asked for, and divide by those that it makes?"""
    weights = test.log_weight
    many = min(_MANY, len(weights))
    truth = {k: _iwae(weights, k) for k in (_FEW, many)}
    noise = weights.std(0).square().sum().sqrt().item() / weights.shape[1]
    found = {k: ask(x, draws=k) for k in (_FEW, many)}
    over = {k: found[k] - truth[k] for k in found}
    close = 5 * noise + 1e-3 * abs(truth[many])
    if over[_FEW] > close and found[_FEW] > truth[many] + close:
        yield (
            "divisor of draws",
            f"Asked for 1 draw it prints {rounded(found[_FEW])}, {rounded(over[_FEW])} nats above the ELBO of 1 draw: "
            f"it makes "
            f"more draws than "
            f"are asked for and divides by those asked for; divide by those made.",
        )
    elif abs(found[_FEW] - found[many]) < close < truth[many] - truth[_FEW] or over[_FEW] > close:
        yield (
            "draws ignored",
            f"It prints {rounded(found[_FEW])} when asked for 1 draw and {rounded(found[many])} when asked for {many}, "
            f"where "
            f"{rounded(truth[_FEW])} and "
            f"{rounded(truth[many])} are right: it does not make the draws that are asked for.",
        )
    elif abs(over[many] - math.log(many)) < close:
        yield (
            "without log K",
            f"With {many} draws it is {rounded(over[many])} = log {many} too high: divide the weights' sum by K.",
        )


def _iwae(weights: Tensor, k: int) -> float:
    blocks = weights[: len(weights) // k * k].view(-1, k, weights.shape[1])
    return float(blocks.logsumexp(1).mean()) - math.log(k)
