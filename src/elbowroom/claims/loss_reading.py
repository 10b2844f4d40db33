"""What a loss stands for, in numbers and in a few lines."""

import math
from dataclasses import dataclass

__all__ = ["LossReading"]


@dataclass(frozen=True)
class LossReading:
    """What a loss function stands for, from `read_loss`; printed, a few lines.

    Parameters
    ----------
    family : str
        "Gaussian", "Laplace", "Bernoulli", "continuous Bernoulli", "Poisson", "location" (a density of x − recon of
        another shape), "correlated Gaussian" (of a quadratic form of x − recon that mixes elements), "no density" or
        "unknown" (also of a norm of x − recon that mixes elements, whose normaliser is not known).
    weight : float or None
        w: what the KL weighs beside the reconstruction's term of one element (a square, an absolute difference, a
        cross-entropy). None where one of the two is not there or not known.
    beta : float or None
        The weight of the KL in nats of the density: w of a cross-entropy; of squares w / 2, as at σ = 1; of a quadratic
        form what the KL weighs beside it as it is written; or what the loss says where it has its constants.
    sigma : float or None
        The scale at which the loss is a bound (β = 1): σ = √(w / 2) of a Gaussian, the scale w of a Laplace, the
        standard deviation of another density of the difference, that of an element of a correlated Gaussian, were the
        others known; or what the loss says where it has its constants.
    missing : float or None
        What must be added to the loss, in nats per example, to make it −ELBO at that scale: D/2 · log(2πσ²) of squares.
        None where it is not known, as of a quadratic form of more than 64 elements.
    event : tuple of int
        Shape of one x at which it was read.
    latents : tuple of int
        Shape of one z at which it was read.
    reductions : dict of str to str
        "batch", "elements", "latents" → "sum" or "mean" (or "?" where another size cannot be tried).
    spread : str
        What the encoder's second output is taken for: "log-variance", "log-std", "variance", "std", …; "" if unknown.
    says : str
        The sentence of the density.
    faults : tuple of str
        A sentence each, with the way out.
    remarks : tuple of str
        What is worth knowing and no fault.

    Examples
    --------
    >>> from elbowroom.claims import read_loss
    >>> reading = read_loss(lambda recon, x, mu, logvar: ((recon - x) ** 2).sum())
    >>> reading.weight, len(reading.faults)
    (0.0, 1)
    """

    family: str
    weight: float | None
    beta: float | None
    sigma: float | None
    missing: float | None
    event: tuple[int, ...]
    latents: tuple[int, ...]
    reductions: dict[str, str]
    spread: str
    says: str
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def elements(self) -> int:
        """D, the numbers of one x."""
        return math.prod(self.event)

    @property
    def bound(self) -> bool:
        """Whether the loss is, but for constants and a factor, no less than −ELBO of a density at the scale it says."""
        return not self.faults and (self.sigma is not None or (self.beta or 0.0) > 1 - 1e-6)

    @property
    def sigma_or_beta(self) -> float | None:
        """The number that fixes the density."""
        return self.beta if self.sigma is None else self.sigma

    def __str__(self) -> str:
        lines = [self.says, *self.remarks, *(f"Fault: {one}" for one in self.faults)]
        return "\n".join(lines)
