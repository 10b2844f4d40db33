"""The target of samplers: log p(z) and log p(x | z) of flat z at fixed examples."""

import copy
import math
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.distributions.constraints import independent, real

from elbowroom.distributions import draw, simulate
from elbowroom.numerics import Batch, CapabilityError, Given, Noise

from .terms import PerDraw

if TYPE_CHECKING:
    from .model import VAE

__all__ = ["Target"]


class Target:
    """A frozen copy of a model in evaluation mode, at fixed examples.

    dim: number of latent dimensions. z is flat and unconstrained, [chains, batch, dim]. Blocks that are discrete
    or constrained raise CapabilityError.
    """

    def __init__(self, vae: "VAE", batch: Batch, seed: int = 0) -> None:
        self.vae = copy.deepcopy(vae).eval().requires_grad_(False)
        self.batch = batch
        self.index, self.seed = batch.index, seed
        with torch.no_grad():
            self._given, self.log_jacobian = self.vae.given(batch, self.vae.keyed_noise(0, batch.index, seed))
            self._check_real()
        self._sizes = {name: math.prod(block.event) for name, block in self.vae.prior.items()}
        self.dim = sum(self._sizes.values())

    def log_prior(self, z: Float[Tensor, "chains batch dim"]) -> PerDraw:
        """log p(z), [chains, batch], nats."""
        given = self._with(z)
        return sum((block(given).log_prob(given[name]) for name, block in self.vae.prior.items()), torch.zeros(()))

    def log_likelihood(self, z: Float[Tensor, "chains batch dim"]) -> PerDraw:
        """log p(x | z) on the user's scale, [chains, batch], nats."""
        return self.vae.likelihood(self._with(z)).log_prob(self._given["x"]) + self.log_jacobian

    def start(self, noise: Noise) -> tuple[Float[Tensor, "chains batch dim"], Float[Tensor, "chains batch"]]:
        """The encoder's draw z [chains, batch, dim] and its log q(z | x) [chains, batch]."""
        terms = self.vae(self.batch, {**noise, **self._preprocess_noise()})
        z = torch.cat([terms.z[name].flatten(2) for name in self._sizes], -1)
        return z, sum(terms.log_posterior.values(), torch.zeros(()))

    def simulate(self, generator: Generator) -> tuple["Target", Tensor]:
        """The same model at examples drawn from it, and the z [1, batch, dim] that they came from."""
        n, seed = len(self.batch), int(torch.randint(2**31, (), generator=generator))
        context = {name: value[0] for name, value in self._given.items() if name != "x"}
        given = self.vae.draw_prior(n, seed, context)
        y = simulate(self.vae.likelihood(given), generator)
        other = copy.copy(self)
        other._given = {**self._given, "x": y}
        other.log_jacobian = self.log_jacobian
        return other, torch.cat([given[name].flatten(2) for name in self._sizes], -1)

    def _with(self, z: Tensor) -> Given:
        parts = zip(self._sizes, z.split(list(self._sizes.values()), -1), strict=True)
        shaped = {name: part.unflatten(-1, self.vae.prior[name].event) for name, part in parts}
        return {**self._given, **shaped}

    def _preprocess_noise(self) -> Noise:
        noise = self.vae.keyed_noise(0, self.index, self.seed)
        return {"x": noise["x"]} if "x" in noise else {}

    def _check_real(self) -> None:
        given = dict(self._given)
        for name, block in self.vae.posterior.items():
            q = block(given)
            support = q.support.base_constraint if isinstance(q.support, independent) else q.support
            if support is not real:
                raise CapabilityError(
                    f"Block {name!r} lives on {support}, not on the real line, where samplers work; "
                    f"evidence.iwae needs no such thing."
                )
            noise = torch.zeros(1, len(self.batch), *block.noise_shape, dtype=self.vae.dtype)
            given[name] = draw(q, noise.to(self.vae.device))[0]
