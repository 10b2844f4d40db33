"""The evidence lower bound and its β-weighted form."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from elbowroom.numerics import Batch, InputError, Noise, one_of
from elbowroom.recipes import described
from elbowroom.vae import VAE
from elbowroom.vae.terms import KL

from .loss import Loss
from .objective import Objective
from .schedules import Schedule, share_of
from .scores import check_costs_apart, moved_by_score, others

__all__ = ["Elbo"]


@described("elbo")
class Elbo(Objective):
    """Distortion + β · rate: the negative evidence lower bound at β = 1.

    With another β it is no bound on log p(x). "beta", the weight used, is logged beside rate and distortion. Epochs are
    compared by the objective itself.

    Parameters
    ----------
    beta : float, default 1.0
        Weight β of the rate, 0 or more.
    schedule : Schedule, optional
        The share of β that is in force at a step, which ends at 1; without one β is fixed.
    kl : {"auto", "closed", "sampled", "sticking-the-landing"}, default "auto"
        How the rate is computed. "closed": in closed form. "sampled": log q − log p at the draws. "auto": in closed
        form where there is one, else sampled. "sticking-the-landing": sampled, with a gradient through z alone, which
        is less noisy where q is nearly p(z | x).
    gradient : {"plain", "score"}, default "plain"
        How q is moved. "plain": through its draws, and over classes by laying all of them out. "score": by ∇ log q of
        draws that are constants, each weighed by how much its cost is above the mean of the other draws. That needs no
        gradient through z, classes are drawn, and it is far noisier where both can be had.
    draws : int, default 1
        Draws of z per example and step. Scores of one draw have no others to be compared with, and most noise.

    Raises
    ------
    InputError
        For an argument outside its range.

    References
    ----------
    Kingma & Welling, "Auto-Encoding Variational Bayes" (2014).
    Higgins et al., "β-VAE: Learning basic visual concepts with a constrained variational framework" (2017).
    Bowman et al., "Generating sentences from a continuous space" (2016): a weight that rises.
    Roeder, Wu & Duvenaud, "Sticking the landing" (2017).
    Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning" (1992).
    Kool, van Hoof & Welling, "Buy 4 REINFORCE samples, get a baseline for free!" (2019).

    Examples
    --------
    >>> from elbowroom.objectives import LinearSchedule
    >>> Elbo(beta=4.0, schedule=LinearSchedule(10)).weight(torch.tensor(5.0))
    tensor(2.)
    """

    beta: Tensor

    def __init__(
        self,
        beta: float = 1.0,
        *,
        schedule: Schedule | None = None,
        kl: KL = "auto",
        gradient: Literal["plain", "score"] = "plain",
        draws: int = 1,
    ) -> None:
        super().__init__()
        one_of("gradient", gradient, ("plain", "score"))
        if not 0 <= beta < math.inf:
            raise InputError(f"beta weighs a divergence: it must be finite and cannot be negative; got {beta}.")
        if draws < 1:
            raise InputError(f"Elbo needs draws of 1 or more; got {draws}.")
        if kl not in get_args(KL):
            raise InputError(f"kl must be one of {', '.join(map(repr, get_args(KL)))}; got {kl!r}.")
        if (gradient, kl) == ("score", "sticking-the-landing"):
            raise InputError("Sticking the landing keeps the gradient through z, and scores have none: leave out kl.")
        self.register_buffer("beta", torch.tensor(float(beta)))
        self.kl, self.gradient, self.draws, self.schedule = kl, gradient, draws, schedule

    def weight(self, step: Tensor) -> Tensor:
        """The weight of the rate at a step."""
        return self.beta * share_of(self.schedule, step)

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch at one step (a float scalar)."""
        weight = self.weight(step)
        if self.gradient == "score":
            check_costs_apart(vae)
            terms = vae(batch, noise, lay_out=False, through=False)
            cost = weight * terms.rate(self.kl) - terms.log_likelihood
            return Loss(moved_by_score(cost, terms.score, cost - others(cost)), terms, {"beta": weight})
        terms = vae(batch, noise)
        total = weight * terms.rate(self.kl).mean() - terms.log_likelihood.mean()
        return Loss(total, terms, {"beta": weight})
