"""The target of samplers: log p(z) and log p(x | z) of flat z at fixed examples."""

import copy
import math
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import independent, real

from elbowroom.distributions import draw, simulate
from elbowroom.numerics import Batch, CapabilityError, Given, Noise

from .terms import PerDraw

if TYPE_CHECKING:
    from .model import VAE

__all__ = ["Target"]


class Target:
    """A frozen copy of a model in evaluation mode, at fixed examples.

    dim: number of latent dimensions. z is flat and unconstrained, [chains, batch, dim]. Blocks that are discrete,
    constrained, or known for some of the examples raise CapabilityError.
    """

    def __init__(self, vae: "VAE", batch: Batch, seed: int = 0) -> None:
        if batch.observed:
            raise CapabilityError(
                f"Block {next(iter(batch.observed))!r} is known for some of these examples, and a target's z is every "
                f"block of all of them; take evidence.iwae, which keeps what is known."
            )
        self.vae = copy.deepcopy(vae).eval().requires_grad_(False)
        self.index = batch.index
        with torch.no_grad():
            self._given, self.log_jacobian = self.vae.given(batch, self.vae.keyed_noise(0, batch.index, seed))
        self._fixed: dict[str, Distribution] = {}
        self._check_real()
        self._sizes = {name: math.prod(block.event) for name, block in self.vae.prior.items()}
        self.dim = sum(self._sizes.values())

    def log_prior(self, z: Float[Tensor, "chains batch dim"]) -> PerDraw:
        """log p(z), [chains, batch], nats."""
        given = self._with(z)
        return sum((block(given).log_prob(given[name]) for name, block in self.vae.prior.items()), torch.zeros(()))

    def log_likelihood(self, z: Float[Tensor, "chains batch dim"]) -> PerDraw:
        """log p(x | z) on the user's scale, [chains, batch], nats."""
        p_x, x = self.decoded(z)
        return p_x.log_prob(x) + self.log_jacobian

    def decoded(self, z: Float[Tensor, "chains batch dim"]) -> tuple[Distribution, Tensor]:
        """p(x | z), [chains, batch], and x as preprocessed, [1, batch, *event]."""
        return self.vae.likelihood(self._with(z)), self._given["x"]

    def log_start(self, z: Float[Tensor, "chains batch dim"]) -> PerDraw:
        """log q(z | x) of any z, [chains, batch], nats."""
        given = self._with(z)
        return sum((self._q(name, given).log_prob(given[name]) for name in self.vae.posterior), torch.zeros(()))

    def start(self, noise: Noise) -> tuple[Float[Tensor, "chains batch dim"], Float[Tensor, "chains batch"]]:
        """The encoder's draw z [chains, batch, dim] and its log q(z | x) [chains, batch]."""
        given, log_q = dict(self._given), torch.zeros(())
        for name in self.vae.posterior:
            given[name], log_density = draw(self._q(name, given), noise[name])
            log_q = log_q + log_density()
        return self._flat(given), log_q

    def start_noise(self, draws: int, seed: int) -> Noise:
        """Noise for `start`, keyed by (seed, example, draw): the draws that `evidence.iwae` takes."""
        return self.vae.keyed_noise(draws, self.index, seed)

    @torch.no_grad()
    def draw_prior(self, draws: int, seed: int) -> Float[Tensor, "chains batch dim"]:
        """z ~ p(z) [draws, batch, dim], keyed by (seed, example, draw)."""
        return self._flat(self.vae.keyed_prior(self._given, draws, self.index, seed))

    def rows(self, rows: slice) -> "Target":
        """The same frozen model at some of the examples."""
        other = self._at({name: value[:, rows] for name, value in self._given.items()})
        other.index, other.log_jacobian = self.index[rows], self.log_jacobian.expand(len(self.index))[rows]
        return other

    def simulate(self, generator: Generator) -> tuple["Target", Tensor]:
        """The same model at examples drawn from it, and the z [1, batch, dim] that they came from.

        They are drawn on the scale that the likelihood sees, and their densities are those there: no log-Jacobian.
        """
        n, seed = len(self.index), int(torch.randint(2**31, (), generator=generator))
        context = {name: value[0] for name, value in self._given.items() if name != "x"}
        given = self.vae.draw_prior(n, seed, context)
        y = simulate(self.vae.likelihood(given), generator)
        other = self._at({**self._given, "x": y})
        other.log_jacobian = torch.zeros_like(self.log_jacobian)
        return other, self._flat(given)

    @property
    def device(self) -> torch.device:
        """Where the model is, and where z is to be."""
        return self.vae.device

    @property
    def dtype(self) -> torch.dtype:
        """The floating type of z."""
        return self.vae.dtype

    @property
    def quantity(self) -> str:
        """What log p(x) is called: the model's estimand."""
        return self.vae.quantity

    def _at(self, given: Given) -> "Target":
        """The same frozen model at another x and context."""
        other = copy.copy(self)
        other._given, other._fixed = given, {}
        return other

    def _q(self, name: str, given: Given) -> Distribution:
        """A posterior block; computed once where it reads no latent."""
        block = self.vae.posterior[name]
        if set(block.given) & set(self._sizes):
            return block(given)
        if name not in self._fixed:
            with torch.no_grad():
                self._fixed[name] = block(given)
        return self._fixed[name]

    def _flat(self, given: Given) -> Tensor:
        return torch.cat([given[name].flatten(2) for name in self._sizes], -1)

    def _with(self, z: Tensor) -> Given:
        parts = zip(self._sizes, z.split(list(self._sizes.values()), -1), strict=True)
        shaped = {name: part.unflatten(-1, self.vae.prior[name].event) for name, part in parts}
        return {**self._given, **shaped}

    @torch.no_grad()
    def _check_real(self) -> None:
        given = {name: value[:, :1] for name, value in self._given.items()}
        for name, block in self.vae.posterior.items():
            q = block(given)
            support = q.support.base_constraint if isinstance(q.support, independent) else q.support
            if support is not real:
                raise CapabilityError(
                    f"Block {name!r} lives on {support}, not on the real line, where samplers work; "
                    f"evidence.iwae needs no such thing."
                )
            noise = torch.zeros(1, 1, *block.noise_shape, dtype=self.vae.dtype)
            given[name] = draw(q, noise.to(self.vae.device))[0]
