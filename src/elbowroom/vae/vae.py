"""The VAE: what people ask of three densities and their preprocessing."""

from typing import Any, Literal

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution

from elbowroom.distributions import capabilities, draw, require, simulate
from elbowroom.numerics import Given, InputError, Rows, as_rows, derived_seed, one_of

from ._check_readings import check_readings
from ._describe import describe
from .core import VAECore
from .evaluating import evaluating
from .vae_target import VAETarget

__all__ = ["VAE"]

Mode = Literal["ancestral", "mean", "offset"]

_SAMPLED, _AVERAGED = 0x5A, 0x3EA  # what is drawn with a seed of its own
_MEAN_DRAWS, _AT_ONCE = 256, 16


class VAE(VAECore):
    """A variational autoencoder: p(z), q(z | x), p(x | z), and how x is preprocessed.

    prior, posterior: a component (the block "z"), or a dictionary of blocks; posterior blocks are drawn in the
    dictionary's order, each seeing those before it. Raises InputError where blocks and names do not fit together.
    Source: Kingma & Welling, "Auto-Encoding Variational Bayes", 2014.

    >>> from elbowroom import likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(2), posteriors.DiagonalNormal(torch.nn.Linear(3, 4), 2),
    ...           likelihoods.Normal(torch.nn.Linear(2, 3), 3))
    >>> vae.sample(5).shape
    torch.Size([5, 3])
    """

    def __str__(self) -> str:
        return describe(self)

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

    def target(self, examples: Any, seed: int = 0) -> VAETarget:
        """The unnormalised posterior of each example, frozen: what samplers and AIS are run on.

        Raises InputError where p(z) or p(x | z) reads x, CapabilityError for blocks that samplers cannot move in.
        """
        rows = self.examples(examples)
        check_readings(self, rows, seed=seed)
        return VAETarget(self, rows, seed=seed)

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
        one_of("mode", mode, ("ancestral", "mean", "offset"))
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
