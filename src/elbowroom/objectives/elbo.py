"""The evidence lower bound and its β-weighted form."""

import math

import torch
from torch import Tensor

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.runs import described
from elbowroom.vae import VAE
from elbowroom.vae.terms import KL

from .base import Loss, Objective

__all__ = ["Elbo"]


@described("elbo")
class Elbo(Objective):
    """Distortion + β · rate, the negative ELBO at β = 1.

    beta: weight of the rate; with β ≠ 1 the objective is no bound on log p(x). warmup: optimizer steps over which the
    weight rises linearly from 0 to β. kl: "closed", "sampled" (log q − log p of the draws) or "auto", closed where it
    can be. draws: per example and step.
    Source: Kingma & Welling, "Auto-Encoding Variational Bayes", 2014; Higgins et al., "β-VAE", 2017; Bowman et al.,
    "Generating sentences from a continuous space", 2016.

    >>> Elbo(beta=4.0, warmup=10).weight(torch.tensor(5.0))
    tensor(2.)
    """

    beta: Tensor

    def __init__(self, beta: float = 1.0, warmup: int = 0, kl: KL = "auto", draws: int = 1) -> None:
        super().__init__()
        if not 0 <= beta < math.inf:
            raise InputError(f"beta weighs a divergence: it must be finite and cannot be negative; got {beta}.")
        if draws < 1 or warmup < 0:
            raise InputError(f"Elbo needs draws of 1 or more and a warm-up of 0 or more; got {draws} and {warmup}.")
        if kl not in ("auto", "closed", "sampled"):
            raise InputError(f"kl must be 'auto', 'closed' or 'sampled'; got {kl!r}.")
        self.register_buffer("beta", torch.tensor(float(beta)))
        self.kl, self.draws, self.schedule_steps = kl, draws, warmup

    def weight(self, step: Tensor) -> Tensor:
        """The weight of the rate at a step."""
        if not self.schedule_steps:
            return self.beta
        return self.beta * (step / self.schedule_steps).clamp(max=1.0)

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """Record: objective, rate, distortion, beta (the weight used)."""
        terms = vae(batch, noise)
        rate = terms.rate(self.kl).mean()
        distortion = -terms.log_likelihood.mean()
        weight = self.weight(step)
        total = distortion + weight * rate
        record = {"objective": total, "rate": rate, "distortion": distortion, "beta": weight}
        return Loss(total, {name: value.detach() for name, value in record.items()})
