"""What the stage `measure` leaves: the chosen model on test, and where the variance of every model goes."""

import math
from dataclasses import dataclass

from elbowroom.numerics import Estimate
from elbowroom.numerics._most_of import most_of

from .cells import CellsRecord
from .values import EstimateField, Number

__all__ = ["EvidenceRecord", "InkRecord", "LatentRecord", "NeighbourRecord", "ReconstructionRecord", "VarianceRecord"]


@dataclass(frozen=True)
class NeighbourRecord:
    """How often k nearest neighbours among training examples tell the label of a test example.

    Parameters
    ----------
    z, x : float
        Share of test examples told rightly by neighbours in z, and by neighbours in x.
    k, n : int
        Neighbours that vote, and test examples.
    """

    z: float
    x: float
    k: int
    n: int


@dataclass(frozen=True)
class LatentRecord:
    """What each latent unit of the chosen model does on test.

    Parameters
    ----------
    kl : tuple of float, optional
        Mean KL from posterior to prior per unit, in nats; None where a block has no closed form.
    active : tuple of bool
        Whether the posterior mean of a unit varies by more than `threshold` over examples.
    threshold : float
        Variance above which a unit is active.
    n : int
        Test examples.
    axes : str
        What the two axes of the map of test examples are, in words.
    neighbours : NeighbourRecord, optional
        None where the data have no labels.
    size : float, optional
        Mean KL of a latent size factor, in nats, which is no unit here and a part of the rate; None: there is none.
    """

    kl: tuple[float, ...] | None
    active: tuple[bool, ...]
    threshold: float
    n: int
    axes: str
    neighbours: NeighbourRecord | None
    size: float | None = None

    @property
    def kl_decides(self) -> bool:
        """Whether the units whose KL is above the threshold are those that are active."""
        return self.kl is not None and self.active == tuple(kl > self.threshold for kl in self.kl)

    @property
    def carriers(self) -> int | None:
        """How many active units, the greatest KL first, it takes for 99 % of the rate.

        None where `kl` is, and where the active ones do not reach it: a KL that is the same for every x carries
        nothing.
        """
        return None if self.kl is None else most_of(self.kl, among=self.active)


@dataclass(frozen=True)
class ReconstructionRecord:
    """How near reconstructions of test examples come.

    Parameters
    ----------
    squared_error : float, optional
        Sum over elements, mean over examples, on the network's scale; None where it means nothing.
    psnr : float, optional
        In dB; None where the data have no fixed range.
    n : int
        Test examples.
    why_none : str, optional
        Why there is no squared error, in a sentence.
    """

    squared_error: float | None
    psnr: float | None
    n: int
    why_none: str | None = None


@dataclass(frozen=True)
class VarianceRecord:
    """The variance of x that a model has: Var x = Var E[x | z] + E Var[x | z], summed over dimensions.

    Parameters
    ----------
    name, kind : str
        Of the model, and "vae" or "classic".
    latent, noise : float
        Var E[x | z] and E Var[x | z], on the network's scale.
    latent_share : Number
        latent / (latent + noise); without an error where it is a closed form.
    data : float
        Variance of the validation examples on that scale.
    draws : int
        Of z and x; 0 for a closed form.
    """

    name: str
    kind: str
    latent: float
    noise: float
    latent_share: Number
    data: float
    draws: int

    @property
    def known(self) -> bool:
        """Whether it is made of finite numbers, and the data vary."""
        return all(map(math.isfinite, (self.latent, self.noise, self.latent_share.value, self.data))) and self.data > 0


@dataclass(frozen=True)
class InkRecord:
    """The variance of the sum of all elements of x, in which covariances show, of the chosen model.

    Parameters
    ----------
    data : Number
        Of the validation examples.
    latent, noise_diagonal, noise_covariance : Number
        What the latents, independent noise, and the covariance of the noise add to the model's.
    draws : int
        Of z and x.
    """

    data: Number
    latent: Number
    noise_diagonal: Number
    noise_covariance: Number
    draws: int

    @property
    def parts(self) -> tuple[Number, Number, Number]:
        """What the latents, independent noise and the covariance of the noise add."""
        return self.latent, self.noise_diagonal, self.noise_covariance

    @property
    def known(self) -> bool:
        """Whether it is made of finite numbers, and the data vary."""
        return all(math.isfinite(one.value) for one in (self.data, *self.parts)) and self.data.value > 0


@dataclass(frozen=True)
class EvidenceRecord:
    """What `measure` leaves: the chosen model on test. The pictures stand beside it, in pictures.safetensors.

    Parameters
    ----------
    bounds : dict of str to Estimate
        Lower bounds on log p(x) of the test examples: "ELBO" and "IWAE-1000", in nats.
    not_measured : tuple of str
        What could not be measured, in sentences.
    latents : LatentRecord
        What each latent unit does.
    reconstruction : ReconstructionRecord
        How near reconstructions come.
    leak : float, optional
        Share of the likelihood's mass outside the range of the data, where there is a range.
    variances : tuple of VarianceRecord
        Of every model of the sweep whose squares mean something, on validation.
    ink : InkRecord, optional
        Of the chosen model; None where squares mean nothing.
    seed : int
        Of all noise here, the pictures' included.
    pictured : int
        Held-out examples and samples among the pictures.
    cells : CellsRecord, optional
        Checks of counts of many columns; None for other data.
    model : str, default ""
        SHA-256 of the weights that all of this is of; "" where an older elbowroom did not keep it.
    """

    bounds: dict[str, EstimateField]
    not_measured: tuple[str, ...]
    latents: LatentRecord
    reconstruction: ReconstructionRecord
    leak: float | None
    variances: tuple[VarianceRecord, ...]
    ink: InkRecord | None
    seed: int
    pictured: int
    cells: CellsRecord | None = None
    model: str = ""

    @property
    def best(self) -> Estimate:
        """The highest of the bounds."""
        return max(self.bounds.values(), key=lambda bound: bound.mean)
