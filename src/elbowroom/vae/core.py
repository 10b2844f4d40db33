"""The three densities of a VAE, and the arithmetic between them."""

import copy
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Distribution

from elbowroom.components import Blocks, Component
from elbowroom.distributions._of_units import of_units
from elbowroom.likelihoods import Likelihood
from elbowroom.numerics import Batch, Given, InputError, Noise, as_tensor, keyed_normal, keyed_uniform
from elbowroom.preprocess import Identity, Preprocess

from .coarse import refuse_coarse
from .layout import Layout
from .simulation import drawn_from_prior, keyed_from_prior, where_known
from .terms import Terms

__all__ = ["LOG_BETA", "VAECore"]

LOG_BETA = "log_beta"
"""What networks read that are trained for many weights β of the rate: log β, a number per example."""


class VAECore(nn.Module):
    """The densities p(z), q(z | x), p(x | z) and the preprocessing of x; `VAE` adds what people ask of them.

    Parameters
    ----------
    prior : Component or mapping of str to Component
        As for `VAE`.
    posterior : Component or mapping of str to Component
        As for `VAE`.
    likelihood : Likelihood
        As for `VAE`.
    preprocess : Preprocess, optional
        As for `VAE`.
    """

    _place: Tensor  # empty; goes where the parameters go, and is found faster than they are

    assumed: tuple[str, ...] = ()
    """Of a model that was made elsewhere: what its adapter had to take as given, in sentences."""

    beta: float = 1.0
    """The weight of the rate that networks read where it is not drawn: `VAE.at_beta` sets it."""

    def __init__(
        self,
        prior: Component | Mapping[str, Component],
        posterior: Component | Mapping[str, Component],
        likelihood: Likelihood,
        preprocess: Preprocess | None = None,
    ) -> None:
        super().__init__()
        self.prior = Blocks(prior)
        self.posterior = Blocks(posterior)
        self.likelihood = likelihood
        # A copy, as that of a data set stays with the data when the model goes to another device.
        self.preprocess = Identity() if preprocess is None else copy.deepcopy(preprocess)
        self.register_buffer("_place", next(self.parameters(), torch.empty(0)).detach().new_empty(0), persistent=False)
        self._check_blocks()

    @property
    def latents(self) -> int:
        """Number of latent dimensions, over all blocks."""
        return sum(math.prod(block.event) for block in self.prior.values())

    @property
    def context_names(self) -> tuple[str, ...]:
        """Names that components read beside x, what the model serves itself, and latent blocks."""
        return tuple(name for name in self._read if name not in ("x", "seen", "index", LOG_BETA, *self.prior))

    @property
    def conditions(self) -> tuple[str, ...]:
        """Contexts that p(z) or p(x | z) reads: what the density of x is given."""
        read = dict.fromkeys(name for part in (*self.prior.values(), self.likelihood) for name in part.given)
        return tuple(name for name in read if name not in (LOG_BETA, *self.prior))

    @property
    def reads_beta(self) -> bool:
        """Whether networks read the weight of the rate that they are trained with (`objectives.MultiRate`)."""
        return LOG_BETA in self._read

    @property
    def _read(self) -> dict[str, None]:
        """All names that components read, in order."""
        parts = [*self.prior.values(), *self.posterior.values(), self.likelihood]
        return dict.fromkeys(name for part in parts for name in part.given)

    @property
    def over_classes(self) -> bool:
        """Whether a block of the posterior is over classes, or a mixture: a pass lays these out and sums over them."""
        return any(block.classes > 1 for block in self.posterior.values())

    @property
    def quantity(self) -> str:
        """What the model's bounds bound: log p(x); log p(x | label) where p reads a context."""
        if getattr(self.likelihood, "unnormalised", False):
            return "an unnormalised score of x"
        context = ", ".join(self.conditions)
        estimand = self.preprocess.estimand
        return f"{estimand.removesuffix(')')} | {context})" if context else estimand

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self._place.device

    @property
    def dtype(self) -> torch.dtype:
        """The floating type the model computes in."""
        return self._place.dtype

    def forward(
        self,
        batch: Batch,
        noise: Noise,
        lay_out: bool = True,
        posterior: Mapping[str, Component] | None = None,
        *,
        through: bool = True,
    ) -> Terms:
        """One pass: draw every block from `noise` [draws, batch, *noise_shape] and collect the terms.

        Blocks over classes are laid out, every class beside every draw, and the terms are sums over them: exact, and
        so are their gradients; so are the components of a mixture, each with a draw. lay_out=False draws one class, as
        the others are drawn; that carries no gradient. Another posterior of the same blocks may take the place of the
        model's own for this pass. through=False makes every draw a constant, and its log q too: what moves q is
        `Terms.score`.
        """
        blocks, batch = self.posterior if posterior is None else posterior, batch.to(self.device)
        given, log_jacobian = self.given(batch, noise)
        alike = lay_out and all(block.form == "classes" for block in blocks.values())
        counts = {name: block.classes if lay_out else 1 for name, block in blocks.items()}
        layout = Layout(counts, noise, alike, apart=_apart(blocks, counts))
        q: dict[str, Distribution] = {}
        log_q = {}
        for name, block in blocks.items():
            q[name] = of_units(block(given), block.units)
            with torch.set_grad_enabled(through and torch.is_grad_enabled()):
                given[name], log_q[name] = layout.value(name, q[name], noise[name])
            if not through:
                log_q[name] = _constant(log_q[name])
            log_weight = layout.log_weight(name, log_q[name])
            if name in batch.observed:
                value, mask = batch.observed[name]
                given[name] = where_known(given[name], value, mask)
                log_q[name] = _fill_masked(log_q[name], mask)
                log_weight = _fill_masked(log_weight, mask, -math.log(block.classes))
            layout.weigh(name, log_weight)
        p = {name: of_units(block(given), block.units) for name, block in self.prior.items()}
        units = {name: block.units for name, block in self.prior.items() if block.units is not None}
        closed = self._closed_blocks - set(batch.observed)
        seen, unknown = self.mask_of(batch)
        p_x = self.likelihood(given)
        masks = {name: mask for name, (_, mask) in batch.observed.items() if name in q}
        return Terms(
            given, q, p, p_x, log_jacobian, log_q, closed, layout, masks=masks, seen=seen, unknown=unknown, units=units
        )

    def given(self, batch: Batch, noise: Noise) -> tuple[Given, Tensor]:
        """The namespace before any latent is drawn ("x" preprocessed, and the context), and log |dy/dx| [batch].

        A missing cell is 0 in preprocessed x, whatever fills it in the batch; "seen" says which are not missing, and
        "index" is the place of each example in its data set, for a posterior that has numbers of its own for each.
        """
        batch, dtype = batch.to(self.device), self.dtype
        seen = () if batch.seen is None else (batch.seen,)
        y, log_jacobian = self.preprocess(batch.x, noise.get("x"), *seen)
        if seen:
            y = torch.where(*seen, y, 0.0)
        context = {
            name: (value.to(dtype) if value.is_floating_point() else value).unsqueeze(0)
            for name, value in batch.context.items()
        }
        if any("seen" in block.given for block in self.posterior.values()):
            context["seen"] = (seen[0].to(dtype) if seen else torch.ones_like(y, dtype=dtype)).unsqueeze(0)
        if any("index" in block.given for block in self.posterior.values()):
            context["index"] = batch.index.to(self.device).unsqueeze(0)
        return self._with_beta({"x": y.to(dtype).unsqueeze(0), **context}, len(y)), log_jacobian.to(dtype)

    def _with_beta(self, given: Given, batch: int) -> Given:
        """The namespace with log β, where networks read it and nobody has drawn it."""
        if LOG_BETA in given or not self.reads_beta:
            return given
        return {**given, LOG_BETA: self._place.new_full((1, batch, 1), math.log(self.beta))}

    def mask_of(self, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
        """Which cells are seen [batch, *event], and of which examples nothing is known [batch]; None if complete.

        Of an example without a seen cell something is known where one of its blocks is observed.
        """
        batch = batch.to(self.device)
        if batch.seen is None:
            return None, None
        known = batch.seen.flatten(1).any(1)
        for _, mask in batch.observed.values():
            known = known | mask
        return batch.seen, ~known

    def draw_noise(self, draws: int, batch: int, generator: Generator) -> Noise:
        """Fresh noise for a training step, from one generator."""
        device, dtype = generator.device, self.dtype
        noise = {
            name: torch.randn(draws, batch, *block.noise_shape, generator=generator, device=device, dtype=dtype)
            for name, block in self.posterior.items()
        }
        if self.preprocess.noise_shape is not None:
            shape = (batch, *self.preprocess.noise_shape)
            noise["x"] = torch.rand(shape, generator=generator, device=device, dtype=dtype)
        return noise

    def keyed_noise(self, draws: int, index: Tensor, seed: int, first_draw: int = 0) -> Noise:
        """Noise that depends only on (seed, example, draw), whatever the batching; on the model's device.

        No draws at all still give the noise of the preprocessing step.
        """
        noise = {
            name: keyed_normal(block.noise_shape, draws, index, seed, first_draw=first_draw, stream=own).to(self._place)
            for own, (name, block) in enumerate(self.posterior.items())
        }
        if self.preprocess.noise_shape is not None:
            noise["x"] = keyed_uniform(self.preprocess.noise_shape, index, seed).to(self.device, self.dtype)
        return noise

    def keyed_prior(
        self,
        given: Given,
        draws: int,
        index: Tensor,
        seed: int,
        first_draw: int = 0,
        stream: int = 0,
        observed: Mapping[str, tuple[Tensor, Tensor]] | None = None,
    ) -> Given:
        """The namespace with every latent block drawn from p(z), by (seed, example, draw) alone.

        Parameters
        ----------
        given : dict of Tensor
            What the priors may read, [1, batch, ...].
        draws : int
            Per example.
        index : Tensor
            [batch] int64, the place of each example in the data set.
        seed : int
            Keys the noise.
        first_draw : int, default 0
            Number of the first draw.
        stream : int, default 0
            Another stream is independent of this one.
        observed : mapping, optional
            Block → (value, mask): what is known keeps its value.

        Returns
        -------
        dict of Tensor
            Name → [draws, batch, *event].
        """
        return keyed_from_prior(
            self.prior, self.prior_order, given, draws, index, seed, first_draw, stream, observed or {}, self._place
        )

    def draw_prior(self, n: int, seed: int, context: Given) -> Given:
        """The namespace with every latent block drawn from the prior, [1, n, *event]; context: name -> [n, ...]."""
        refuse_coarse(self)
        for name in self.context_names:
            if name not in context:
                raise InputError(
                    f"The model reads the context {name!r}: give its values, context={{{name!r}: [n, …]}}, as "
                    f"data.given makes them of words."
                )
        generator = Generator(self.device).manual_seed(seed)
        given = self._with_beta({name: self._context(name, value, n) for name, value in context.items()}, n)
        return drawn_from_prior(self.prior, self.prior_order, given, n, generator, self._place)

    def contexts_of_x(self, context: Given, n: int) -> Given:
        """Contexts that p(x | z) reads, name → [1, n or 1, ...]; InputError for one that it does not read."""
        read = [name for name in self.likelihood.given if name in self.context_names]
        for name in context:
            if name not in read:
                raise InputError(
                    f"p(x | z) does not read {name!r}, so that x of the same z stays what it is; it reads: "
                    f"{', '.join(read) or 'no context'}."
                )
        return {name: self._context(name, value, n) for name, value in context.items()}

    def _context(self, name: str, value: Any, n: int) -> Tensor:
        """One context, [1, n, ...], where the model is and in its floating type."""
        tensor = as_tensor(value, f"values of the context {name!r}").to(self.device)
        if not tensor.dim() or len(tensor) not in (1, n):
            raise InputError(f"The context {name!r} needs a row for each of {n:,} draws; got {tuple(tensor.shape)}.")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise InputError(f"The context {name!r} holds NaN or infinite values: give finite numbers.")
        return (tensor.to(self.dtype) if tensor.is_floating_point() else tensor).unsqueeze(0)

    @cached_property
    def prior_order(self) -> tuple[str, ...]:
        """Names of the latent blocks, each after those that its prior reads; InputError where they read in a ring."""
        order: list[str] = []
        while waiting := [name for name in self.prior if name not in order]:
            free = [name for name in waiting if not set(self.prior[name].given) & set(waiting)]
            if not free:
                raise InputError(
                    f"The priors of {', '.join(waiting)} read themselves or one another in a ring: break it."
                )
            order += free
        return tuple(order)

    @cached_property
    def _closed_blocks(self) -> frozenset[str]:
        order = list(self.posterior)
        later = {name: set(order[position:]) for position, name in enumerate(order)}
        return frozenset(name for name, block in self.prior.items() if not set(block.given) & later[name])

    def _check_blocks(self) -> None:
        if set(self.prior) != set(self.posterior):
            raise InputError(
                f"Prior and posterior name different blocks: {', '.join(self.prior)} and {', '.join(self.posterior)}."
            )
        _ = self.prior_order  # refuses a ring
        if "x" in self.prior:
            raise InputError("A latent block cannot be called 'x': that is the observation.")
        for name, block in self.prior.items():
            if block.event != self.posterior[name].event:
                raise InputError(
                    f"Block {name!r}: the prior has event {block.event}, the posterior {self.posterior[name].event}."
                )
            over = {block.over, self.posterior[name].over}
            if len(over) > 1 and over != {"real numbers", "classes"}:
                raise InputError(
                    f"Block {name!r}: the prior is over {block.over} and the posterior over "
                    f"{self.posterior[name].over}, so that nothing bounds log p(x): take two that are over the same."
                )
        for name, part in [*self.prior.items(), ("x", self.likelihood)]:
            if "x" in part.given:
                raise InputError(
                    f"Only q(z | x) may read x, and p({name}) names 'x' in given: a density that has seen its own x is "
                    f"no density of it; what it may know of x goes in as a context, by a name of its own."
                )
            if "seen" in part.given:
                raise InputError(
                    f"p({name}) names 'seen' in given, which says which cells of x are missing: only q(z | x) reads "
                    f"it, and every p(x | z) leaves missing cells out by itself."
                )
            if "index" in part.given:
                raise InputError(
                    f"p({name}) names 'index' in given, the place of x in its data set: a density that knows it knows "
                    f"which x it is of, so only q(z | x) may read it."
                )
        seen = {"x", "seen", "index", LOG_BETA, *self.context_names}
        for name, block in self.posterior.items():
            if not set(block.given) <= seen:
                unseen = ", ".join(sorted(set(block.given) - seen))
                raise InputError(f"The posterior of {name!r} reads {unseen}, which is drawn after it; reorder.")
            seen.add(name)
        if getattr(self.likelihood, "scale", None) == "optimal" and any(b.classes > 1 for b in self.posterior.values()):
            raise InputError(
                "scale='optimal' is the mean squared error over equally weighted draws, and classes weigh by q: use "
                "scale='shared' with a posterior over classes."
            )


def _apart(blocks: Blocks | Mapping[str, Component], classes: Mapping[str, int]) -> list[str]:
    """Blocks that are drawn and read no block that is laid out, nor one that does."""
    laid_out = {name for name in blocks if classes[name] > 1}
    for name, block in blocks.items():
        if laid_out & set(block.given):
            laid_out.add(name)
    return [name for name in blocks if name not in laid_out]


def _constant(log_density: Callable[[], Tensor]) -> Callable[[], Tensor]:
    return lambda: log_density().detach()


def _fill_masked(log_density: Callable[[], Tensor], mask: Tensor, value: float = 0.0) -> Callable[[], Tensor]:
    return lambda: log_density().masked_fill(mask, value)
