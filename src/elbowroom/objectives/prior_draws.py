"""Draws of a model's own prior, posterior and likelihood, from the noise of a training step."""

from torch import Generator, Tensor
from torch.distributions import Distribution

from elbowroom.distributions import draw, simulate
from elbowroom.numerics import Batch, CapabilityError, Given, Noise
from elbowroom.vae import VAE
from elbowroom.vae.simulation import where_known

__all__ = ["draw_from", "posterior_draws", "prior_draws", "prior_noise"]


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


def posterior_draws(vae: VAE, batch: Batch, noise: Noise) -> Given:
    """Draws of every block of q(z | x) without a pass through the decoder; what is known of a block stays so."""
    given, _ = vae.given(batch, noise)
    for name, q in vae.posterior.items():
        given[name] = draw(q(given), noise[name])[0]
        if name in batch.observed:
            given[name] = where_known(given[name], *batch.observed[name])
    return {name: given[name] for name in vae.posterior}
