"""What stands beside the identity of an audit, and is never added to it."""

import math
from dataclasses import dataclass

from .evidence import LatentRecord
from .values import Number, Summary

__all__ = ["CollapseCurve", "ContextRecord", "InformationRecord", "PriorGapRecord", "SampleGapRecord"]


@dataclass(frozen=True)
class PriorGapRecord:
    """KL(q(z) ‖ p(z)) as an interval: how far the latents of the data are from what the prior draws.

    Parameters
    ----------
    low : Number
        At least so much, in nats: what another density of z, fitted to training draws, gains on draws of other
        examples; 0 where it gains nothing.
    high : Number, optional
        At most so much, in nats: the rate minus what z says about x; None where that cannot be told.
    density : str
        The fitted density, in words.
    n : int
        Examples that the low end was measured on.
    sentence : str
        In words, with the reason where there is no high end.
    """

    low: Number
    high: Number | None
    density: str
    n: int
    sentence: str


@dataclass(frozen=True)
class InformationRecord:
    """I(x; z) under q: what z says about which of n examples it came from.

    Parameters
    ----------
    value : Number
        In nats, of an estimate that includes the example's own component, and so cannot exceed log n.
    ceiling : float
        log n.
    n : int
        Examples among which z is told.
    """

    value: Number
    ceiling: float
    n: int

    @property
    def saturated(self) -> bool:
        """Whether the estimate is so near its ceiling that the ceiling is all it says."""
        return self.value.value > self.ceiling - math.log(2)


@dataclass(frozen=True)
class CollapseCurve:
    """The (ε, δ) curve: what share of the latent units is collapsed, whatever threshold one takes.

    A unit is (ε, δ)-collapsed where its KL is below ε for a share of at least 1 − δ of the examples.

    Parameters
    ----------
    epsilon : tuple of float
        Thresholds, in nats, the least first.
    share : tuple of float
        Of the units, for each of them.
    delta : float
        The share of examples for which a collapsed unit's KL may be greater.

    References
    ----------
    Lucas, Tucker, Grosse & Norouzi, "Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse" (2019).
    """

    epsilon: tuple[float, ...]
    share: tuple[float, ...]
    delta: float


@dataclass(frozen=True)
class SampleGapRecord:
    """How easily a classifier tells what is decoded from data: from draws of the prior, and from draws of q(z | x).

    Parameters
    ----------
    prior, posterior : Number
        Held-out log-odds, in nats: 0 where the classifier guesses, log 2 at most. Of z from p(z), and from q(z | x) of
        test examples.
    difference : Number
        The first minus the second: what z that the decoder has not seen costs.
    classifier : str
        Which one.
    n : int
        Held-out rows, data and decoded ones together.
    """

    prior: Number
    posterior: Number
    difference: Number
    classifier: str
    n: int


@dataclass(frozen=True)
class ContextRecord:
    """What stands beside the identity, and is never added to it; an item that cannot be had is None.

    Parameters
    ----------
    elbo, rate, distortion : Summary
        Of test examples, in nats.
    generalisation : Number, optional
        ELBO of training examples minus that of test examples, in nats, with as many draws of each.
    prior_gap : PriorGapRecord, optional
        KL(q(z) ‖ p(z)).
    information : InformationRecord, optional
        I(x; z).
    latents : LatentRecord, optional
        What each latent unit does.
    collapse : CollapseCurve, optional
        Share of collapsed units by threshold.
    samples : SampleGapRecord, optional
        Samples against data.
    """

    elbo: Summary
    rate: Summary
    distortion: Summary
    generalisation: Number | None = None
    prior_gap: PriorGapRecord | None = None
    information: InformationRecord | None = None
    latents: LatentRecord | None = None
    collapse: CollapseCurve | None = None
    samples: SampleGapRecord | None = None
