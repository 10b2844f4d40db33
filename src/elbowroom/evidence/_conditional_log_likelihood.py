"""What a model says of x given its latents: log p(x | z) under q, per example and per feature."""

import time
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Distribution, Independent

from elbowroom.distributions import Columns
from elbowroom.distributions._log_prob_seen import inside
from elbowroom.numerics import Batch, Budget, CapabilityError, Estimate, InputError, count, own_modes, plain_arguments
from elbowroom.progress import Progress
from elbowroom.vae import VAE
from elbowroom.vae._check_readings import check_cell_by_cell
from elbowroom.vae.evaluating import evaluating
from elbowroom.vae.vae_target import of_seen_cells

from .memory import MEMORY, Memory, as_bytes
from .model_passes import Pass, checked_subject, pass_size, without_gradients
from .target import Subject, Target, capability

__all__ = ["ConditionalLogLikelihood", "conditional_log_likelihood"]


class ConditionalLogLikelihood(NamedTuple):
    """Mean log p(x | z) over q(z | x), per example and per feature, from `conditional_log_likelihood`.

    Printed: a line for the examples and one for the features.

    Parameters
    ----------
    per_example : Estimate
        Per example [n], in nats: the sum over its features.
    per_feature : NDArray[np.float64]
        Per example and feature [n, *event], in nats.
    mc_variance : NDArray[np.float64]
        Monte-Carlo variance of `per_feature`, [n, *event], in nats²; NaN from one draw.
    """

    per_example: Estimate
    per_feature: NDArray[np.float64]
    mc_variance: NDArray[np.float64]

    def __repr__(self) -> str:
        means = self.per_feature.mean(0)
        features = f"per feature {list(means.shape)}: means from {means.min():.2f} to {means.max():.2f} nats"
        return f"{self.per_example}\n{features}".replace(" -", " −")


@own_modes
@plain_arguments
def conditional_log_likelihood(
    model: VAE | Target,
    examples: Any = None,
    *,
    draws: int = 64,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> ConditionalLogLikelihood:
    """How well each example, and each feature of it, is explained by its latents: the mean log p(x | z) over q(z | x).

    A low value marks an example, or a feature, that the decoder does not reproduce: a score of anomalies. It is no
    bound on log p(x), as it leaves out the rate.

    Parameters
    ----------
    model : VAE or Target
        The model. A VAE needs `examples`; a `Target`, any other model, brings its own.
    examples : array, tensor, DataFrame, Batch or part of a data set, default None
        The x to estimate for, one row per example, [n, *event], on the scale of the data that the VAE was trained on.
        Required for a VAE; left out for a Target.
    draws : int, default 64
        Draws of z from q(z | x) per example.
    seed : int, default 0
        Seed of all noise. An example's noise depends on the seed and its place in the data set only, so results do not
        depend on how examples are batched.
    memory : int or str, default "1 GiB"
        How much memory a pass through the model may take: bytes, or words such as "500 MB". Results do not depend on it
        beyond rounding.
    progress : bool, default False
        Whether to show progress on standard error.

    Returns
    -------
    ConditionalLogLikelihood
        `per_example`, an Estimate [n]; `per_feature`, an array [n, *event], and its `mc_variance`. In nats, on the
        scale of the data (of a Target: on the scale of its `decoded`).

    Raises
    ------
    InputError
        If there are no examples, a setting is out of range, or `memory` does not hold one example.
    CapabilityError
        If log p(x | z) is no sum over features, as they depend on one another given z or preprocessing mixes them; for
        a Target without `decoded`.

    See Also
    --------
    rate_distortion : Its distortion is minus `per_example`, for any likelihood.

    Examples
    --------
    >>> from elbowroom import likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> found = conditional_log_likelihood(vae, torch.zeros(3, 2))
    >>> found.per_feature.shape, bool(np.allclose(found.per_feature.sum(1), found.per_example.values))
    ((3, 2), True)
    """
    start = time.monotonic()
    subject = checked_subject(model, examples, draws)
    if subject.vae is not None:
        _check_cells(subject.vae, subject.some(slice(0, 1)))
    one_pass, found = _by_feature(subject, seed), []
    with Progress("log p(x | z)", len(subject), show=progress) as bar:
        with without_gradients(subject):
            at_once, chunk = pass_size(subject, one_pass, draws, as_bytes(memory))
        for first in range(0, len(subject), at_once):
            part = subject.some(slice(first, first + at_once))
            features, totals = _Moments(), _Moments()
            for done in range(0, draws, chunk):
                with without_gradients(subject):
                    (elements,) = one_pass(part, min(chunk, draws - done), done)
                features.add(elements)
                totals.add(elements.flatten(2).sum(-1))
            slope = _log_slope(subject.vae, part, seed) if subject.vae else torch.zeros_like(features.mean)
            found.append(
                (features.mean + slope, features.variance, totals.mean + slope.flatten(1).sum(1), totals.variance)
            )
            bar.advance(len(part.index))
    per_feature, mc_variance, values, variance = (torch.cat(column).numpy() for column in zip(*found, strict=True))
    per_example = Estimate.of(
        values,
        variance,
        subject.index.cpu(),
        quantity=_quantity(subject),
        estimator=f"mean with {count(draws, 'draw')}",
        direction="unbiased",
        budget=Budget(draws, seed, time.monotonic() - start),
        data=subject.data,
    )
    return ConditionalLogLikelihood(per_example, per_feature, mc_variance)


def _quantity(subject: Subject) -> str:
    """What is averaged: log p(x | z), of the seen cells where some are missing, given the contexts that p reads too."""
    vae, seen = subject.vae, getattr(subject.some(slice(0, 1)), "seen", None)
    estimand = "log p(x)" if vae is None else vae.preprocess.estimand
    contexts = [] if vae is None else [name for name in vae.likelihood.given if name in vae.context_names]
    what = estimand if seen is None else of_seen_cells(estimand)
    return f"E {what.removesuffix(')')} | {', '.join(['z', *contexts])})"


class _Moments:
    """Mean over draws and the variance of that mean, from chunks of them [k, ...], on the CPU."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, torch.zeros(()), torch.zeros(())

    def add(self, values: Tensor) -> None:
        """Take in the next draws."""
        new, mean = len(values), values.mean(0).cpu()
        squares, total = values.sub(values.mean(0)).square().sum(0).cpu(), self.count + new
        away = mean - self.mean
        self.squares = self.squares + squares + away.square() * (self.count * new / total)
        self.mean = self.mean + away * (new / total)
        self.count = total

    @property
    def variance(self) -> Tensor:
        """Of the mean; NaN from one draw."""
        if self.count == 1:
            return torch.full_like(self.squares, torch.nan)
        return self.squares / (self.count * (self.count - 1))


def _by_feature(subject: Subject, seed: int) -> Pass:
    """Passes that give log p(y | z) of preprocessed features [draws, batch, *event], float64."""
    vae = subject.vae

    def one_pass(part: Any, draws: int, first: int) -> tuple[Tensor]:
        if vae is None:
            decoded = capability(part, "decoded", "conditional_log_likelihood")
            p_x, y = decoded(part.draw_posterior(draws, seed, first)[0])
            seen = getattr(part, "seen", None)
        else:
            terms = vae(part, vae.keyed_noise(draws, part.index, seed, first), lay_out=False)
            p_x, y, seen = terms.p_x, terms.y, terms.seen
        elements = _elementwise(p_x, y if seen is None else inside(p_x, y, seen)).double()
        if seen is not None:
            elements = elements.where(seen, 0.0)
        return (elements.expand(draws, *elements.shape[1:]),)

    return one_pass


def _elementwise(p_x: Distribution, y: Tensor) -> Tensor:
    """log p of every element [draws, batch, *event]."""
    if isinstance(p_x, Independent) and p_x.reinterpreted_batch_ndims == len(p_x.event_shape):
        return p_x.base_dist.log_prob(y)
    if isinstance(p_x, Columns):
        parts = zip(p_x.groups, y.split(p_x.sizes, -1), strict=True)
        return torch.cat([_elementwise(*part) for part in parts], -1)
    raise CapabilityError(
        f"Under {type(p_x).__name__} the features depend on one another given z, so log p(x | z) is no sum over them; "
        f"per example it is −evidence.rate_distortion(...).distortion."
    )


def _check_cells(vae: VAE, example: Batch) -> None:
    """Raise CapabilityError where a feature of preprocessed x comes from several of x."""
    try:
        check_cell_by_cell(vae, example)
    except InputError as error:
        raise CapabilityError(
            f"{type(vae.preprocess).__name__} mixes the features, so log p(x | z) has no share of each on the user's "
            f"scale; per example it is −evidence.rate_distortion(...).distortion."
        ) from error


@torch.no_grad()
def _log_slope(vae: VAE, batch: Batch, seed: int) -> Tensor:
    """log |dy/dx| of every element of x [batch, *event], float64, on the CPU."""
    x = batch.x if batch.x.is_floating_point() else batch.x.to(vae.dtype)
    with evaluating(vae):
        _, slope = vae.preprocess.cells(x, vae.keyed_noise(0, batch.index, seed).get("x"))
    found = slope.double().expand(x.shape)
    return (found if batch.seen is None else found.where(batch.seen, 0.0)).cpu()
