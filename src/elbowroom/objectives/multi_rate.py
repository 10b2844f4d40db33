"""The β-weighted bound at a weight drawn anew for every example, for networks that read it."""

import dataclasses
import math

import torch
from torch import Tensor

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.recipes import described
from elbowroom.vae import VAE
from elbowroom.vae.core import LOG_BETA

from .loss import Loss
from .objective import Objective

__all__ = ["MultiRate"]

_NOISE = "multi-rate.log_beta"


@described("multi-rate")
class MultiRate(Objective):
    """Distortion + β · rate with a β for each example and step, which q(z | x) and p(x | z) read: all β in one model.

    log β is uniform between `lowest` and `highest`, and the networks read it as the context "log_beta". The model is
    read at one β by `vae.at_beta(β)`, and at β = 1 as it stands: whatever the β, that is a VAE like any other, whose
    ELBO bounds its log p(x), while the total of training is no bound. In words, objective="multi-rate" lets the
    networks of a recipe read it; by hand, "log_beta" is named in `given` of the posterior and of the likelihood, as a
    number more.

    Parameters
    ----------
    lowest : float, default 0.1
        The least β, above 0 and at most 1.
    highest : float, default 10.0
        The greatest β, 1 or more.
    draws : int, default 1
        Draws of z per example and step.

    Raises
    ------
    InputError
        For an argument outside its range; in training, for a model whose networks do not read "log_beta".

    Notes
    -----
    A scale of the noise that is learned is one for all β, unless the network predicts it. Rate, distortion and ELBO in
    the history are those at β = 1, which costs another pass; epochs are compared by the objective itself. A grid of
    trainings has a network for each β, so one network as small as each of theirs may stay behind: give it more width,
    or more epochs.

    References
    ----------
    Bae et al., "Multi-rate VAE: Train once, get the full rate-distortion curve" (2023).
    Dosovitskiy & Djolonga, "You only train once: Loss-conditional training of deep networks" (2020).

    Examples
    --------
    >>> import elbowroom as er
    >>> words = {"objective": {"kind": "multi-rate", "lowest": 0.01}, "latents": 2, "widths": [8]}
    >>> vae = er.models.build(words, er.load_data("digits"))
    >>> vae.posterior["z"].given, vae.likelihood.given, vae.at_beta(0.5).beta
    (('x', 'log_beta'), ('z', 'log_beta'), 0.5)
    """

    contexts = (LOG_BETA,)
    lowest: Tensor
    highest: Tensor

    def __init__(self, *, lowest: float = 0.1, highest: float = 10.0, draws: int = 1) -> None:
        super().__init__()
        if not 0 < lowest <= 1 <= highest < math.inf or lowest == highest or draws < 1:
            raise InputError(
                f"MultiRate needs 0 < lowest ≤ 1 ≤ highest, not both 1, as the model itself is the one at β = 1, and "
                f"draws of 1 or more; got {lowest}, {highest} and {draws}."
            )
        self.register_buffer("lowest", torch.tensor(float(lowest)))
        self.register_buffer("highest", torch.tensor(float(highest)))
        self.draws = draws

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        """A normal per example, whose probability says where between the two ends log β is."""
        return {_NOISE: (1,)}

    def log_beta(self, noise: Tensor) -> Tensor:
        """log β of each example, from standard normals of the same shape.

        Examples
        --------
        >>> MultiRate().log_beta(torch.tensor([-30.0, 0.0, 30.0])).exp()
        tensor([ 0.1000,  1.0000, 10.0000])
        """
        low, high = self.lowest.log(), self.highest.log()
        return low + (high - low) * torch.special.ndtr(noise)

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch; every draw of an example has its β."""
        if not vae.reads_beta:
            raise InputError(
                "MultiRate trains networks that read the weight of the rate, and those of this model do not: name "
                "'log_beta' in given of its posterior and its likelihood, or build it with objective='multi-rate'."
            )
        log_beta = self.log_beta(noise[_NOISE][0])
        terms = vae(dataclasses.replace(batch, context={**batch.context, LOG_BETA: log_beta}), noise)
        cost = log_beta.exp().squeeze(-1) * terms.rate() - terms.log_likelihood
        return Loss(cost.mean())  # what is logged is the rate and the distortion of the model as it stands, at β = 1
