"""What stands beside the identity of an audit, and is never added to it."""

import base64
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import places, rounded

from .evidence import LatentRecord
from .values import Number, Summary

__all__ = [
    "ChangesRecord",
    "CollapseCurve",
    "ContextRecord",
    "InformationRecord",
    "PicturesRecord",
    "PriorGapRecord",
    "SampleGapRecord",
    "UnitChangeRecord",
]


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

    @property
    def crossed(self) -> bool:
        """Whether the low end lies above the high one, as errors of the two may have it where the gap is small."""
        return self.high is not None and self.low.value > self.high.value

    @property
    def ends(self) -> tuple[str, str | None]:
        """The lesser end and the greater in digits that keep their order; None for a high end that is not known."""
        if self.high is None:
            return rounded(self.low.value, places(self.low.se)), None
        ordered = sorted((self.low, self.high), key=lambda end: end.value)
        digits = [places(end.se) for end in ordered]
        if round(ordered[0].value, digits[0]) > round(ordered[1].value, digits[1]):
            digits = [max(digits)] * 2
        least, most = (rounded(end.value, own) for end, own in zip(ordered, digits, strict=True))
        return least, most


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
    by_moments : bool, default False
        Whether the KL of a unit is that of a normal with the mean and variance of its q, as where q is a flow or a
        mixture, or its units depend on one another: no density of these moments is nearer to a normal prior, so that
        at most this share is collapsed.

    References
    ----------
    Lucas, Tucker, Grosse & Norouzi, "Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse" (2019).
    """

    epsilon: tuple[float, ...]
    share: tuple[float, ...]
    delta: float
    by_moments: bool = False


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
class UnitChangeRecord:
    """What one latent unit changes in the mean of p(x | z), moved from a deviation below its place to one above.

    Parameters
    ----------
    unit : int
        Its place among all units, from 0.
    spread : float
        The standard deviation of its draws over examples.
    kl : float, optional
        Its mean KL in nats; None where it has no closed form.
    size : float
        Root mean square of the change over examples and columns, each in standard deviations of its column, as
        preprocessed.
    columns : tuple of str
        Those that change most; of data without names their places, from 1.
    changes : tuple of float
        Of each of these the mean change, in its standard deviations.
    """

    unit: int
    spread: float
    kl: float | None
    size: float
    columns: tuple[str, ...]
    changes: tuple[float, ...]


@dataclass(frozen=True)
class PicturesRecord:
    """One example, decoded with each of some units moved by several steps.

    Parameters
    ----------
    shape : tuple of int
        (units, steps, H, W) or (units, steps, C, H, W).
    steps : tuple of float
        From the example's own place, in standard deviations of the unit.
    low, high : float
        Values that are black and white.
    pixels : str
        Base64 of a byte for each pixel in the order of `shape`, 0 for `low` and 255 for `high`.
    """

    shape: tuple[int, ...]
    steps: tuple[float, ...]
    low: float
    high: float
    pixels: str

    @property
    def values(self) -> NDArray[np.uint8]:
        """The pictures as an array of bytes, of that shape.

        >>> PicturesRecord((1, 2, 1, 2), (-1.0, 1.0), 0.0, 1.0, "AAH+/w==").values.tolist()
        [[[[0, 1]], [[254, 255]]]]
        """
        return np.frombuffer(base64.b64decode(self.pixels), np.uint8).reshape(self.shape)


@dataclass(frozen=True)
class ChangesRecord:
    """What latent units change in x, those that carry most first.

    Parameters
    ----------
    units : tuple of UnitChangeRecord
        At most six.
    n : int
        Examples whose z was moved.
    pictures : PicturesRecord, optional
        Of images that are not too large.
    """

    units: tuple[UnitChangeRecord, ...]
    n: int
    pictures: PicturesRecord | None = None


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
    changes : ChangesRecord, optional
        What latent units change in x.
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
    changes: ChangesRecord | None = None
