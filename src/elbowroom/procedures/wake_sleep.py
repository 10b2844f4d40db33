"""Wake–sleep: the model learns from data, the posterior from the model's dreams."""

from collections.abc import Mapping

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution

from elbowroom.distributions import draw, simulate
from elbowroom.numerics import Batch, CapabilityError, Noise
from elbowroom.objectives import Loss, Objective
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .procedure import Phase, Procedure

__all__ = ["WakeSleep"]


@described("wake-sleep")
class WakeSleep(Procedure):
    """Wake: prior and likelihood by log p(x, z) at z ~ q(z | x). Sleep: q by log q(z | x) of (z, x) from the model.

    Wake raises the ELBO (q's entropy is fixed in it); sleep lowers KL(p(z | x) ‖ q(z | x)) over dreamed x, which is no
    bound on log p(x). So that all epochs have one measure, one is kept by rate + distortion, the negative ELBO.
    Dreams are drawn on the scale that likelihood and posterior see, at the batch's context. They come from the run's
    noise where the likelihood can be drawn from noise; where it cannot, models are trained one by one.

    Source: Hinton, Dayan, Frey, Neal, "The wake-sleep algorithm for unsupervised neural networks", 1995.

    >>> [phase.parts for _, phase in WakeSleep().items()]
    [('prior', 'likelihood'), ('posterior',)]
    """

    def __init__(self) -> None:
        super().__init__({"wake": Phase(_Wake(), ("prior", "likelihood")), "sleep": Phase(_Sleep(), ("posterior",))})


class _Wake(Objective):
    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        terms = vae(batch, noise)
        return Loss(-sum(terms.log_prior.values(), terms.log_likelihood).mean(), terms)

    def kept_by(self, means: Mapping[str, float]) -> float:
        return means["rate"] + means["distortion"]


class _Sleep(Objective):
    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        parts = {**vae.prior, "x": vae.likelihood}
        return {f"sleep.{name}": part.noise_shape for name, part in parts.items()}

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        with torch.no_grad():
            given, _ = vae.given(batch, noise)
            for name in vae.prior_order:
                given[name] = _dreamed(vae.prior[name](given), noise[f"sleep.{name}"])
            given["x"] = _dreamed(vae.likelihood(given), noise["sleep.x"])
        log_q = [block(given).log_prob(given[name]).mean() for name, block in vae.posterior.items()]
        return Loss(-sum(log_q))


def _dreamed(distribution: Distribution, noise: Tensor) -> Tensor:
    """A value of the distribution from noise, or, where noise cannot do it, from a generator that it seeds."""
    try:
        return draw(distribution, noise)[0]
    except CapabilityError:
        full = noise.shape[:2] == distribution.batch_shape
        seeded = Generator(noise.device).manual_seed(int(1e9 * noise.flatten()[0].abs()))
        return simulate(distribution if full else distribution.expand(noise.shape[:2]), seeded)
