"""The importance-weighted bound as an objective."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from elbowroom.numerics import Batch, CapabilityError, InputError, Noise, one_of
from elbowroom.recipes import described
from elbowroom.vae import VAE
from elbowroom.vae.terms import Terms

from .loss import Loss
from .objective import Objective
from .scores import check_costs_apart, check_vimco, vimco

__all__ = ["Iwae"]

Gradient = Literal["plain", "doubly-reparameterised", "vimco"]


@described("iwae")
class Iwae(Objective):
    """The negative importance-weighted bound, −log (1/K) Σ_k p(x, z_k) / q(z_k | x), in nats.

    Its negative is a lower bound on log p(x) that rises with K. Rate and distortion are logged as for every objective;
    the ELBO that they add up to is looser than the bound that is trained. Epochs are compared by the objective itself.

    Parameters
    ----------
    draws : int, default 5
        Draws of z per example and step; with one draw it is `Elbo(kl="sampled")`.
    groups : int, default 1
        In how many groups of K = draws / groups the draws are dealt; the mean of the groups' bounds is trained
        ("MIWAE"). It is the bound for K draws, with less noise in the encoder's gradient.
    elbo : float, default 0.0
        Share of the ELBO in the total, in [0, 1]: elbo · ELBO + (1 − elbo) · IWAE ("CIWAE"), a lower bound too.
    gradient : {"plain", "doubly-reparameterised", "vimco"}, default "plain"
        How the encoder is moved. "plain": by the bound's own gradient, whose signal falls against its noise as K grows.
        "doubly-reparameterised": by an unbiased estimate of the same without the score of q, whose signal does not.
        "vimco": by the scores ∇ log q of draws that are constants, each weighed by how much the bound is above what it
        is with that draw replaced by the mean of the others; needs no gradient through z, and classes are drawn.

    Raises
    ------
    InputError
        For an argument outside its range.

    Notes
    -----
    There is no gradient "sticking-the-landing" here: dropping the score of q is unbiased for the ELBO and biased for
    K > 1. A doubly reparameterised gradient needs blocks that are drawn with a gradient and do not read one another.

    References
    ----------
    Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders" (2016).
    Rainforth et al., "Tighter variational bounds are not necessarily better" (2018): MIWAE and CIWAE.
    Tucker, Lawson, Gu & Maddison, "Doubly reparameterized gradient estimators for Monte Carlo objectives" (2019).
    Mnih & Rezende, "Variational inference for Monte Carlo objectives" (2016): VIMCO.

    Examples
    --------
    >>> Iwae(draws=64, groups=8).draws
    64
    """

    elbo: Tensor

    def __init__(
        self,
        *,
        draws: int = 5,
        groups: int = 1,
        elbo: float = 0.0,
        gradient: Gradient = "plain",
    ) -> None:
        super().__init__()
        if draws < 1 or groups < 1 or draws % groups:
            raise InputError(
                f"Iwae needs draws of 1 or more that can be dealt in equal groups; got {draws} draws, {groups} groups."
            )
        if not 0 <= elbo <= 1:
            raise InputError(f"elbo is a share of the total, in [0, 1]; got {elbo}.")
        if gradient == "sticking-the-landing":
            raise InputError(
                "Sticking the landing is biased for an importance-weighted bound: take "
                "gradient='doubly-reparameterised', which is not."
            )
        one_of("gradient", gradient, get_args(Gradient))
        if gradient == "vimco":
            check_vimco(draws, groups)
        self.draws, self.groups, self.gradient = draws, groups, gradient
        self.register_buffer("elbo", torch.tensor(float(elbo)))

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch; the step does not matter."""
        if self.gradient == "vimco":
            check_costs_apart(vae)
            terms = vae(batch, noise, lay_out=False, through=False)
            return Loss(vimco(terms, self.groups, self.elbo), terms)
        terms = vae(batch, noise)
        twice = self.gradient == "doubly-reparameterised"
        if twice:
            _check_drawn(vae)
        log_weight = terms.path_log_weight if twice else terms.log_weight
        each = log_weight.unflatten(0, (self.groups, -1))
        bounds = each.logsumexp(1) - math.log(each.shape[1])
        if twice:
            self._scale_gradients(terms, each)
        total = -(self.elbo * log_weight.mean() + (1 - self.elbo) * bounds.mean())
        return Loss(total, terms)

    def _scale_gradients(self, terms: Terms, each: Tensor) -> None:
        """Scale what reaches z: to the weights squared for the bound, where its own gradient has them once."""
        weight = each.detach().softmax(1).flatten(0, 1)
        share, size = self.elbo, weight.new_tensor(float(each.shape[1]))
        reaching = share / size + (1 - share) * weight
        factor = (share / size + (1 - share) * weight.square()) / reaching.clamp(min=torch.finfo(weight.dtype).tiny)
        for z in terms.z.values():
            if z.requires_grad:
                z.register_hook(lambda g: g * factor.view(*factor.shape, *[1] * (g.dim() - 2)))


def _check_drawn(vae: VAE) -> None:
    names = set(vae.posterior)
    for name, block in vae.posterior.items():
        if block.classes > 1:
            raise CapabilityError(
                f"Block {name!r} is over classes, whose draws carry no gradient: take gradient='plain'."
            )
        if names & set(block.given):
            raise CapabilityError(
                f"Block {name!r} of the posterior reads another block, for which a doubly reparameterised gradient "
                "would be biased: take gradient='plain'."
            )
