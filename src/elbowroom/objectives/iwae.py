"""The importance-weighted bound as an objective."""

import math

from torch import Tensor

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .objective import Loss, Objective

__all__ = ["Iwae"]


@described("iwae")
class Iwae(Objective):
    """−log (1/K) Σ_k p(x, z_k) / q(z_k | x), in nats: the negative of a lower bound on log p(x) that rises with K.

    Rate and distortion are logged as for every objective; the ELBO they make is looser than what is trained. An epoch
    is kept by the objective itself.

    Parameters
    ----------
    draws : int, default 5
        K, draws of z per example and step; with one draw it is `Elbo(kl="sampled")`.

    Raises
    ------
    InputError
        For draws below 1.

    Source: Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", 2016.

    >>> Iwae(draws=8).draws
    8
    """

    def __init__(self, *, draws: int = 5) -> None:
        super().__init__()
        if draws < 1:
            raise InputError(f"Iwae needs draws of 1 or more; got {draws}.")
        self.draws = draws

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch; the step does not matter."""
        terms = vae(batch, noise)
        log_weight = terms.log_weight
        return Loss(math.log(len(log_weight)) - log_weight.logsumexp(0).mean(), terms)
