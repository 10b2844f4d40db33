"""The naive Monte-Carlo estimate of log p(x) as an objective."""

import math

import torch
from torch import Tensor

from elbowroom.numerics import Batch, CapabilityError, InputError, Noise
from elbowroom.recipes import described
from elbowroom.vae import VAE
from elbowroom.vae.terms import log_likelihood

from .loss import Loss
from .objective import Objective
from .prior_draws import prior_draws, prior_noise

__all__ = ["PriorSampling"]


@described("prior-sampling")
class PriorSampling(Objective):
    """The negative naive estimate of the evidence, −log (1/K) Σ_k p(x | z_k) with z_k drawn from the prior, in nats.

    The mean of p(x | z) over the prior is p(x); its logarithm is on average too low, so −total is a lower bound on
    log p(x), which rises with K. Until K is about exp(KL(p(z | x) ‖ p(z))), few draws or one decide it, and the bound
    is far below. Epochs are compared by the objective itself.

    Parameters
    ----------
    draws : int, default 100
        K, the draws of the prior per example and step.

    Raises
    ------
    InputError
        For fewer than 1 draw.

    Notes
    -----
    Draws are constants; a prior that is learnt learns by log p(z_k) of weighted draws, as by importance sampling from
    itself. No part of the bound is q(z | x): it is trained beside, as in `ReweightedWakeSleep`, by K draws of its own
    and their weights, which adds nothing to the total. Rate and distortion are those of q.

    References
    ----------
    Kingma & Welling, "Auto-encoding variational Bayes" (2014), which it stands beside.
    Bornschein & Bengio, "Reweighted wake-sleep" (2015): the weights by which q is trained.

    Examples
    --------
    >>> PriorSampling(draws=1_000).draws
    1000
    """

    def __init__(self, *, draws: int = 100) -> None:
        super().__init__()
        if draws < 1:
            raise InputError(f"PriorSampling needs draws of 1 or more; got {draws}.")
        self.draws = draws

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        """Of the draws of the prior."""
        return prior_noise(vae, "prior-sampling")

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch; the step does not matter."""
        _check(vae, batch)
        before, log_jacobian = vae.given(batch, noise)
        with torch.no_grad():
            given = prior_draws(vae, before, noise, "prior-sampling")
        seen, _ = vae.mask_of(batch)
        log_prior = sum((p(given).log_prob(given[name]) for name, p in vae.prior.items()), torch.zeros(()))
        log_x = log_likelihood(vae.likelihood(given), given["x"], seen) + log_jacobian
        log_weight = log_x + (log_prior - log_prior.detach())
        with torch.no_grad():
            terms = vae(batch, noise, lay_out=False)
            weights = terms.log_weight.softmax(0)
        given = before | terms.z
        log_q = sum((q(given).log_prob(given[name]) for name, q in vae.posterior.items()), torch.zeros(()))
        fitted = (weights * (log_q - log_q.detach())).sum(0)
        return Loss(-(log_weight.logsumexp(0) - math.log(self.draws) + fitted).mean(), terms)


def _check(vae: VAE, batch: Batch) -> None:
    if batch.observed:
        raise InputError(
            f"PriorSampling draws every block from the prior, and {', '.join(batch.observed)} is known for some "
            "examples: take objectives.Elbo or objectives.Iwae."
        )
    if getattr(vae.likelihood, "scale", None) == "optimal":
        raise CapabilityError(
            "scale='optimal' is the mean squared error over equally weighted draws, and draws of the prior weigh "
            "unequally: take scale='shared'."
        )
