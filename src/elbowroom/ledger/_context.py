"""What stands beside the identity of an audit: the prior gap, generalisation, what the latents do, samples."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Generator, Tensor
from torch.distributions import Normal, kl_divergence

from elbowroom import evidence
from elbowroom.data import Dataset, Examples
from elbowroom.distributions import simulate
from elbowroom.evidence.memory import Memory
from elbowroom.metrics import ACTIVE, classifier_two_sample, latent_use
from elbowroom.numerics import Batch, CapabilityError, InputError, derived_seed, in_parts
from elbowroom.records import CollapseCurve, ContextRecord, LatentRecord, Number, SampleGapRecord, Summary
from elbowroom.vae import VAE, Terms
from elbowroom.vae.evaluating import evaluating

from .aggregate import AggregateBudget, aggregate, chosen, of_x_alone
from .changes import changes

__all__ = ["ContextBudget", "context"]

_DELTA = 0.01
_EPSILONS = tuple(float(f"{e:.3g}") for e in np.logspace(-4, 1, 21))
_FEWEST = 100  # rows that a two-sample test needs
_WIDE = 1_024  # elements up to which principal components cost little
_DECODED = 0xDEC  # a stream of its own
_Item = TypeVar("_Item")


class ContextBudget(NamedTuple):
    """How much of the context is measured.

    Attributes
    ----------
    bounds : int
        Test examples, and training examples, of rate, distortion and ELBO.
    draws : int
        Of z, for each.
    units : int
        Test examples that say what each unit does.
    samples : int
        Rows decoded from either side; 0 for none.
    aggregate : AggregateBudget
        Of the prior gap.
    """

    bounds: int
    draws: int
    units: int
    samples: int
    aggregate: AggregateBudget


def context(
    vae: VAE, data: Dataset, budget: ContextBudget, *, seed: int, memory: Memory, progress: bool
) -> tuple[ContextRecord, list[str]]:
    """What stands beside the identity, and a sentence for each item that cannot be had.

    Parameters
    ----------
    vae : VAE
        The model.
    data : Dataset
        All is of test examples; training examples where they are compared, or fit a density.
    budget : ContextBudget
        How much is measured.
    seed : int
        Of all noise, and of which examples are taken.
    memory : int or str
        Of a pass.
    progress : bool
        Whether to show it.

    Returns
    -------
    tuple of ContextRecord and list of str
        The record, and what it misses and why.
    """
    missing: list[str] = []

    def had(item: str, measured: Callable[[], _Item]) -> _Item | None:
        try:
            return measured()
        except (CapabilityError, InputError) as error:
            missing.append(f"{item}: {str(error).rstrip('.')}.")
            return None

    common: dict[str, Any] = {"draws": budget.draws, "seed": seed, "memory": memory, "progress": progress}
    n = min(budget.bounds, len(data.test), len(data.train))
    test = chosen(data.test, budget.bounds, seed)
    rate, distortion, elbo = evidence.rate_distortion(vae, test, **common)
    train = evidence.elbo(vae, of_x_alone(chosen(data.train, n, seed)), **common)
    held = evidence.elbo(vae, of_x_alone(test), **common) if test.observed else elbo
    both = had("The prior gap and I(x; z)", lambda: aggregate(vae, data, budget.aggregate, seed=seed))
    some = chosen(data.test, budget.units, seed)
    latents = had("The use of the latents", lambda: _latents(vae, some, seed))
    kl = None if latents is None else latents.kl
    record = ContextRecord(
        elbo=Summary.of(elbo),
        rate=Summary.of(rate),
        distortion=Summary.of(distortion),
        generalisation=Number(train.mean - held.mean, math.hypot(train.se_total, held.se_total)),
        prior_gap=both and both.gap,
        information=both and both.information,
        latents=latents,
        collapse=had("The collapse curve", lambda: _collapse(vae, some, seed)),
        samples=had("Samples against data", lambda: _samples(vae, data, budget.samples, seed)),
        changes=had("What each unit changes", lambda: changes(vae, data, some, kl, seed)),
    )
    return record, missing


def _latents(vae: VAE, examples: Examples, seed: int) -> LatentRecord:
    use = latent_use(vae, examples, seed=seed)
    by_unit = use.kl is not None and len(use.kl) == len(use.active)  # classes have one KL together
    return LatentRecord(
        kl=tuple(use.kl.tolist()) if by_unit and use.kl is not None else None,
        active=tuple(use.active.tolist()),
        threshold=ACTIVE,
        n=len(examples),
        axes="",
        neighbours=None,
    )


@torch.no_grad()
def _collapse(vae: VAE, examples: Examples, seed: int) -> CollapseCurve:
    """Units whose KL is below ε for all but a hundredth of the examples, by ε."""
    rows, exact = list[Tensor](), True
    with evaluating(vae):
        for part in in_parts(examples):
            terms = vae(part, vae.keyed_noise(1, part.index, seed))
            units = [terms.elementwise_kl(name) for name in terms.z]
            exact = exact and all(unit is not None for unit in units)
            known = [
                _of_moments(vae, terms, name, part.index, seed) if unit is None else unit
                for name, unit in zip(terms.z, units, strict=True)
            ]
            rows.append(torch.cat([unit.double().mean(0).reshape(len(part), -1) for unit in known], 1).cpu())
    greatest = np.quantile(torch.cat(rows).numpy(), 1 - _DELTA, axis=0, method="inverted_cdf")  # but for a share δ
    share = tuple(float((greatest < epsilon).mean()) for epsilon in _EPSILONS)
    return CollapseCurve(_EPSILONS, share, _DELTA, by_moments=not exact)


def _of_moments(vae: VAE, terms: Terms, name: str, index: Tensor, seed: int) -> Tensor:
    """KL of each unit from its prior if q of the unit were a normal of its mean and variance: at most what it is."""
    if vae.prior[name].form != "independent normal":
        raise CapabilityError("the KL of a unit has no closed form here, nor a bound by moments: p(z) is no normal")
    p: Any = terms.p[name]
    mean, variance = vae.moments(name, terms.q[name], index, seed=seed)
    return kl_divergence(Normal(mean, variance.clamp_min(1e-30).sqrt()), Normal(p.mean, p.stddev))


def _samples(vae: VAE, data: Dataset, most: int, seed: int) -> SampleGapRecord:
    """A classifier's log-odds against data of what is decoded from p(z), and from q(z | x) of other test examples."""
    if not most:
        raise CapabilityError("left out of a quick audit")
    n = min(most, len(data.test) // 2)
    if n < _FEWEST:
        raise CapabilityError(f"{len(data.test):,} test examples are too few for a two-sample test, which needs 200")
    both = chosen(data.test, 2 * n, seed).batch()
    if both.seen is not None:
        raise CapabilityError("cells of the data are missing, by which they are told from samples, which are whole")
    own, other = both.rows(slice(None, n)), both.rows(slice(n, None))
    classifier: Any = "trees" if own.x[0].numel() <= _WIDE else "logistic"
    prior, posterior = (
        classifier_two_sample(own.x, decoded, classifier=classifier, image_shape=data.image_shape, seed=seed)
        for decoded in (_from_prior(vae, other, seed), _from_posterior(vae, other, seed))
    )
    error = math.hypot(prior.se, posterior.se)
    return SampleGapRecord(
        prior=Number(prior.log_odds, prior.se),
        posterior=Number(posterior.log_odds, posterior.se),
        difference=Number(prior.log_odds - posterior.log_odds, error),
        classifier=classifier,
        n=prior.n,
    )


@torch.no_grad()
def _from_prior(vae: VAE, batch: Batch, seed: int) -> Tensor:
    """x of z from p(z), as many as there are examples, with their contexts."""
    return vae.sample(len(batch), seed=derived_seed(seed, _DECODED), context=batch.context).to(batch.x)


@torch.no_grad()
def _from_posterior(vae: VAE, batch: Batch, seed: int) -> Tensor:
    """x of z from q(z | x) of these examples."""
    own = derived_seed(seed, _DECODED)
    with evaluating(vae):
        p_x = vae(batch, vae.keyed_noise(1, batch.index, own), lay_out=False).p_x
        y = simulate(p_x, Generator(vae.device).manual_seed(own))
        return vae.preprocess.inverse(y.expand(1, len(batch), *y.shape[2:])[0]).to(batch.x)
