"""A penalty on the covariance of the aggregate posterior."""

import math
from typing import Literal

import torch
from torch import Tensor

from elbowroom.distributions.capabilities import require
from elbowroom.numerics import Batch, CapabilityError, InputError, Noise, one_of
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .loss import Loss
from .objective import Objective

__all__ = ["Dip"]


@described("dip")
class Dip(Objective):
    """The negative ELBO plus a penalty that draws the covariance of codes to the identity (DIP-VAE).

    The penalty is 0 or more, so −total is a lower bound on the mean log p(x), looser than the ELBO. "penalty" is
    logged.

    Parameters
    ----------
    off_diagonal : float, default 10.0
        Weight of the squared covariances, 0 or more.
    diagonal : float, default 10.0
        Weight of the squared differences of the variances from 1, 0 or more.
    of : {"means", "draws"}, default "means"
        Whose covariance: that of the posterior means (DIP-VAE-I), or of q(z), which has the posterior variances beside
        (DIP-VAE-II).
    draws : int, default 1
        Draws of z per example and step.

    Raises
    ------
    InputError
        For an argument outside its range.

    References
    ----------
    Kumar, Sattigeri & Balakrishnan, "Variational inference of disentangled latent concepts from unlabeled observations"
    (2018).

    Examples
    --------
    >>> Dip(of="draws").of
    'draws'
    """

    off_diagonal: Tensor
    diagonal: Tensor

    def __init__(
        self,
        *,
        off_diagonal: float = 10.0,
        diagonal: float = 10.0,
        of: Literal["means", "draws"] = "means",
        draws: int = 1,
    ) -> None:
        super().__init__()
        one_of("of", of, ("means", "draws"))
        if not (0 <= off_diagonal < math.inf and 0 <= diagonal < math.inf and draws >= 1):
            raise InputError(
                f"Dip needs weights of 0 or more and draws of 1 or more; got {off_diagonal}, {diagonal} and {draws}."
            )
        self.of, self.draws = of, draws
        self.register_buffer("off_diagonal", torch.tensor(float(off_diagonal)))
        self.register_buffer("diagonal", torch.tensor(float(diagonal)))

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch; the step does not matter."""
        if vae.over_classes:
            raise CapabilityError(
                "Classes have no covariance that could be drawn to the identity: use objectives.Elbo."
            )
        terms = vae(batch, noise)
        for q in terms.q.values():
            require(q, "mean")
            require(q, "variance")
        means = torch.cat([q.mean.flatten(2) for q in terms.q.values()], -1).flatten(0, 1)
        away = means - means.mean(0)
        covariance = away.T @ away / len(means)
        if self.of == "draws":
            covariance = (
                covariance + torch.cat([q.variance.flatten(2) for q in terms.q.values()], -1).mean((0, 1)).diag()
            )
        diagonal = covariance.diagonal()
        across = covariance.square().sum() - diagonal.square().sum()
        penalty = self.off_diagonal * across + self.diagonal * (diagonal - 1).square().sum()
        return Loss(terms.rate().mean() - terms.log_likelihood.mean() + penalty, terms, {"penalty": penalty})
