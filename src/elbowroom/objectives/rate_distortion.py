"""The rate and a distortion of any kind."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from elbowroom.distributions.capabilities import require
from elbowroom.numerics import Batch, InputError, Noise, one_of
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .loss import Loss
from .objective import Objective
from .schedules import Schedule, share_of
from .similarity import dissimilarity

__all__ = ["RateDistortion"]

Distance = Callable[[Tensor, Tensor], Tensor]

_DISTANCES: dict[str, Distance] = {
    "squared": lambda x, decoded: (x - decoded).square().flatten(1).sum(-1),
    "absolute": lambda x, decoded: (x - decoded).abs().flatten(1).sum(-1),
    "ms-ssim": dissimilarity,
}
_OF_A_DENSITY = ("squared", "absolute")


@described("rate-distortion")
class RateDistortion(Objective):
    """Rate + λ · d(x, x̂), with a distance d of x from the decoded mean x̂: a rate–distortion autoencoder.

    With squares it has the gradients of the ELBO of a normal with a fixed scale, σ² = 1 / (2λ), and of a β-VAE of scale
    s with β = 1 / (2 s² λ), divided by β; with absolute values and a Laplace's mean those of a Laplace of scale 1 / λ.
    Any other distance stands for no density, so the total is no bound on log p(x), which the history says too.
    "distance" is logged.

    Parameters
    ----------
    distance : {"squared", "absolute", "ms-ssim"} or callable, default "squared"
        Squares or absolute values, summed over an example's cells; 1 − the multi-scale structural similarity of images
        of 11 × 11 pixels or more in [0, 1]; or d(x, x̂) of your own, from two batches [n, *event] to [n], such as a
        perceptual distance with your weights.
    weight : float, default 1.0
        λ, nats per unit of distance, above 0.
    schedule : Schedule, optional
        The share of the rate that counts at a step; without one all of it does.
    draws : int, default 1
        Draws of z per example and step.

    Raises
    ------
    InputError
        For an argument outside its range.

    Notes
    -----
    x and x̂ are on the scale that the network sees; missing cells are in neither. The likelihood serves for its mean
    alone: whatever else it has, as a scale, is not trained. Epochs are compared by the objective itself.

    References
    ----------
    Alemi et al., "Fixing a broken ELBO" (2018).
    Wang, Simoncelli & Bovik, "Multi-scale structural similarity for image quality assessment" (2003).

    Examples
    --------
    >>> RateDistortion(distance="absolute", weight=2.0).weight
    tensor(2.)
    """

    weight: Tensor

    def __init__(
        self,
        *,
        distance: str | Distance = "squared",
        weight: float = 1.0,
        schedule: Schedule | None = None,
        draws: int = 1,
    ) -> None:
        super().__init__()
        if isinstance(distance, str):
            one_of("distance", distance, _DISTANCES, otherwise="a function of x and the decoded mean")
        if not 0 < weight < math.inf or draws < 1:
            raise InputError(f"RateDistortion needs a weight above 0 and draws of 1 or more; got {weight} and {draws}.")
        self.distance: str | Distance = distance
        self.draws, self.schedule = draws, schedule
        self.register_buffer("weight", torch.tensor(float(weight)))

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch at one step (a float scalar)."""
        terms = vae(batch, noise)
        require(terms.p_x, "mean")
        decoded: Tensor = terms.p_x.mean
        distance = terms.averaged(self._distance(terms.y.expand_as(decoded), decoded, terms.seen)).mean()
        total = share_of(self.schedule, step) * terms.rate().mean() + self.weight * distance
        return Loss(total, terms, {"distance": distance})

    def _distance(self, x: Tensor, decoded: Tensor, seen: Tensor | None) -> Tensor:
        """Per draw and example, [draws, batch]."""
        if seen is not None:
            x, decoded = (torch.where(seen, value, 0.0) for value in (x, decoded))
        distance = _DISTANCES[self.distance] if isinstance(self.distance, str) else self.distance
        each = distance(x.flatten(0, 1), decoded.flatten(0, 1))
        if each.shape != x.flatten(0, 1).shape[:1]:
            raise InputError(
                f"A distance returns one number per example, [{len(x.flatten(0, 1))}]; this one returned "
                f"{tuple(each.shape)}."
            )
        return each.view(x.shape[:2])

    def remarks(self) -> list[str]:
        """That a distance of another kind than squares or absolute values stands for no density."""
        if self.distance in _OF_A_DENSITY:
            return []
        return [
            "Trained by a distance that stands for no density: the objective bounds no log p(x), and what evidence "
            "measures is the likelihood with a scale that was not trained."
        ]
