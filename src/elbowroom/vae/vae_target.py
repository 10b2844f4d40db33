"""The target of samplers: log p(z) and log p(x | z) of flat z at fixed examples."""

import copy
import math
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.distributions import Distribution

from elbowroom.distributions import draw, on_real_line, simulate
from elbowroom.numerics import Batch, CapabilityError, Given, Rows, plain_arguments
from elbowroom.preprocess import Identity

from .core import VAECore
from .terms import PerDraw, log_likelihood

__all__ = ["VAETarget", "of_seen_cells"]

LaidOut = tuple[Given, Tensor, Tensor | None, Tensor | None]


def of_seen_cells(quantity: str) -> str:
    """What log p(x) is called where cells are missing.

    Examples
    --------
    >>> of_seen_cells("log p(x | label)")
    'log p(x_seen | label)'
    """
    return quantity.replace("x)", "x_seen)", 1).replace("x |", "x_seen |", 1)


@plain_arguments
class VAETarget:
    """A frozen copy of a model at fixed examples: log p(z) and log p(x | z) of any z, for samplers.

    z is flat and unconstrained, [draws, batch, dim]: every latent block, in the prior's order. Examples are read when
    they are needed. Made by `VAE.target`.

    Parameters
    ----------
    vae : VAE
        The model, which is copied.
    examples : Rows
        The examples.
    seed : int, default 0
        Keys the noise of the preprocessing, by example.

    Raises
    ------
    CapabilityError
        For blocks that are discrete, constrained, or known for some of the examples.
    """

    def __init__(self, vae: VAECore, examples: Rows, *, seed: int = 0) -> None:
        self.vae = copy.deepcopy(vae).eval().requires_grad_(False)
        self.index, self.seed, self.data = examples.index, seed, getattr(examples, "data", None)
        self._examples: Rows | None = examples
        self._fixed: dict[str, Distribution] = {}
        self._simulated = False
        self._sizes = {name: math.prod(block.event) for name, block in self.vae.prior.items()}
        self.dim = sum(self._sizes.values())
        self._check(examples.rows(slice(0, 1)))

    def log_prior(self, z: Float[Tensor, "draws batch dim"]) -> PerDraw:
        """log p(z), [draws, batch], nats."""
        given = self._with(z)
        return sum((block(given).log_prob(given[name]) for name, block in self.vae.prior.items()), torch.zeros(()))

    def log_likelihood(self, z: Float[Tensor, "draws batch dim"]) -> PerDraw:
        """log p(x | z) on the user's scale, [draws, batch], nats."""
        p_x, x = self.decoded(z)
        found: PerDraw = log_likelihood(p_x, x, self.seen) + self._laid_out[1]
        return found.expand(z.shape[:2])  # one number for all draws, where p reads no z

    def decoded(self, z: Float[Tensor, "draws batch dim"]) -> tuple[Distribution, Tensor]:
        """p(x | z), [draws, batch], and x as preprocessed, [1, batch, *event]."""
        return self.vae.likelihood(self._with(z)), self._given["x"]

    def log_posterior(self, z: Float[Tensor, "draws batch dim"]) -> PerDraw:
        """log q(z | x) of any z, [draws, batch], nats."""
        given = self._with(z)
        log_q = sum((self._q(name, given).log_prob(given[name]) for name in self.vae.posterior), torch.zeros(()))
        return log_q if self.unknown is None else torch.where(self.unknown, self.log_prior(z), log_q)

    @torch.no_grad()
    def draw_posterior(
        self, draws: int, seed: int, first_draw: int = 0
    ) -> tuple[Float[Tensor, "draws batch dim"], PerDraw]:
        """Draw z from q(z | x), keyed by (seed, example, draw).

        Parameters
        ----------
        draws : int
            Per example.
        seed : int
            Keys the noise.
        first_draw : int, default 0
            Number of the first draw.

        Returns
        -------
        z : Tensor
            [draws, batch, dim].
        log_q : Tensor
            log q(z | x) of them, [draws, batch], nats.
        """
        noise = self.vae.keyed_noise(draws, self.index, seed, first_draw)
        given, log_q = dict(self._given), torch.zeros(())
        for name in self.vae.posterior:
            given[name], log_density = draw(self._q(name, given), noise[name])
            log_q = log_q + log_density()
        z = self._flat(given)
        if self.unknown is None or not bool(self.unknown.any()):
            return z, log_q
        z = torch.where(self.unknown.unsqueeze(-1), self.draw_prior(draws, seed, first_draw), z)
        return z, torch.where(self.unknown, self.log_prior(z), log_q)

    @torch.no_grad()
    def draw_prior(self, draws: int, seed: int, first_draw: int = 0) -> Float[Tensor, "draws batch dim"]:
        """Draw z from p(z), keyed by (seed, example, draw).

        Parameters
        ----------
        draws : int
            Per example.
        seed : int
            Keys the noise.
        first_draw : int, default 0
            Number of the first draw.

        Returns
        -------
        Tensor
            [draws, batch, dim].
        """
        return self._flat(self.vae.keyed_prior(self._given, draws, self.index, seed, first_draw))

    def pick(self, places: Tensor) -> "VAETarget":
        """The same frozen model at the examples of these places, [m]."""
        return self.rows(places)

    def rows(self, rows: slice | Tensor) -> "VAETarget":
        """The same frozen model at some of the examples; no others are read."""
        if self._examples is not None:
            return self._at(self.index[rows], examples=self._examples.rows(rows))
        given, log_jacobian, *masks = self._laid_out
        given = {name: value[:, rows] for name, value in given.items()}
        seen, unknown = (None if mask is None else mask[rows] for mask in masks)
        return self._at(self.index[rows], laid_out=(given, log_jacobian[rows], seen, unknown))

    @torch.no_grad()
    def simulate(self, generator: Generator) -> tuple["VAETarget", Float[Tensor, "1 batch dim"]]:
        """The same model at as many examples drawn from it, and the z [1, batch, dim] that they came from.

        They are drawn on the scale that the likelihood sees, and their densities are those there: no log-Jacobian.
        """
        n, seed = len(self.index), int(torch.randint(2**31, (), generator=generator, device=generator.device))
        context = {name: value[0] for name, value in self._given.items() if name != "x"}
        given = self.vae.draw_prior(n, seed, context)
        y = simulate(self.vae.likelihood(given), generator).to(self.vae.dtype)  # classes come as whole numbers
        if self.seen is not None:
            y = torch.where(self.seen, y, 0.0)
        laid_out = {**self._given, "x": y}, self._laid_out[1].new_zeros(n), self.seen, self.unknown
        drawn = self._at(self.index, laid_out=laid_out)
        drawn._simulated = True
        return drawn, self._flat(given)

    @property
    def quantity(self) -> str:
        """What log p(x) is called: the model's estimand, and its scale where that is not the data's."""
        scaled = self._simulated and not isinstance(self.vae.preprocess, Identity)
        quantity = of_seen_cells(self.vae.quantity) if self._gaps else self.vae.quantity
        return f"{quantity} on the network's scale" if scaled else quantity

    @property
    def seen(self) -> Tensor | None:
        """[batch, *event] bool, False where a cell of x is missing; None if none is."""
        return self._laid_out[2]

    @property
    def unknown(self) -> Tensor | None:
        """[batch] bool, True where no cell is seen, so that q(z | x_seen) is p(z); None if no cell is missing."""
        return self._laid_out[3]

    @cached_property
    @torch.no_grad()
    def _laid_out(self) -> LaidOut:
        """The namespace without latents, log |dy/dx| [batch], and which cells are seen, of all examples."""
        assert self._examples is not None
        batch = self._examples.rows(slice(None))
        given, log_jacobian = self.vae.given(batch, self.vae.keyed_noise(0, self.index, self.seed))
        return given, log_jacobian.expand(len(self.index)), *self.vae.mask_of(batch)

    @property
    def _given(self) -> Given:
        return self._laid_out[0]

    def _at(self, index: Tensor, examples: Rows | None = None, laid_out: LaidOut | None = None) -> "VAETarget":
        """The same frozen model at other examples, or at what was laid out of them."""
        other = copy.copy(self)
        other.index, other._examples, other._fixed = index, examples, {}
        other.__dict__.pop("_laid_out", None)
        if laid_out is not None:
            other._laid_out = laid_out
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
    def _check(self, first: Batch) -> None:
        """Refuse blocks that samplers cannot move in, by the first example."""
        self._gaps = first.seen is not None
        if first.observed:
            raise CapabilityError(
                f"Block {next(iter(first.observed))!r} is known for some of these examples, and a target's z is every "
                f"block of all of them; take evidence.iwae, which keeps what is known."
            )
        given, _ = self.vae.given(first, self.vae.keyed_noise(0, first.index, self.seed))
        for name, block in self.vae.posterior.items():
            q = block(given)
            if not on_real_line(q):
                raise CapabilityError(
                    f"Block {name!r} lives on {q.support}, not on the real line, where samplers work: "
                    f"evidence.elbo and evidence.iwae need no such thing."
                )
            noise = torch.zeros(1, 1, *block.noise_shape, dtype=self.vae.dtype)
            given[name] = draw(q, noise.to(self.vae.device))[0]
