"""Draws of a model's own prior and likelihood, from the noise of a training step."""

from torch import Generator, Tensor
from torch.distributions import Distribution

from elbowroom.distributions import draw, simulate
from elbowroom.numerics import CapabilityError, Given, Noise
from elbowroom.vae import VAE

__all__ = ["draw_from", "prior_draws", "prior_noise"]


def draw_from(distribution: Distribution, noise: Tensor) -> Tensor:
    """A value drawn from noise or, where the family cannot be, simulated with a generator that the noise seeds."""
    try:
        return draw(distribution, noise)[0]
    except CapabilityError:
        full = noise.shape[:2] == distribution.batch_shape
        seeded = Generator(noise.device).manual_seed(int(1e9 * noise.flatten()[0].abs()))
        return simulate(distribution if full else distribution.expand(noise.shape[:2]), seeded)


def prior_noise(vae: VAE, name: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the noise of a draw of every block of the prior, by "name.block"."""
    return {f"{name}.{block}": part.noise_shape for block, part in vae.prior.items()}


def prior_draws(vae: VAE, given: Given, noise: Noise, name: str) -> Given:
    """The namespace with every block drawn from the prior, by the noise of `prior_noise`."""
    given = dict(given)
    for block in vae.prior_order:
        given[block] = draw_from(vae.prior[block](given), noise[f"{name}.{block}"])
    return given
