"""The discrepancy of the aggregate posterior from the prior."""

import math

import torch
from torch import Tensor

from elbowroom.numerics import Batch, CapabilityError, InputError, Noise
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .loss import Loss
from .objective import Objective
from .prior_draws import prior_draws, prior_noise

__all__ = ["Discrepancy"]

_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@described("discrepancy")
class Discrepancy(Objective):
    """Distortion + a · rate + λ · MMD²(q(z), p(z)): InfoVAE, and at a = 0 a Wasserstein autoencoder.

    MMD, the maximum mean discrepancy of the aggregate posterior from the prior, is 0 where the two are the same. With a
    rate weight of 1 or more and the MMD at its true value, −total is a lower bound on log p(x); below 1 it is none, and
    at 0 nothing of the objective is a density of x. "mmd" is logged.

    Parameters
    ----------
    weight : float, default 10.0
        λ, nats per unit of MMD², 0 or more.
    rate : float, default 0.0
        a, the weight of the rate, 0 or more: 1 − α of InfoVAE.
    draws : int, default 1
        Draws of z per example and step.

    Raises
    ------
    InputError
        For an argument outside its range.

    Notes
    -----
    MMD² is the unbiased estimate over the batch, and may be below 0. The kernel is the sum of inverse multiquadrics
    C / (C + |a − b|²) at C = 2 d s for d latent dimensions and s from 0.1 to 10.

    References
    ----------
    Zhao, Song & Ermon, "InfoVAE: Balancing learning and inference in variational autoencoders" (2019).
    Tolstikhin, Bousquet, Gelly & Schölkopf, "Wasserstein auto-encoders" (2018).

    Examples
    --------
    >>> Discrepancy(weight=100.0, rate=0.5).rate
    tensor(0.5000)
    """

    weight: Tensor
    rate: Tensor

    def __init__(self, *, weight: float = 10.0, rate: float = 0.0, draws: int = 1) -> None:
        super().__init__()
        if not (0 <= weight < math.inf and 0 <= rate < math.inf and draws >= 1):
            raise InputError(
                f"Discrepancy needs weights of 0 or more and draws of 1 or more; got {weight}, {rate} and {draws}."
            )
        self.draws = draws
        self.register_buffer("weight", torch.tensor(float(weight)))
        self.register_buffer("rate", torch.tensor(float(rate)))

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        """Of a draw of the prior beside every draw of q."""
        return prior_noise(vae, "discrepancy")

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch; the step does not matter."""
        if vae.over_classes:
            raise CapabilityError("Discrepancy compares draws of z, and classes are not drawn: use objectives.Elbo.")
        terms = vae(batch, noise)
        drawn = prior_draws(vae, vae.given(batch, noise)[0], noise, "discrepancy")
        ours, theirs = (
            torch.cat([z[name].flatten(2) for name in vae.posterior], -1).flatten(0, 1) for z in (terms.z, drawn)
        )
        mmd = squared_discrepancy(ours, theirs)
        total = self.rate * terms.rate().mean() + self.weight * mmd - terms.log_likelihood.mean()
        return Loss(total, terms, {"mmd": mmd})

    def remarks(self) -> list[str]:
        """That nothing but the distortion is left of a bound where the rate has no weight."""
        if self.rate > 0:
            return []
        return [
            "Trained without a rate, as a Wasserstein autoencoder: the objective bounds no log p(x), and q(z | x) may "
            "be far from the posterior, from which evidence starts."
        ]


def squared_discrepancy(ours: Tensor, theirs: Tensor) -> Tensor:
    """The unbiased estimate of MMD² of two samples [n, d] of equal size, by the sum of the kernels."""
    n = len(ours)
    within = sum((_kernel(a, a).sum() - n * len(_SCALES)) / (n * (n - 1)) for a in (ours, theirs))
    return within - 2 * _kernel(ours, theirs).mean()


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    squares = (a.unsqueeze(1) - b.unsqueeze(0)).square().sum(-1)
    sizes = [2 * a.shape[1] * scale for scale in _SCALES]
    return sum((c / (c + squares) for c in sizes), torch.zeros_like(squares))
