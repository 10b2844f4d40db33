"""The evidence lower bound and its β-weighted form."""

import math
from typing import get_args

import torch
from torch import Tensor

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.recipes import described
from elbowroom.vae import VAE
from elbowroom.vae.terms import KL

from .objective import Loss, Objective

__all__ = ["Elbo"]


@described("elbo")
class Elbo(Objective):
    """Distortion + β · rate, the negative ELBO at β = 1; with another β it is no bound on log p(x).

    Logged beside rate and distortion: "beta", the weight used. An epoch is kept by the objective itself.

    Parameters
    ----------
    beta : float, default 1
        Weight of the rate.
    warmup : int, default 0
        Optimizer steps over which the weight rises linearly from 0 to β.
    kl : {"auto", "closed", "sampled", "sticking-the-landing"}, default "auto"
        The rate in closed form, by log q − log p of the draws, closed where it can be; or the draws with a gradient
        through z alone, which is less noisy where q is nearly p(z | x).
    draws : int, default 1
        Draws of z per example and step.

    Raises
    ------
    InputError
        For a number that none of these can be.

    Source: Kingma & Welling, "Auto-Encoding Variational Bayes", 2014; Higgins et al., "β-VAE", 2017; Bowman et al.,
    "Generating sentences from a continuous space", 2016.

    >>> Elbo(beta=4.0, warmup=10).weight(torch.tensor(5.0))
    tensor(2.)
    """

    beta: Tensor

    def __init__(self, beta: float = 1.0, *, warmup: int = 0, kl: KL = "auto", draws: int = 1) -> None:
        super().__init__()
        if not 0 <= beta < math.inf:
            raise InputError(f"beta weighs a divergence: it must be finite and cannot be negative; got {beta}.")
        if draws < 1 or warmup < 0:
            raise InputError(f"Elbo needs draws of 1 or more and a warm-up of 0 or more; got {draws} and {warmup}.")
        if kl not in get_args(KL):
            raise InputError(f"kl must be one of {', '.join(map(repr, get_args(KL)))}; got {kl!r}.")
        self.register_buffer("beta", torch.tensor(float(beta)))
        self.kl, self.draws, self.schedule_steps = kl, draws, warmup

    def weight(self, step: Tensor) -> Tensor:
        """The weight of the rate at a step."""
        if not self.schedule_steps:
            return self.beta
        return self.beta * (step / self.schedule_steps).clamp(max=1.0)

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch at one step (a float scalar)."""
        terms, weight = vae(batch, noise), self.weight(step)
        total = weight * terms.rate(self.kl).mean() - terms.log_likelihood.mean()
        return Loss(total, terms, {"beta": weight})
