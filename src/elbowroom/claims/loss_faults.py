"""What is wrong with a loss, a sentence each with the way out; and what is worth knowing."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .divergence import Divergence
from .probe import Probe
from .reconstruction import Reconstruction
from .roles import SPREADS, spread_of
from .scaling import Growth
from .standing import Standing

__all__ = ["Found", "faults_of", "remarks_of"]

_HEAVY = 0.05  # share of D from which the KL beside a mean over elements leaves only noise


@dataclass(frozen=True)
class Found:
    """All that was seen of a loss.

    Parameters
    ----------
    probe : Probe
        The loss.
    recon : Reconstruction
        Its first part.
    kl : Divergence
        Its second.
    growth : Growth
        How they grow.
    standing : Standing
        What it stands for.
    x : array or None
        The user's examples.
    said : str or None
        What the user says that the spread is.
    idle : tuple of str
        Weights that change nothing.
    moved : str
        Whether its value settles.
    """

    probe: Probe
    recon: Reconstruction
    kl: Divergence
    growth: Growth
    standing: Standing
    x: NDArray[np.float64] | None
    said: str | None
    idle: tuple[str, ...]
    moved: str


def faults_of(found: Found) -> tuple[str, ...]:
    """The faults of a loss.

    Parameters
    ----------
    found : Found
        What was seen of it.

    Returns
    -------
    tuple of str
        A sentence each.
    """
    return (*_of_kl(found), *_of_spread(found), *_of_sizes(found), *_of_density(found), *_of_arguments(found))


_KL_FAULTS = {
    "none": "The loss does not move with mu or logvar: its KL is multiplied by zero, clamped to zero or left out, so "
    "that it trains an autoencoder; add the KL of N(mu, exp(logvar)), with its weight.",
    "hidden": "What moves with mu and logvar is less than the rounding of the loss: hand it double precision, or weigh "
    "the KL more.",
    "partly": "What moves with mu and logvar is the KL of N(0, I) where all latents are alike and small, and not "
    "elsewhere (a clamp, or a weight for each latent?), so that the loss is no bound on log p(x).",
    "mixed": "What the KL weighs changes with the reconstruction, so that the loss is the bound of no one density: "
    "hand the weight in.",
    "other": "What moves with mu and logvar is not the KL of a Gaussian from N(0, I), so that the loss is no bound on "
    "log p(x): add −½ Σ (1 + logvar − mu² − exp(logvar)), the other term beside it.",
    "batch ceiling": "The KL is clamped from above after it is summed over the batch, at {whole:.4g} nats of all "
    "{batch} examples, so that a larger batch has less: leave it whole.",
    "ceiling": "The KL is clamped from above, at {nats}, where its gradient ends and the value is no bound: leave it "
    "whole.",
}


def _of_kl(found: Found) -> Iterator[str]:
    kl, a, sizes = found.kl, found.recon.coefficient, found.probe.sizes
    if kl.kind in _KL_FAULTS:
        whole = kl.at * sizes.dim * sizes.batch
        yield _KL_FAULTS[kl.kind].format(nats=_nats(found), whole=whole, batch=sizes.batch)
    elif kl.kind == "terms":
        yield _wrong_terms(found)
    elif kl.coefficient < 0 < a:
        yield "The KL has the wrong sign, so that its descent drives q away from the prior: add it, do not subtract it."
    if a < 0 < kl.coefficient:
        yield "The reconstruction term has the wrong sign: add the negative log-likelihood, do not subtract it."


def _nats(found: Found) -> str:
    one, dim = found.kl.at, found.probe.sizes.dim
    return f"{one * dim:.3g} nats per example ({one:.3g} a latent, where all are alike)"


def _other_prior(terms: dict[str, float]) -> float:
    """The variance of the prior from which the terms are a KL; 0 where they are none."""
    if set(terms) != {"mu²", "exp(logvar)", "logvar"} or not math.isclose(
        terms["mu²"], terms["exp(logvar)"], rel_tol=1e-4
    ):
        return 0.0
    prior = max(0.0, -terms["logvar"] / terms["mu²"])
    return 0.0 if math.isclose(prior, 1.0, rel_tol=1e-9) else prior


def _told_from_one(value: float) -> str:
    """In three digits, or as many as tell it from 1."""
    return next((said for digits in range(3, 12) if (said := f"{value:.{digits}g}") != "1"), f"{value}")


def _wrong_terms(found: Found) -> str:
    terms = found.kl.terms or {}
    if prior := _other_prior(terms):
        return (
            f"Its KL is that from N(0, {_told_from_one(prior)}) and not from N(0, 1): draw samples from that prior, or "
            f"write −½ Σ (1 + logvar − mu² − exp(logvar))."
        )
    name = found.probe.plan.named("spread") or "logvar"
    said = ", ".join(f"{c:+.3g}·{term.replace('logvar', name)}" for term, c in terms.items())
    why = ""
    if "exp(logvar / 2)" in terms and "exp(logvar)" not in terms:
        why = "the standard deviation stands where the variance belongs"
    elif "exp(2 logvar)" in terms and "exp(logvar)" not in terms:
        why = "the square of the variance stands where the variance belongs"
    elif "mu²" not in terms:
        why = "mu² is missing"
    elif "exp(logvar)" not in terms and "log(logvar)" not in terms:
        why = "the variance is missing"
    because = f", {why}" if why else ""
    return (
        f"Its KL is none: with ½ before them its terms are {said}, and a Gaussian's are +mu² + variance − log "
        f"variance{because}: "
        f"write −½ Σ (1 + logvar − mu² − exp(logvar))."
    ).replace("-", "−")


def _of_spread(found: Found) -> Iterator[str]:
    kl, name = found.kl, found.probe.plan.named("spread")
    if not kl.spread:
        return
    if kl.spread in ("softplus to a log standard deviation", "softplus to a log-variance"):
        yield (
            "A softplus holds the log of q's standard deviation above 0, so that no q can be narrower than the prior: "
            "put the "
            "softplus on the standard deviation itself, or take the log as it is."
        )
        return
    meant = found.said or spread_of(name or "") or ("log-variance" if kl.spread in SPREADS else kl.spread)
    if meant != kl.spread:
        called = f"called {name!r}" if found.said is None and name else "said to be it"
        is_ = SPREADS.get(kl.spread, f"put through {kl.spread}")
        as_ = f"taken for {is_}" if kl.spread in SPREADS else is_
        yield (
            f"The encoder's second output is {SPREADS[meant]} ({called}) and the KL has it {as_}, so that it is the KL "
            f"of another "
            f"Gaussian than the one z is drawn from: take the one that the draws use, or say spread={kl.spread!r} if "
            f"they do."
        )


def _of_sizes(found: Found) -> Iterator[str]:
    recon, kl, sizes = found.growth.recon, found.growth.kl, found.probe.sizes
    both = kl["batch"], recon["batch"]
    if (
        found.recon.family != "none"
        and found.kl.kind == "closed"
        and both[0] != both[1]
        and not any(map(math.isnan, both))
    ):
        words = {0.0: "summed", -1.0: "averaged"}
        one, two = (words.get(power, "scaled") for power in both)
        yield (
            f"Over the batch the KL is {one} and the reconstruction {two}, so that the KL's weight changes with the "
            f"batch size "
            f"(here {sizes.batch}): reduce both alike."
        )
    if kl["latents"] == -1 and found.kl.coefficient:
        yield (
            f"The KL is averaged over the latents and not summed, so that it weighs 1 / {sizes.dim} of what it says "
            f"with "
            f"{sizes.dim} latents, and less with more of them: sum it over latents."
        )
    if _means_for_sums(found):
        w = found.standing.weight or 0.0
        what = f"σ = {math.sqrt(w / 2):.3g}" if found.recon.family == "Gaussian" else f"a KL {w:.3g} times too heavy"
        yield (
            f"The reconstruction is averaged over the {sizes.elements} elements of x and the KL is not, which makes it "
            f"{what}, and "
            f"the latents useless: sum it over elements, and average over examples only."
        )


def _means_for_sums(found: Found) -> bool:
    """A mean over elements that no weight makes good."""
    w = found.standing.weight
    averaged = found.growth.recon["event"] == -1 and found.growth.kl["event"] != -1
    return bool(averaged and w and found.kl.kind == "closed" and w > _HEAVY * found.probe.sizes.elements)


def _of_density(found: Found) -> Iterator[str]:
    family, x = found.recon.family, found.x
    if family == "none":
        yield "The loss does not move with the reconstruction: add −log p(x | z)."
    elif found.standing.family == "no density":
        yield (
            "There is no density whose negative log its reconstruction term is: report no ELBO of it; a Gaussian or a "
            "Laplace "
            "beside it, measured by themselves, have one."
        )
    elif family in ("norm", "root of squares"):
        yield (
            "Its reconstruction term is of no noise whose normaliser is known here: report no ELBO of it; a Gaussian "
            "or a Laplace beside it, measured by themselves, have one."
        )
    if x is not None and family in ("Bernoulli", "continuous Bernoulli") and (x.min() < 0 or x.max() > 1):
        yield (
            f"A cross-entropy is of x in [0, 1], and these lie in [{x.min():.3g}, {x.max():.3g}]: scale them, or take "
            f"squares."
        )
    elif x is not None and family == "Bernoulli" and not np.isin(x, (0.0, 1.0)).all():
        yield (
            "A Bernoulli is a density of bits, and these x are grey: e^−loss sums to no constant over them, so that it "
            "is no "
            "log-likelihood; binarise x, or add the continuous Bernoulli's constant."
        )
    elif x is not None and family == "Poisson" and ((x < 0) | (x != x.round())).any():
        yield "A Poisson is a density of counts, and these x are none: give it counts, or take squares."
    sigma = found.standing.sigma
    if x is not None and family == "Gaussian" and sigma and len(x) > 1 and sigma > (spread := _spread(x)) > 0:
        yield (
            f"The noise that it stands for, σ = {sigma:.3g}, is larger than the whole spread of these x, {spread:.3g}: "
            f"nothing is "
            f"left for the latents to say; weigh the KL less."
        )


def _spread(x: NDArray[np.float64]) -> float:
    return float(np.sqrt(x.var(0).mean()))


def _of_arguments(found: Found) -> Iterator[str]:
    for name in found.idle:
        yield f"Its argument {name!r} changes nothing, whatever it is: multiply by it, or drop it."


def remarks_of(found: Found) -> tuple[str, ...]:
    """What is worth knowing of a loss and no fault.

    Parameters
    ----------
    found : Found
        What was seen of it.

    Returns
    -------
    tuple of str
        A sentence each.
    """
    return (*_sizes_in_words(found), *_remarks(found))


def _sizes_in_words(found: Found) -> Iterator[str]:
    words = {0.0: "summed over {}", -1.0: "averaged over {}"}
    recon, kl = found.growth.recon, found.growth.kl
    said = [
        words[power].format(of)
        for power, of in ((recon["event"], "elements"), (recon["batch"], "the batch"))
        if power in words
    ]
    of_kl = [
        words[power].format(of)
        for power, of in ((kl["latents"], "latents"), (kl["batch"], "the batch"))
        if power in words
    ]
    parts = [f"reconstruction {', '.join(said)}"] if said and found.recon.family != "none" else []
    parts += [f"KL {', '.join(of_kl)}"] if of_kl and found.kl.kind != "none" else []
    if parts:
        yield f"{'; '.join(parts)}."[:1].upper() + f"{'; '.join(parts)}."[1:]


def _remarks(found: Found) -> Iterator[str]:
    kl, probe, family = found.kl, found.probe, found.recon.family
    if found.recon.coefficient < 0 and kl.coefficient < 0:
        yield "It rises where the ELBO rises: it is to be maximised, and no loss."
    if kl.kind == "floor":
        yield f"The KL counts from {_nats(found)} on (free bits): below, the value is no bound."
    if kl.kind == "capacity":
        yield f"The KL enters by its distance from {_nats(found)} (capacity): the value is no bound."
    if kl.spread.startswith("softplus to a") and kl.spread in (
        "softplus to a standard deviation",
        "softplus to a variance",
    ):
        yield f"The encoder's second output is put through a {kl.spread}."
    elif kl.spread and kl.spread != "log-variance":
        yield f"The encoder's second output is {SPREADS.get(kl.spread, kl.spread)}."
    if family == "Bernoulli" and found.x is None:
        yield (
            "On grey x it is no density (the continuous Bernoulli has a constant that is not there): give x= to have "
            "it said."
        )
    if found.growth.recon["event"] == -1 and not _means_for_sums(found) and found.standing.weight:
        yield (
            f"The reconstruction is a mean over elements: with x of another size than D = {probe.sizes.elements} it "
            f"weighs otherwise."
        )
    if found.recon.words and found.standing.family != "no density":
        yield f"{found.recon.words[:1].upper()}{found.recon.words[1:]}."
    if found.moved:
        yield "Its value moves from call to call at first (an annealed weight?); it was read where it stands still."
    if probe.noisy:
        yield "It draws noise of its own: it was read as a mean over draws, to a few per cent."
    if probe.words:
        yield probe.words
