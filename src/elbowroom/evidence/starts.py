"""Where annealed chains start: q(z | x), p(z), or a mixture whose chains are dealt in fixed numbers."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from elbowroom.numerics import InputError, derived_seed, keyed_normal, one_of
from elbowroom.numerics.streams import KERNELS, SECOND_START
from elbowroom.sampling.annealing import Path
from elbowroom.sampling.stays import Stay

from .target import Target

__all__ = ["STARTS", "Begin", "Part", "Start", "begin", "dealt", "kernels_of"]

Start = Literal["both", "posterior", "prior"]
STARTS = ("both", "posterior", "prior")
_WIDER = 3  # one chain in so many starts at the prior
_INFLATED = 2.0  # variance of a kernel, in that of the chain it is made of: a start should be wider than where it leads


class Part(NamedTuple):
    """A density that some chains start from.

    Parameters
    ----------
    log_prob : callable
        Takes z [chains, batch, dim] and returns its log-density [chains, batch], in nats.
    draw : callable
        Takes a number of chains and a seed and returns z [chains, batch, dim], by (seed, example, chain).
    """

    log_prob: Callable[[Tensor], Tensor]
    draw: Callable[[int, int], Tensor]


@dataclass(frozen=True)
class Begin:
    """The density that an annealing run starts from: a mixture, whose chains are dealt in fixed numbers to its parts.

    A mean over all chains is unbiased as over draws of the mixture, and varies less, if every chain is weighed by the
    mixture's density, whichever part it came from, and all chains go by one plan.

    Parameters
    ----------
    target : Target
        The model at its examples.
    parts : tuple of Part
        The parts.
    chains : tuple of int
        How many chains each part has; their shares are the mixture's weights.
    """

    target: Target
    parts: tuple[Part, ...]
    chains: tuple[int, ...]

    @property
    def shares(self) -> tuple[float, ...]:
        """The weight of each part in the mixture."""
        return tuple(count / sum(self.chains) for count in self.chains)

    @property
    def path(self) -> Path:
        """The geometric path from the mixture to p(z) p(x | z)."""
        return Path(self._log_factors, _geometric)

    def from_one(self, second: Bool[Tensor, "batch"]) -> Path:
        """The path from the first part alone, or where told from the second, to p(z) p(x | z)."""

        def log_factors(z: Tensor) -> tuple[Tensor, Tensor]:
            first, other = (part.log_prob(z).expand(z.shape[:2]) for part in self.parts[:2])
            return torch.where(second, other, first), self.target.log_prior(z) + self.target.log_likelihood(z)

        return Path(log_factors, _geometric)

    def draw(self, seed: int) -> Float[Tensor, "chains batch dim"]:
        """Every part's draws, one part after another."""
        with torch.no_grad():
            return torch.cat([part.draw(count, seed) for part, count in zip(self.parts, self.chains, strict=True)])

    def _log_factors(self, z: Tensor) -> tuple[Tensor, Tensor]:
        parts = zip(self.parts, self.shares, strict=True)
        terms = [(part.log_prob(z) + math.log(share)).expand(z.shape[:2]) for part, share in parts]
        return torch.stack(terms).logsumexp(0), self.target.log_prior(z) + self.target.log_likelihood(z)


class _FromPrior(Begin):
    """A run from p(z) alone needs one density less."""

    @property
    def path(self) -> Path:
        """From p(z) to p(z) p(x | z)."""
        log_prior, log_likelihood = self.target.log_prior, self.target.log_likelihood
        return Path(lambda z: (log_prior(z), log_likelihood(z)), lambda b: (torch.ones_like(b), b))


def begin(target: Target, start: Start, chains: int) -> Begin:
    """Where the chains of a run start.

    Parameters
    ----------
    target : Target
        The model at its examples.
    start : {"both", "posterior", "prior"}
        The mixture of q(z | x) and p(z), or one of them.
    chains : int
        Chains per example.

    Returns
    -------
    Begin
        The density, and how many chains each of its parts has.

    Raises
    ------
    InputError
        For any other `start`, and for one chain of "both".
    """
    one_of("start", start, STARTS)
    if start == "prior":
        return _FromPrior(target, (Part(target.log_prior, target.draw_prior),), (chains,))
    q = Part(target.log_posterior, lambda count, seed: target.draw_posterior(count, seed)[0])
    if start == "posterior":
        return Begin(target, (q,), (chains,))
    prior = Part(target.log_prior, lambda count, seed: target.draw_prior(count, derived_seed(seed, SECOND_START)))
    return Begin(target, (q, prior), dealt(chains))


def dealt(chains: int) -> tuple[int, int]:
    """How many chains start at q(z | x), and how many at p(z).

    Parameters
    ----------
    chains : int
        Of both together, 2 or more.

    Returns
    -------
    tuple of int
        About two thirds, and a third.

    Raises
    ------
    InputError
        For fewer.

    Examples
    --------
    >>> dealt(12), dealt(4)
    ((8, 4), (2, 2))
    """
    if chains < 2:
        raise InputError(
            f'start="both" deals chains to q(z | x) and to p(z) and needs chains=2 or more; got {chains}: give more, '
            f'or start="posterior".'
        )
    wider = max(chains // _WIDER, min(2, chains // 2))
    return chains - wider, wider


def kernels_of(found: Begin, stay: Stay) -> Begin:
    """The same mixture with a kernel for each chain that has stayed at the posterior, and a chain in each kernel.

    Parameters
    ----------
    found : Begin
        The mixture of q and prior.
    stay : Stay
        Where chains have been, from other noise than the run's.

    Returns
    -------
    Begin
        The mixture of three.
    """
    mean, sd = stay.mean, (_INFLATED * stay.variance).sqrt()
    count, index = len(mean), found.target.index

    def log_prob(z: Tensor) -> Tensor:
        each = torch.distributions.Normal(mean, sd).log_prob(z.unsqueeze(1)).sum(-1)  # [chains, kernels, batch]
        return each.logsumexp(1) - math.log(count)

    def draw(chains: int, seed: int) -> Tensor:
        normal = keyed_normal(mean.shape[2:], chains, index, derived_seed(seed, KERNELS)).to(mean)
        return mean + sd * normal

    return Begin(found.target, (*found.parts, Part(log_prob, draw)), (*found.chains, count))


def _geometric(beta: Tensor) -> tuple[Tensor, Tensor]:
    return 1 - beta, beta
