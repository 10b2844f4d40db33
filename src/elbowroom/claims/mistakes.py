"""Simple mistakes of an evaluation, and the number that each would print for this model on these data."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from elbowroom.numerics import Estimate, rounded

from .claim_text import Claim
from .measured import Measured

__all__ = ["Mistake", "log_means", "mistakes_of", "noise_of"]

_BATCHES = (32, 50, 64, 100, 128, 200, 250, 256, 500, 512, 1_000)
_PASSES = (64, 100, 128, 200, 256, 300, 500, 512, 1_000)
_OTHER_PRIOR = "It takes N(0, I) for p(z), and the model's prior is another: take the prior that is sampled."
_BETAS = (0.01, 0.1, 0.25, 0.5, 2.0, 4.0, 5.0, 10.0, 100.0)


@dataclass(frozen=True)
class Mistake:
    """A mistake and the number that it prints.

    Parameters
    ----------
    name : str
        In a few words.
    value : float
        What it would print, in nats per example, more of which is better.
    se : float
        Standard error of that number as one evaluation with one draw gives it.
    sentence : str
        What was done, and what to do.
    rank : int
        0 for what is left out or counted twice, 1 for the unit, the state of the model or the data, 2 for what has so
        many versions that one of them fits many numbers: other weights of the KL, some of the examples.
    """

    name: str
    value: float
    se: float
    sentence: str
    rank: int = 0


def mistakes_of(
    claim: Claim, right: Estimate, test: Measured, train: Measured | None, training: Tensor | None
) -> Iterator[Mistake]:
    """The mistakes that could have made a number, the gravest first.

    Parameters
    ----------
    claim : Claim
        What was claimed.
    right : Estimate
        What it should be.
    test : Measured
        The model on the examples that the claim is about.
    train : Measured or None
        The model on training examples.
    training : Tensor or None
        The ELBO in training mode, [n].

    Yields
    ------
    Mistake
        With its number.
    """
    if claim.quantity == "ELBO":
        yield from _of_terms(test)
        yield from _of_gaussian(test)
        yield from _of_state(test, train, training)
    else:
        yield from _of_draws(claim, right, test)
    yield from _of_constants(right, test, noise_of(test.elbo) if claim.quantity == "ELBO" else right.se_mc)
    yield from _of_unit(right, noise_of(test.elbo) if claim.quantity == "ELBO" else right.se_mc, test.dimensions)
    yield from _of_batches(test.elbo if claim.quantity == "ELBO" else log_means(test, claim.draws))


def noise_of(values: Tensor) -> float:
    """Error of a mean over examples of one evaluation each.

    Parameters
    ----------
    values : Tensor
        Of several evaluations, [evaluations, n].

    Returns
    -------
    float
        The standard error; 0 where there is but one.
    """
    return values.var(0).sum().sqrt().item() / values.shape[1] if len(values) > 1 else 0.0


def _mistake(name: str, values: Tensor, sentence: str, rank: int = 0) -> Mistake:
    """Of values [draws, n]."""
    return Mistake(name, values.mean().item(), noise_of(values), sentence, rank)


def _of_state(test: Measured, train: Measured | None, training: Tensor | None) -> Iterator[Mistake]:
    if training is not None:
        said = "It is the ELBO in training mode (batch norm by the batch at hand, dropout on): call model.eval() first."
        yield Mistake("training mode", training.mean().item(), 2 * noise_of(test.elbo), said, 1)
    if train is not None:
        yield _mistake("train set", train.elbo, "It is the ELBO of the training set: measure on test examples.", 1)


def _of_constants(right: Estimate, test: Measured, noise: float) -> Iterator[Mistake]:
    """The right number without a constant of the density."""

    def without(nats: float, name: str, sentence: str) -> Mistake:
        return Mistake(name, right.mean + nats, noise, sentence)

    jacobian = test.log_jacobian.mean().item()
    if jacobian:
        said = "It is on the scale that the network sees: add the log-Jacobian of the preprocessing."
        yield without(-jacobian, "without the Jacobian", said)
    if test.sigma is None:
        return
    two_pi, whole = 0.5 * test.dimensions * math.log(2 * math.pi), test.constant
    said = "It leaves out D/2·log({}) = {} nats of the Gaussian: subtract them."
    yield without(two_pi, "without 2π", said.format("2π", rounded(two_pi)))
    yield without(whole - jacobian, "without constants", said.format("2πσ²", rounded(whole)))


def _of_terms(test: Measured) -> Iterator[Mistake]:
    ll, rate = test.log_likelihood, test.rate
    alike = test.at_mean[None]
    yield _mistake(
        "z = mean",
        alike - rate[:1] if bool((rate == rate[:1]).all()) else alike - rate.mean(0, keepdim=True),
        "It is log p(x | z) at the mean of q minus the KL, which is no ELBO: draw z from q.",
    )
    yield _mistake(
        "z = mean, one weight",
        test.weight_at_mean[None],
        "It is log p(x, z) / q(z | x) at the mean of q: draw z from q.",
    )
    yield _mistake(
        "z = mean, no KL", alike, "It is log p(x | z) at the mean of q, without the KL: draw z, and subtract the KL."
    )
    yield _mistake(
        "no KL",
        ll,
        "It is the reconstruction term alone: the KL is multiplied by zero, clamped or left out; subtract it.",
    )
    yield _mistake(
        "KL averaged over latents",
        ll - rate / test.latents,
        f"Its KL is averaged over the {test.latents} latents: sum it over latents.",
    )
    if test.standard is not None:
        yield _mistake(
            "N(0, I) for the prior",
            ll - test.standard,
            _OTHER_PRIOR,
        )
    for beta in _BETAS:
        said = f"It weighs the KL by β = {beta:g}, as the training objective may: take β = 1."
        yield _mistake(f"β = {beta:g}", ll - beta * rate, said, 2)
    yield _mistake("wrong sign of the KL", ll + rate, "It adds the KL: subtract it.")


def _of_gaussian(test: Measured) -> Iterator[Mistake]:
    squares = test.squares
    if squares is None or test.sigma is None:
        return
    d, rate, sigma = test.dimensions, test.rate, test.sigma
    for name, factor in (("squares", 1.0), ("half the squares", 0.5)):
        yield _mistake(
            f"{name} for a Gaussian",
            -factor * squares - rate,
            f"It is minus {name} minus the KL, as at another σ and without constants: take log p(x | z) at σ = "
            f"{sigma:.3g}.",
        )
    yield _mistake(
        "mean squares for a sum",
        -squares / d - rate,
        "It is minus the mean square over elements minus the KL: sum over elements, at the model's σ, with its "
        "constants.",
    )
    yield _mistake(
        "variance for a standard deviation",
        -squares / (2 * sigma**4) - 0.5 * d * math.log(2 * math.pi * sigma**4) + test.log_jacobian - rate,
        "It takes the variance of p(x | z) for its standard deviation: the scale is the root of it.",
    )
    yield _mistake(
        "standard deviation for a variance",
        -squares / (2 * sigma) - 0.5 * d * math.log(2 * math.pi * sigma) + test.log_jacobian - rate,
        "It takes the standard deviation of p(x | z) for its variance: square it.",
    )
    yield from _refitted(test, squares)


def _refitted(test: Measured, squares: Tensor) -> Iterator[Mistake]:
    """σ fitted to the examples that are measured, all of them or by batch."""
    n, d = squares.shape[1], test.dimensions
    for size in (n, *(b for b in _BATCHES if b < n), 1):
        parts = squares.split(size, 1)
        fitted = [part.mean(1, keepdim=True) / d for part in parts]
        ll = [-part / (2 * s) - 0.5 * d * (2 * math.pi * s).log() for part, s in zip(parts, fitted, strict=True)]
        by = "all test examples" if size == n else "each example" if size == 1 else f"each batch of {size}"
        yield _mistake(
            f"σ refitted on {by}",
            torch.cat(ll, 1) + test.log_jacobian - test.rate,
            f"Its σ is fitted to {by} that it is measured on: fit it to training examples, and keep it.",
            1,
        )


def _of_draws(claim: Claim, right: Estimate, test: Measured) -> Iterator[Mistake]:
    yield _mistake(
        "ELBO for log p(x)",
        test.elbo,
        f"It is the ELBO and not the {claim.name}: call it so, or take more draws inside the logarithm.",
    )
    k = claim.draws
    if test.standard is not None:
        other = test.log_likelihood - test.standard
        level = other.logsumexp(0).mean().item() - math.log(len(other))
        yield Mistake("N(0, I) for the prior", level, right.se_mc, _OTHER_PRIOR)
    if k is None:
        return
    blocks = test.log_weight[: len(test.log_weight) // k * k]
    if not len(blocks):
        return
    blocks = blocks.view(-1, k, blocks.shape[1])
    iwae = blocks.logsumexp(1) - math.log(k)
    yield _mistake(
        "without log K", iwae + math.log(k), f"It leaves out −log K = {rounded(-math.log(k))} nats: divide by K."
    )
    for weights, name, said in (
        (-blocks, "softmax over losses", "weighs its draws by a softmax of their losses, the worst most"),
        (blocks, "weighted mean for a log-mean", "is the weighted mean of the log-weights"),
    ):
        value = (weights.softmax(1) * blocks).sum(1)
        yield _mistake(name, value, f"It {said}: take the log of the mean weight, logsumexp(log w) − log K.")
    for size in _PASSES:
        made = math.ceil(k / size) * size
        if made != k and made <= len(test.log_weight):
            wide = test.log_weight[:made].logsumexp(0).mean().item() - math.log(k)
            said = (
                f"It makes {made:,} draws in passes of {size} and divides by the {k:,} asked for: divide by {made:,}."
            )
            yield Mistake(f"{made} draws divided by {k}", wide, right.se_mc, said)


def _of_unit(right: Estimate, noise: float, d: int) -> Iterator[Mistake]:
    """The right number in another unit, of another sign, or of another number of examples."""
    bits, n = math.log(2), len(right)

    def times(factor: float, name: str, sentence: str) -> Mistake:
        return Mistake(name, right.mean * factor, abs(factor) * noise * math.sqrt(2), sentence, 1)

    yield times(-1, "sign", "It has the other sign: of a log-density more is better, of an NLL less.")
    named = {
        "per dimension": (1 / d, "It is per dimension and not per example: multiply by D."),
        "bits for nats": (1 / bits, "It is in bits: multiply by log 2 for nats."),
        "nats for bits": (bits, "It is in nats: divide by log 2 for bits."),
        "bits per dimension": (1 / (d * bits), "It is in bits per dimension: say so."),
    }
    for name, (factor, sentence) in named.items():
        yield times(factor, name, sentence)
        yield times(-factor, f"{name}, and sign", f"{sentence[:-1]}, and turn the sign.")
    for size in _BATCHES:
        said = f"It is the sum over a batch of {size}: divide by the number of examples."
        yield times(size, f"sum over a batch of {size}", said)
        count = math.ceil(n / size)
        said = f"It is the sum over {n:,} examples over {count} batches of {size}: divide by the number of examples."
        yield times(n / count, f"sum over batches of {size}", said)
    yield times(n, "sum over all examples", f"It is the sum over {n:,} examples: divide by their number.")


def log_means(test: Measured, draws: int | None) -> Tensor:
    """Importance-weighted bounds of K draws each.

    Parameters
    ----------
    test : Measured
        The model on the examples.
    draws : int or None
        K; None for all that were made.

    Returns
    -------
    Tensor
        [evaluations, n], in nats.
    """
    k = min(draws or len(test.log_weight), len(test.log_weight))
    blocks = test.log_weight[: len(test.log_weight) // k * k].view(-1, k, test.log_weight.shape[1])
    return blocks.logsumexp(1) - math.log(k)


def _of_batches(values: Tensor) -> Iterator[Mistake]:
    n = values.shape[1]
    for size in _BATCHES:
        if size >= n:
            continue
        last = n % size or size
        yield _mistake(
            f"last batch of {size}",
            values[:, -last:],
            f"It is that of the last {last} of {n:,} examples, as of batches of {size}: average over all of them.",
            2,
        )
        yield _mistake(
            f"first batch of {size}",
            values[:, :size],
            f"It is that of the first {size} of {n:,} examples: average over all of them.",
            2,
        )
        count = math.ceil(n / size)
        said = f"It is that of the first {size} examples over the number of batches, {count}: average over all."
        yield _mistake(f"first batch of {size} over batches", values[:, :size] / count, said, 2)
        if n % size:
            means = torch.stack([part.mean(1) for part in values.split(size, 1)], 1)
            yield _mistake(
                f"mean of batch means of {size}",
                means,
                f"It is the mean of {count} batch means, of which the last is over {n % size} examples: weigh them by "
                f"size.",
                2,
            )
