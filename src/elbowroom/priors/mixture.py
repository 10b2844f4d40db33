"""A learned mixture of Gaussians."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily
from torch.nn.functional import softplus

from elbowroom.components import Component
from elbowroom.distributions import TriangularNormal
from elbowroom.distributions.diagonal_mixture import DiagonalMixture
from elbowroom.numerics import Given, InputError, one_of
from elbowroom.recipes import described

__all__ = ["Mixture"]


@described("mixture-prior")
class Mixture(Component):
    """A learned mixture of Gaussians with learned weights, and diagonal covariances or any.

    Its KL from q has no closed form and is sampled. Draws of it carry no gradient.

    Parameters
    ----------
    event : int or sequence of int
        Shape of one draw; a number n stands for (n,).
    components : int, default 10
        Number of Gaussians. Their means start at draws of N(0, I), their standard deviations at 1.
    floor : float, default 0.01
        Least standard deviation of a component: of each latent, given those before it where the covariance is full.
        Without one, a component can shrink onto a single code.
    covariance : {"diagonal", "full"}, default "diagonal"
        Whether the latents of a component are independent. "full" is for one row of latents.

    Raises
    ------
    InputError
        For fewer than one component, a floor that is not positive, another word, or a full covariance over an event
        that is not one row.

    References
    ----------
    Dilokthanakul et al., "Deep unsupervised clustering with Gaussian mixture variational autoencoders" (2016).

    Examples
    --------
    >>> Mixture(2, components=3)({}).log_prob(torch.zeros(4, 5, 2)).shape
    torch.Size([4, 5])
    """

    def __init__(
        self,
        event: int | Sequence[int],
        *,
        components: int = 10,
        floor: float = 0.01,
        covariance: Literal["diagonal", "full"] = "diagonal",
    ) -> None:
        super().__init__(event)
        one_of("covariance", covariance, ("diagonal", "full"))
        if covariance == "full" and len(self.event) > 1:
            raise InputError(f"A full covariance is over one row of latent dimensions; got event {self.event}.")
        if components < 1 or not floor > 0:
            raise InputError(f"A mixture needs 1 component or more and a positive floor; got {components} and {floor}.")
        self.floor, self.covariance = floor, covariance
        self.means = nn.Parameter(torch.randn(1, 1, components, *self.event))
        self.raw = nn.Parameter(torch.full_like(self.means, math.log(math.expm1(1.0))))
        self.logits = nn.Parameter(torch.zeros(1, 1, components))
        if covariance == "full":
            self.below = nn.Parameter(torch.zeros(*self.raw.shape, *self.event))  # of which a triangle is read

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1, 1]."""
        scale = self.floor + softplus(self.raw)
        if self.covariance == "diagonal":
            return DiagonalMixture(self.logits, self.means, scale)
        each = TriangularNormal(self.means, self.below.tril(-1) + torch.diag_embed(scale), validate_args=False)
        return MixtureSameFamily(Categorical(logits=self.logits, validate_args=False), each, validate_args=False)

    @torch.no_grad()
    def begin_at(self, weights: Tensor, means: Tensor, roots: Tensor) -> None:
        """Take the numbers of a mixture that was fitted elsewhere.

        Parameters
        ----------
        weights : Tensor
            [components], positive.
        means : Tensor
            [components, *event].
        roots : Tensor
            Standard deviations [components, *event]; lower triangular roots [components, d, d] of full covariances.
            What lies below the floor is set to it.
        """
        full = self.covariance == "full"
        above = ((roots.diagonal(dim1=-2, dim2=-1) if full else roots) - self.floor).clamp_min(1e-6)
        self.logits.copy_(weights.log())
        self.means.copy_(means)
        self.raw.copy_(above + torch.log(-torch.expm1(-above)))  # the inverse of softplus
        if full:
            self.below.copy_(roots)
