"""Counts: Poisson and negative binomials by their log-mean, formed in float64."""

import torch
from torch import Generator, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all

from ._draw import simulate
from .capabilities import declare

__all__ = ["NegativeBinomial", "Poisson", "ZeroInflatedNegativeBinomial"]


class _Counts(Distribution):
    """Counts 0, 1, 2, … with a log-mean.

    Log-probabilities are sums of terms like x log x that cancel: at counts of 10⁵ float32 loses 0.1 nats, so they are
    formed in float64.
    """

    support = constraints.nonnegative_integer
    log_mean: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean."""
        return self.log_mean.exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of counts, nats."""
        return self._log_prob(value.double()).to(self.log_mean.dtype)

    def _log_prob(self, value: Tensor) -> Tensor:
        raise NotImplementedError


class Poisson(_Counts):
    """The Poisson, by its log-mean.

    Parameters
    ----------
    log_mean : Tensor
        Logarithm of the mean count.

    Examples
    --------
    >>> p = Poisson(torch.tensor(100_000.0).log())
    >>> round(p.log_prob(torch.tensor(100_000.0)).item(), 4)         # torch's own: -6.75 or so
    -6.6754
    """

    arg_constraints = {"log_mean": constraints.real}  # noqa: RUF012

    def __init__(self, log_mean: Tensor) -> None:
        self.log_mean = log_mean
        super().__init__(log_mean.shape, validate_args=False)

    @property
    def variance(self) -> Tensor:
        """Variance: the mean."""
        return self.mean

    def _log_prob(self, value: Tensor) -> Tensor:
        log_mean = self.log_mean.double()
        return value * log_mean - log_mean.exp() - torch.lgamma(value + 1)


class NegativeBinomial(_Counts):
    """The negative binomial, by log-mean and log-dispersion: variance = mean + mean² / dispersion.

    Parameters
    ----------
    log_mean : Tensor
        Logarithm of the mean count.
    log_dispersion : Tensor
        Logarithm of the dispersion, broadcast with `log_mean`; the Poisson is the limit of a large one.

    Examples
    --------
    >>> p = NegativeBinomial(torch.tensor(3.0).log(), torch.tensor(2.0).log())
    >>> round(p.mean.item(), 4), round(p.variance.item(), 4)
    (3.0, 7.5)
    """

    arg_constraints = {"log_mean": constraints.real, "log_dispersion": constraints.real}  # noqa: RUF012

    def __init__(self, log_mean: Tensor, log_dispersion: Tensor) -> None:
        shape = torch.broadcast_shapes(log_mean.shape, log_dispersion.shape)
        self.log_mean, self.log_dispersion = log_mean.expand(shape), log_dispersion.expand(shape)
        self._dispersion = log_dispersion  # one for all draws is widened, and its gamma function taken, once
        super().__init__(shape, validate_args=False)

    @property
    def variance(self) -> Tensor:
        """Variance."""
        return self.mean + torch.exp(2 * self.log_mean - self.log_dispersion)

    def _log_prob(self, value: Tensor) -> Tensor:
        # Each parameter is widened once: gradients of two copies would cancel in float32, where they meet.
        log_dispersion = self._dispersion.double()
        log_ratio, dispersion = self.log_mean.double() - log_dispersion, log_dispersion.exp()
        log_total = torch.nn.functional.softplus(log_ratio, threshold=40)
        of_mean = value * (log_ratio - log_total) - dispersion * log_total
        return of_mean + _log_choices(dispersion, value)


class ZeroInflatedNegativeBinomial(_Counts):
    """The zero-inflated negative binomial: 0 with probability sigmoid(gate), else negative binomial.

    Parameters
    ----------
    log_mean : Tensor
        Logarithm of the mean of the negative binomial.
    log_dispersion : Tensor
        Logarithm of its dispersion.
    gate : Tensor
        Logit of the probability of an extra zero. The three are broadcast.

    Examples
    --------
    >>> p = ZeroInflatedNegativeBinomial(torch.tensor(3.0).log(), torch.tensor(2.0).log(), torch.tensor(0.0))
    >>> round(p.mean.item(), 4), round(p.log_prob(torch.tensor(0.0)).exp().item(), 4)        # 1/2 + 1/2 · 0.16
    (1.5, 0.58)
    """

    arg_constraints = {  # noqa: RUF012
        "log_mean": constraints.real,
        "log_dispersion": constraints.real,
        "gate": constraints.real,
    }

    def __init__(self, log_mean: Tensor, log_dispersion: Tensor, gate: Tensor) -> None:
        self.log_mean, self.gate = broadcast_all(log_mean, gate)
        self.counts = NegativeBinomial(self.log_mean, log_dispersion)
        self.log_dispersion = self.counts.log_dispersion
        super().__init__(self.log_mean.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Mean, zeros included."""
        return torch.sigmoid(-self.gate) * self.counts.mean

    @property
    def variance(self) -> Tensor:
        """Variance, zeros included."""
        within = self.counts.variance + torch.sigmoid(self.gate) * self.counts.mean**2
        return torch.sigmoid(-self.gate) * within

    def _log_prob(self, value: Tensor) -> Tensor:
        gate = self.gate.double()
        log_counted = -torch.nn.functional.softplus(gate, threshold=40)
        counted = log_counted + self.counts._log_prob(value)
        return torch.where(value == 0, torch.logaddexp(gate + log_counted, counted), counted)


def _log_choices(dispersion: Tensor, value: Tensor) -> Tensor:
    """log Γ(r + x) − log Γ(r) − log Γ(x + 1), exactly 0 at x = 0, as most counts of cells are: no Γ is taken there."""
    there = value != 0
    if not _chosen(there):
        rising = torch.where(there, torch.lgamma(dispersion + value) - torch.lgamma(dispersion), 0.0)
        return rising - torch.lgamma(value + 1)
    start, steps, there = torch.broadcast_tensors(dispersion, value, there)
    start, steps = start.masked_select(there), steps.masked_select(there)
    found = torch.lgamma(start + steps) - torch.lgamma(start) - torch.lgamma(steps + 1)
    return found.new_zeros(there.shape).masked_scatter(there, found)


def _chosen(there: Tensor) -> bool:
    """Whether to choose elements pays: few are there, and neither a transform nor a device has to know how many."""
    if not there.is_cpu or torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None:
        return False
    return 2 * int(there.sum()) < there.numel()


@simulate.register
def _(distribution: Poisson, generator: Generator) -> Tensor:
    return torch.poisson(distribution.mean.detach(), generator=generator)


@simulate.register
def _(distribution: NegativeBinomial, generator: Generator) -> Tensor:
    dispersion = distribution.log_dispersion.detach().double().exp().expand(distribution.log_mean.shape)
    scale = torch.exp(distribution.log_mean.detach().double() - distribution.log_dispersion.detach().double())
    rate = torch._standard_gamma(dispersion.contiguous(), generator=generator) * scale
    return torch.poisson(rate, generator=generator).to(distribution.log_mean.dtype)


@simulate.register
def _(distribution: ZeroInflatedNegativeBinomial, generator: Generator) -> Tensor:
    counted = torch.bernoulli(torch.sigmoid(-distribution.gate.detach()), generator=generator)
    return counted * simulate(distribution.counts, generator)


declare(Poisson, "mean", "variance", "stack")
declare(NegativeBinomial, "mean", "variance", "stack")
declare(ZeroInflatedNegativeBinomial, "mean", "variance", "stack")
