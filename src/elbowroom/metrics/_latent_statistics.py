"""What a model trained on z would ask of it: scale, channels in use, width of q, distance from a normal."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.data import Dataset
from elbowroom.distributions import on_real_line
from elbowroom.numerics import (
    CapabilityError,
    InputError,
    Rows,
    derived_seed,
    in_parts,
    narrow_seed,
    own_modes,
    plain_arguments,
)
from elbowroom.numerics.text import with_error
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from ._latent_use import ACTIVE
from .score import Score, mean_score

__all__ = ["LatentStatistics", "latent_statistics"]

_VECTORS = 20_000
_NARROW = 0.1  # each number of z then tells x by log 10 = 2.3 nats or more
_SHOWN = 8
Vectors = NDArray[np.float64]


@dataclass(frozen=True)
class LatentStatistics:
    """What z is like, channel by channel, as a model that is trained on z meets it.

    z of shape [channels, height, width] has a channel for each of the first; z of shape [latents] one for each latent,
    at one position. Numbers of a channel are over all examples and positions.

    Parameters
    ----------
    event : tuple of int
        Shape of z.
    noise : float, optional
        Standard deviation of p(x | z), on the network's scale; None where it depends on z or the family has none.
    means, deviations : array
        Of the means of q, [channels].
    spread : array
        Root mean variance of q, [channels].
    kl : array, optional
        KL(q ‖ p) of a channel, summed over positions, mean over examples, [channels], nats; None without a closed form.
    in_use : array
        [channels], whether the variance over examples of q's mean, averaged over positions, is more than `ACTIVE`.
    scale_factor : float
        1 / the standard deviation of all of z, by which latent diffusion multiplies it.
    per_channel, across_channels, mixture : Score
        E_q(z)[log r(z) − log N(z; 0, I)], nats per held-out example, of an r fitted to draws of training examples: a
        normal for each channel, one normal over the channels of a position, a mixture of such. At least so far is the
        aggregate posterior q(z) from the normal that a diffusion model starts from.
    components : int
        Of the mixture.
    """

    event: tuple[int, ...]
    noise: float | None
    means: NDArray[np.float64]
    deviations: NDArray[np.float64]
    spread: NDArray[np.float64]
    kl: NDArray[np.float64] | None
    in_use: NDArray[np.bool_]
    scale_factor: float
    per_channel: Score
    across_channels: Score
    mixture: Score
    components: int

    @property
    def narrowness(self) -> NDArray[np.float64]:
        """Standard deviation of q over that of the aggregate posterior, [channels]: 1 where z says nothing of x."""
        both = np.hypot(self.deviations, self.spread)
        return np.divide(self.spread, both, out=np.ones_like(both), where=both > 0)

    @property
    def positions(self) -> int:
        """Numbers of z in a channel."""
        return math.prod(self.event[1:])

    @property
    def practically_deterministic(self) -> bool:
        """Whether q is narrower than a tenth of the aggregate posterior in every channel in use."""
        used = self.narrowness[self.in_use]
        return len(used) > 0 and bool((used < _NARROW).all())

    def __str__(self) -> str:
        noise = "no common noise scale" if self.noise is None else f"noise of standard deviation {self.noise:.2g}"
        narrow = float(np.median(self.narrowness))
        gains = (self.per_channel, self.across_channels, self.mixture)
        won = " · ".join(
            f"{with_error(one.value, one.se)} {what}"
            for one, what in zip(
                gains, ("per channel", "across channels", f"mixture of {self.components}"), strict=True
            )
        )
        return "\n".join(
            [
                f"z of shape {self.event}: {int(self.in_use.sum())} of {len(self.means)} channels in use, {noise}",
                f"means of q by channel {_listed(self.means)}; standard deviations {_listed(self.deviations)}",
                f"scale factor {self.scale_factor:.4g}; q is {narrow:.2g} as wide as q(z)"
                + (": the encoder is practically deterministic" if self.practically_deterministic else ""),
                f"held-out nats of q(z) over N(0, I): {won}",
            ]
        )


def _listed(values: NDArray[np.float64]) -> str:
    shown = ", ".join(f"{value:.3g}" for value in values[:_SHOWN])
    return shown + (", …" if len(values) > _SHOWN else "")


@own_modes
@plain_arguments
@torch.no_grad()
def latent_statistics(
    vae: VAE, data: Dataset, *, block: str = "z", most: int = 2_000, components: int = 10, seed: int = 0
) -> LatentStatistics:
    """What z is like for a model that is trained on it, such as a diffusion prior: scale, use, width.

    Parameters
    ----------
    vae : VAE
        The model; z of one block over real numbers.
    data : Dataset
        Densities r(z) are fitted to draws from q of training examples; everything reported is of test examples.
    block : str, default "z"
        Name of the latent block.
    most : int, default 2000
        Examples of each part that are read, 2 or more, drawn at random.
    components : int, default 10
        Of the mixture over the channels of a position.
    seed : int, default 0
        Keys the draws, by (seed, example), and starts the mixture.

    Returns
    -------
    LatentStatistics
        Printed in four lines.

    Raises
    ------
    InputError
        For a block that is not there, fewer than 2 examples, or fewer than 1 component.
    CapabilityError
        For a block that is not over real numbers.

    References
    ----------
    Rombach, Blattmann, Lorenz, Esser & Ommer, "High-resolution image synthesis with latent diffusion models" (2022), of
    the scale factor.

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> found = latent_statistics(vae, digits, components=2)
    >>> found.means.shape, found.practically_deterministic
    ((2,), False)
    """
    if block not in vae.posterior:
        raise InputError(f"There is no block {block!r}; the model has {', '.join(vae.posterior)}.")
    if components < 1 or min(most, len(data.train), len(data.test)) < 2:
        raise InputError(f"Statistics of z need 2 examples or more and 1 component; got {most}, {components}.")
    with evaluating(vae):
        fitted = _read(vae, data.train.some(most), block, seed)
        held = _read(vae, data.test.some(most), block, seed)
    z, mean, variance, kl = held
    over = (0, 2)
    per_channel, across, mixture = (
        _gain(density(fitted[0]), z) for density in (_normals, _joint(1, seed), _joint(components, seed))
    )
    return LatentStatistics(
        vae.posterior[block].event,
        _noise_of(vae),
        mean.mean(over),
        mean.std(over),
        np.sqrt(variance.mean(over)),
        None if kl is None else kl.sum(2).mean(0),
        mean.var(0, ddof=1).mean(1) > ACTIVE,
        float(1 / z.std()),
        per_channel,
        across,
        mixture,
        components,
    )


def _read(vae: VAE, rows: Rows, block: str, seed: int) -> tuple[Vectors, Vectors, Vectors, Vectors | None]:
    """Draws, means and variances of q, and its KL, [n, channels, positions] each."""
    found: list[list[Vectors]] = [[], [], [], []]
    for part in in_parts(rows):
        terms = vae(part, vae.keyed_noise(1, part.index, derived_seed(seed, 0x157)), lay_out=False)
        if not on_real_line(terms.q[block]):
            raise CapabilityError(
                f"Block {block!r} is not over real numbers, of which means and scales could be taken."
            )
        values = (terms.z[block], *vae.moments(block, terms.q[block], part.index), terms.elementwise_kl(block))
        for held, value in zip(found, values, strict=True):
            if value is not None:
                flat = value[0].double().cpu().numpy()
                held.append(flat.reshape(*flat.shape[:2], -1))
    z, mean, variance = (np.concatenate(one) for one in found[:3])
    return z, mean, variance, np.concatenate(found[3]) if found[3] else None


Density = Callable[[Vectors], Vectors]


def _normals(z: Vectors) -> Density:
    """log r of a normal for each channel, [n]."""
    mean, deviation = z.mean((0, 2))[None, :, None], z.std((0, 2))[None, :, None]
    return lambda one: (_unit((one - mean) / deviation) - np.log(deviation)).sum((1, 2))


def _joint(components: int, seed: int) -> Callable[[Vectors], Density]:
    """The same of a mixture of normals over the channels of a position."""

    def fit(z: Vectors) -> Density:
        from sklearn.mixture import GaussianMixture

        vectors = _vectors(z)
        chosen = np.random.default_rng(seed).permutation(len(vectors))[:_VECTORS]
        scale = vectors.std(0)  # so that what is added to covariances is small beside every channel
        several = min(components, len(chosen))
        mixture = GaussianMixture(several, reg_covar=1e-6, random_state=narrow_seed(seed)).fit(vectors[chosen] / scale)

        def log_density(one: Vectors) -> Vectors:
            found = mixture.score_samples(_vectors(one) / scale) - np.log(scale).sum()
            return found.reshape(len(one), -1).sum(1)

        return log_density

    return fit


def _vectors(z: Vectors) -> Vectors:
    """[n · positions, channels]."""
    return z.transpose(0, 2, 1).reshape(-1, z.shape[1])


def _unit(value: Vectors) -> Vectors:
    """log N(value; 0, 1)."""
    return -0.5 * (value**2 + math.log(2 * math.pi))


def _gain(density: Density, z: Vectors) -> Score:
    """E[log r(z) − log N(z; 0, I)] over held-out draws."""
    won = density(z) - _unit(z).sum((1, 2))
    return mean_score(won)


def _noise_of(vae: VAE) -> float | None:
    """The standard deviation of p(x | z), where it is one number."""
    likelihood: Any = vae.likelihood
    if not hasattr(likelihood, "common_scale") or likelihood.scale in ("predicted", "feature"):
        return None
    return float(likelihood.common_scale()) * float(likelihood.unit_deviation)
