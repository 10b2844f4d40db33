"""The VAE: prior, posterior, likelihood, and the arithmetic between them."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn
from torch.distributions import Distribution

from elbowroom.components import Blocks, Component
from elbowroom.distributions import capabilities, draw, require, simulate
from elbowroom.likelihoods import Likelihood
from elbowroom.numerics import (
    Batch,
    Given,
    InputError,
    Noise,
    Rows,
    as_rows,
    derived_seed,
    keyed_normal,
    keyed_uniform,
)
from elbowroom.preprocess import Identity, Preprocess

from ._describe import describe
from .layout import Layout
from .simulation import drawn_from_prior, keyed_from_prior, where_known
from .terms import Terms
from .vae_target import VAETarget

__all__ = ["VAE", "evaluating"]

Mode = Literal["ancestral", "mean", "offset"]

_SAMPLED, _AVERAGED = 0x5A, 0x3EA  # what is drawn with a seed of its own
_MEAN_DRAWS, _AT_ONCE = 256, 16


class VAE(nn.Module):
    """A variational autoencoder: p(z), q(z | x), p(x | z), and how x is preprocessed.

    prior, posterior: a component (the block "z"), or a dictionary of blocks; posterior blocks are drawn in the
    dictionary's order, each seeing those before it. Raises InputError where blocks and names do not fit together.
    Source: Kingma & Welling, "Auto-Encoding Variational Bayes", 2014.

    >>> from elbowroom import likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(2), posteriors.DiagonalNormal(nn.Linear(3, 4), 2),
    ...           likelihoods.Normal(nn.Linear(2, 3), 3))
    >>> vae.sample(5).shape
    torch.Size([5, 3])
    """

    _place: Tensor  # empty; goes where the parameters go, and is found faster than they are

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
        self.preprocess = Identity() if preprocess is None else preprocess
        self.register_buffer("_place", next(self.parameters(), torch.empty(0)).detach().new_empty(0), persistent=False)
        self._check_blocks()

    @property
    def latents(self) -> int:
        """Number of latent dimensions, over all blocks."""
        return sum(math.prod(block.event) for block in self.prior.values())

    @property
    def context_names(self) -> tuple[str, ...]:
        """Names that the components read beside x and the latent blocks."""
        parts = [*self.prior.values(), *self.posterior.values(), self.likelihood]
        names = dict.fromkeys(name for part in parts for name in part.given)
        return tuple(name for name in names if name != "x" and name not in self.prior)

    @property
    def quantity(self) -> str:
        """What the model's bounds are bounds on, in symbols.

        log p(x); log p(x | label) where p reads a context; log p(x_seen) where p leaves missing cells out.
        """
        if getattr(self.likelihood, "unnormalised", False):
            return "an unnormalised score of x"
        read = dict.fromkeys(name for part in (*self.prior.values(), self.likelihood) for name in part.given)
        context = ", ".join(name for name in read if name not in self.prior and name != "seen")
        estimand = self.preprocess.estimand
        if "seen" in read:
            estimand = estimand.replace("x)", "x_seen)")
        return f"{estimand.removesuffix(')')} | {context})" if context else estimand

    def __str__(self) -> str:
        return describe(self)

    def forward(self, batch: Batch, noise: Noise, lay_out: bool = True) -> Terms:
        """One pass: draw every block from `noise` [draws, batch, *noise_shape] and collect the terms.

        Blocks over classes are laid out, every class beside every draw, and the terms are sums over them: exact, and
        so are their gradients. lay_out=False draws one class, as the others are drawn; that carries no gradient.
        """
        given, log_jacobian = self.given(batch, noise)
        layout = Layout({name: block.classes if lay_out else 1 for name, block in self.posterior.items()}, noise)
        q: dict[str, Distribution] = {}
        log_q = {}
        for name, block in self.posterior.items():
            q[name] = block(given)
            given[name], log_q[name] = layout.value(name, q[name], noise[name])
            log_weight = log_q[name]
            if name in batch.observed:
                value, mask = batch.observed[name]
                given[name] = where_known(given[name], value, mask)
                log_q[name] = _masked(log_q[name], mask)
                log_weight = _masked(log_weight, mask, -math.log(block.classes))
            layout.weigh(name, log_weight)
        p = {name: block(given) for name, block in self.prior.items()}
        closed = self._closed_blocks - set(batch.observed)
        return Terms(given, q, p, self.likelihood(given), log_jacobian, log_q, closed, layout)

    def examples(self, examples: Any) -> Rows:
        """Examples of the model's own shape and with the contexts that it reads, from whatever `as_rows` takes.

        Raises InputError, in one sentence, for examples of another shape or without a context.
        """
        rows = as_rows(examples)
        if not len(rows):
            raise InputError("There are no examples; give at least one.")
        first = rows.rows(slice(0, 1))
        if tuple(first.x.shape[1:]) != self.likelihood.event:
            raise InputError(
                f"The examples have shape {tuple(first.x.shape[1:])} each and the model is over "
                f"{self.likelihood.event}: give examples like those it was made for."
            )
        if first.seen is not None and "seen" not in self.likelihood.given:
            raise InputError(
                f"The examples have missing cells, which this {type(self.likelihood).__name__} likelihood cannot leave "
                f"out: take likelihoods.Mixed(..., seen='seen'), or give complete examples."
            )
        missing = [name for name in self.context_names if name not in first.context]
        if missing:
            raise InputError(f"The model reads the context {missing[0]!r}, which these examples do not have.")
        if "x" in first.context:
            raise InputError("A context cannot be called 'x': that is the observation.")
        for name, (value, _) in first.observed.items():
            if name not in self.posterior:
                raise InputError(f"The block {name!r} is observed and the model has only {', '.join(self.posterior)}.")
            if tuple(value.shape[1:]) != self.posterior[name].event:
                raise InputError(
                    f"The observed block {name!r} has values of shape {tuple(value.shape[1:])} and the model's has "
                    f"{self.posterior[name].event}: classes are given one-hot."
                )
        return rows

    def given(self, batch: Batch, noise: Noise) -> tuple[Given, Tensor]:
        """The namespace before any latent is drawn ("x" preprocessed, and the context), and log |dy/dx| [batch]."""
        device, dtype = self.device, self.dtype
        seen = () if batch.seen is None else (batch.seen.to(device),)
        y, log_jacobian = self.preprocess(batch.x.to(device), noise.get("x"), *seen)
        context = {
            name: value.to(device, dtype if value.is_floating_point() else None).unsqueeze(0)
            for name, value in batch.context.items()
        }
        return {"x": y.to(dtype).unsqueeze(0), **context}, log_jacobian.to(dtype)

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
            name: keyed_normal(block.noise_shape, draws, index, seed, first_draw, own).to(self._place)
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
        """The namespace with every block drawn from its prior, [draws, batch, *event], by (seed, example, draw) alone.

        stream: another is independent of it. What is observed keeps its value.
        """
        return keyed_from_prior(
            self.prior, self.prior_order, given, draws, index, seed, first_draw, stream, observed or {}, self._place
        )

    def target(self, examples: Any, seed: int = 0) -> VAETarget:
        """The unnormalised posterior of each example, frozen: what samplers and AIS are run on.

        Raises InputError where p(z) or p(x | z) reads x, CapabilityError for blocks that samplers cannot move in.
        """
        from ._check_readings import check_readings  # which asks a VAE, and so stands above it

        rows = self.examples(examples)
        check_readings(self, rows, seed)
        return VAETarget(self, rows, seed)

    @torch.no_grad()
    def sample(
        self,
        n: int,
        mode: Mode = "ancestral",
        offset: float = 0.0,
        seed: int = 0,
        context: Given | None = None,
    ) -> Tensor:
        """Draw x [n, *event] on the user's scale.

        mode: "ancestral" draws z ~ p(z), then x ~ p(x | z), and is the only one whose x is distributed as the model
        says; "mean" gives the mean of p(x | z), "offset" the mean + `offset` standard deviations of it. context:
        name -> [n, ...]. The same seed draws the same z in every mode.
        """
        if mode not in ("ancestral", "mean", "offset"):
            raise InputError(f"mode must be 'ancestral', 'mean' or 'offset'; got {mode!r}.")
        with evaluating(self):
            p_x = self.likelihood(self.draw_prior(n, seed, context or {}))
            if mode == "ancestral":
                y = simulate(p_x, Generator(self.device).manual_seed(derived_seed(seed, _SAMPLED)))
            else:
                require(p_x, "mean")
                y = p_x.mean if mode == "mean" else p_x.mean + offset * p_x.stddev
            return self.preprocess.inverse(y.expand(1, n, *y.shape[2:])[0])

    @torch.no_grad()
    def at_means(self, examples: Any, seed: int = 0) -> Given:
        """The namespace with every latent block at the mean of q(z | x), [1, n, *event].

        Later blocks are given the means of earlier ones. Where q has no mean in closed form, as a flow, it is that of
        256 draws, keyed by (seed, example).
        """
        batch = self.examples(examples).rows(slice(None))
        with evaluating(self):
            given, _ = self.given(batch, self.keyed_noise(0, batch.index, seed))
            for name, block in self.posterior.items():
                given[name], _ = self.moments(name, block(given), batch.index, seed)
            return given

    @torch.no_grad()
    def moments(self, name: str, q: Distribution, index: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Mean and variance of a posterior block, [draws or 1, batch, *event] each.

        In closed form where q has both, else over 256 draws keyed by (seed, example), as of a flow.
        """
        if {"mean", "variance"} <= capabilities(q):
            return q.mean, q.variance
        other, total, squares = derived_seed(seed, _AVERAGED), torch.zeros(()), torch.zeros(())
        for first in range(0, _MEAN_DRAWS, _AT_ONCE):
            value = draw(q, self.keyed_noise(_AT_ONCE, index, other, first)[name])[0].double()
            total, squares = total + value.sum(0, keepdim=True), squares + value.square().sum(0, keepdim=True)
        mean = total / _MEAN_DRAWS
        variance = (squares - _MEAN_DRAWS * mean.square()).clamp_min(0) / (_MEAN_DRAWS - 1)
        return mean.to(self.dtype), variance.to(self.dtype)

    def encode(self, examples: Any, seed: int = 0) -> dict[str, Tensor]:
        """Mean of q(z | x) per block, [n, *event]; later blocks are given the means of earlier ones."""
        given = self.at_means(examples, seed)
        return {name: given[name][0] for name in self.posterior}

    @torch.no_grad()
    def reconstruct(self, examples: Any, seed: int = 0) -> Tensor:
        """Mean of p(x | z) at the mean of q(z | x), [n, *event], on the user's scale.

        Raises CapabilityError where p(x | z) has no mean, as over classes without an order.
        """
        with evaluating(self):
            p_x = self.likelihood(self.at_means(examples, seed))
            require(p_x, "mean")
            return self.preprocess.inverse(p_x.mean[0])

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self._place.device

    @property
    def dtype(self) -> torch.dtype:
        """The floating type the model computes in."""
        return self._place.dtype

    def draw_prior(self, n: int, seed: int, context: Given) -> Given:
        """The namespace with every latent block drawn from the prior, [1, n, *event]; context: name -> [n, ...]."""
        generator = Generator(self.device).manual_seed(seed)
        given = {name: self._context(name, value, n) for name, value in context.items()}
        return drawn_from_prior(self.prior, self.prior_order, given, n, generator, self._place)

    def _context(self, name: str, value: Any, n: int) -> Tensor:
        """One context, [1, n, ...], where the model is and in its floating type."""
        tensor = torch.as_tensor(value).to(self.device)
        if not tensor.dim() or len(tensor) not in (1, n):
            raise InputError(f"The context {name!r} needs a row for each of {n:,} draws; got {tuple(tensor.shape)}.")
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
        for name, part in [*self.prior.items(), ("x", self.likelihood)]:
            if "x" in part.given:
                raise InputError(
                    f"Only q(z | x) may read x, and p({name}) names 'x' in given: a density that has seen its own x is "
                    f"no density of it; what it may know of x goes in as a context, by a name of its own."
                )
        seen = {"x", *self.context_names}
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


class evaluating:
    """Evaluation mode for a while, batch norm and dropout as they are in use; each part's own mode comes back."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.were_training = module, [part for part in module.modules() if part.training]

    def __enter__(self) -> None:
        self.module.eval()

    def __exit__(self, *_: object) -> None:
        for part in self.were_training:
            part.training = True


def _masked(log_density: Callable[[], Tensor], mask: Tensor, value: float = 0.0) -> Callable[[], Tensor]:
    return lambda: log_density().masked_fill(mask, value)
