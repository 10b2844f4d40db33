"""Wake–sleep: the model learns from data, the posterior from draws of the model."""

from collections.abc import Mapping

import torch
from torch import Tensor

from elbowroom.numerics import Batch, Noise
from elbowroom.objectives import Loss, Objective
from elbowroom.objectives.prior_draws import draw_from, prior_draws, prior_noise
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .phase import Phase
from .procedure import Procedure

__all__ = ["Sleep", "WakeSleep"]


@described("wake-sleep")
class WakeSleep(Procedure):
    """Wake–sleep: the model learns from data (wake), the posterior from the model's own draws (sleep).

    Wake trains prior and likelihood by log p(x, z) at z ~ q(z | x), which raises the ELBO. Sleep trains q by
    log q(z | x) at pairs (z, x) drawn from the model, which lowers KL(p(z | x) ‖ q(z | x)) and is no bound on log p(x).
    Epochs are compared by rate + distortion, the negative ELBO.

    Notes
    -----
    The model's draws are on the scale that likelihood and posterior see, at the batch's context. They come from the
    run's noise where the likelihood can be drawn from noise; where it cannot, several models are trained one by one.

    References
    ----------
    Hinton, Dayan, Frey & Neal, "The 'wake-sleep' algorithm for unsupervised neural networks" (1995).

    Examples
    --------
    >>> [phase.parts for _, phase in WakeSleep().items()]
    [('prior', 'likelihood'), ('posterior',)]
    """

    def __init__(self) -> None:
        super().__init__(
            {"wake": Phase(_Wake(), parts=("prior", "likelihood")), "sleep": Phase(Sleep(), parts=("posterior",))}
        )


class _Wake(Objective):
    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        terms = vae(batch, noise)
        return Loss(-sum(terms.log_prior.values(), terms.log_likelihood).mean(), terms)

    def kept_by(self, means: Mapping[str, float]) -> float:
        return means["rate"] + means["distortion"]


class Sleep(Objective):
    """−log q(z | x) at pairs that the model itself draws."""

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        """Of the draws of prior and likelihood."""
        return prior_noise(vae, "sleep") | {"sleep.x": vae.likelihood.noise_shape}

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on as many pairs as there are examples; their contexts alone are read."""
        with torch.no_grad():
            given = prior_draws(vae, vae.given(batch, noise)[0], noise, "sleep")
            given["x"] = draw_from(vae.likelihood(given), noise["sleep.x"])
        log_q = [block(given).log_prob(given[name]).mean() for name, block in vae.posterior.items()]
        return Loss(-sum(log_q))
