"""The variance budget: how a model splits the variance of x between its latent and its noise, and that of z."""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor
from torch.distributions import Distribution

from elbowroom.distributions import capabilities, require, simulate
from elbowroom.numerics import (
    InputError,
    Rows,
    as_rows,
    derived_seed,
    in_parts,
    one_of,
    own_modes,
    plain_arguments,
)
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

__all__ = ["VarianceBudget", "variance_budget"]

_ROWS_AT_ONCE, _CELLS_AT_ONCE = 500, 2**22
_OF_Z = 32  # draws of the blocks that another block of q reads
_GROUPS = 10


@dataclass(frozen=True)
class VarianceBudget:
    """How a model splits the variance of x: Var x = Var E[x | z] + E Var[x | z], summed over elements.

    In squared units of preprocessed x.

    Parameters
    ----------
    over : {"prior", "posterior"}
        Whether z comes from p(z), or from q(z | x) of the examples (the aggregate posterior).
    data : float
        Variance of the examples.
    latent : float
        Var E[x | z].
    noise : float
        E Var[x | z].
    latent_share_se : float
        Monte-Carlo standard error of `latent_share`.
    ink_data : float
        Variance of the sum of the elements of x, in which covariances show, over the examples.
    ink_latent : float
        The latent's part of that variance in the model.
    ink_noise_diagonal : float
        What independent noise would add to it.
    ink_noise_covariance : float
        What correlated noise adds to that.
    z_between : array
        Var_x E[z | x] of the posterior, [units].
    z_within : array
        E_x Var[z | x] of the posterior, [units].
    z_correlation : array
        Of the aggregate posterior, [units, units].
    """

    over: str
    data: float
    latent: float
    noise: float
    latent_share_se: float
    ink_data: float
    ink_latent: float
    ink_noise_diagonal: float
    ink_noise_covariance: float
    z_between: NDArray[np.float64]
    z_within: NDArray[np.float64]
    z_correlation: NDArray[np.float64]

    @property
    def latent_share(self) -> float:
        """The latent's part of the model's variance of x, between 0 and 1."""
        return self.latent / (self.latent + self.noise)

    @property
    def thrown_away(self) -> float:
        """Share of the model's variance that is missing where decoder means are taken for samples."""
        return 1.0 - self.latent_share

    def __str__(self) -> str:
        total = self.latent + self.noise
        return (
            f"variance of x: data {self.data:.4g}, model {total:.4g} = latent {self.latent:.4g} "
            f"({self.latent_share:.1%} ± {self.latent_share_se:.1%}) + noise {self.noise:.4g}; z from the {self.over}"
        )


@own_modes
@plain_arguments
@torch.no_grad()
def variance_budget(
    vae: VAE,
    examples: Any,
    *,
    over: Literal["prior", "posterior"] = "posterior",
    draws: int = 10_000,
    seed: int = 0,
) -> VarianceBudget:
    """Measure how much of the variance of x comes from the latent and how much from noise, and that of z.

    Parameters
    ----------
    vae : VAE
        The model.
    examples : Rows, Batch, array, tensor, DataFrame or list
        [n, *event] on the user's scale, n ≥ 2; they bring contexts and, with over="posterior", z.
    over : {"posterior", "prior"}, default "posterior"
        Whether z comes from q(z | x) of the examples (the aggregate posterior), or from p(z).
    draws : int, default 10_000
        Of z (and x), 20 or more.
    seed : int, default 0
        Of all noise.

    Returns
    -------
    VarianceBudget
        On the scale of preprocessed x.

    Raises
    ------
    InputError
        For fewer than 20 draws or 2 examples, or examples with missing cells.
    CapabilityError
        Where x are classes without an order.

    Notes
    -----
    By the law of total variance. Where E[x | z] has no closed form, Var E[x | z] is the covariance of two draws of x
    given the same z.

    References
    ----------
    Tipping & Bishop, "Probabilistic Principal Component Analysis" (1999), for the linear model.

    Examples
    --------
    >>> from elbowroom import likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2, scale=1.0))
    >>> budget = variance_budget(vae, torch.randn(50, 2), over="prior")
    >>> bool(abs(budget.noise - 2.0) < 1e-6)
    True
    """
    one_of("over", over, ("prior", "posterior"))
    rows = as_rows(examples)
    if len(rows) and rows.rows(slice(0, 1)).seen is not None:
        raise InputError(
            "A variance budget needs complete examples, and these have missing cells: take those of er.impute."
        )
    if draws < 2 * _GROUPS or len(rows) < 2:
        raise InputError(f"A variance budget needs 20 draws and 2 examples or more; got {draws} and {len(rows)}.")
    with evaluating(vae):
        data = _data_spread(vae, rows, seed)
        model = [_Spread() for _ in range(_GROUPS)]
        first = 0
        for moments in _passes(vae, rows, over, draws, seed):
            _share_out(model, first, draws, moments)
            first += len(moments[0])
        z_mean, z_variance, z, z_error = _posterior_moments(vae, rows, seed)
    model = [group for group in model if group.n > 1]
    whole = functools.reduce(_Spread.joined, model)
    return VarianceBudget(
        over=over,
        data=data.covariance,
        latent=whole.covariance,
        noise=whole.noise,
        latent_share_se=float(np.std([group.latent_share for group in model], ddof=1)) / math.sqrt(len(model)),
        ink_data=data.ink_covariance,
        ink_latent=whole.ink_covariance,
        ink_noise_diagonal=whole.noise,
        ink_noise_covariance=whole.ink - whole.noise,
        z_between=(z_mean.var(0) - z_error.mean(0)).clamp_min(0.0).cpu().numpy(),
        z_within=z_variance.mean(0).cpu().numpy(),
        z_correlation=np.atleast_2d(np.corrcoef(z.cpu().numpy(), rowvar=False)),
    )


class _Spread:
    """Sums over draws, from which come the covariance of two estimates of E[x | z] and the mean of Var[x | z].

    Deviations are from the first draws, so that squares keep their digits.
    """

    def __init__(self) -> None:
        self.n, self.about, self.sums = 0, torch.zeros(()), torch.zeros(())
        self.inks: list[Tensor] = []

    def add(self, one: Tensor, other: Tensor, noise: Tensor, ink: Tensor) -> None:
        """Add draws: [n, elements] three times, and [n]."""
        if not self.n:
            self.about, self.sums = one.mean(0), torch.zeros(4, one.shape[1], dtype=one.dtype, device=one.device)
        self.n += len(one)
        self.inks.append(torch.stack([one.sum(1), other.sum(1), ink], 1))
        a, b = one - self.about, other - self.about
        self.sums += torch.stack([a.sum(0), b.sum(0), (a * b).sum(0), noise.sum(0)])

    def joined(self, other: "_Spread") -> "_Spread":
        """Both together."""
        both, apart = _Spread(), other.about - self.about
        both.n, both.about, both.inks = self.n + other.n, self.about, [*self.inks, *other.inks]
        a, b, ab, noise = other.sums
        moved = torch.stack([a + other.n * apart, b + other.n * apart, ab + apart * (a + b + other.n * apart), noise])
        both.sums = self.sums + moved
        return both

    @property
    def covariance(self) -> float:
        """Of the two estimates, summed over elements."""
        a, b, ab, _ = self.sums
        return float((ab - a * b / self.n).sum() / (self.n - 1))

    @property
    def noise(self) -> float:
        """Mean of Var[x | z], summed over elements."""
        return float(self.sums[3].sum() / self.n)

    @property
    def latent_share(self) -> float:
        """The latent's part of both."""
        return self.covariance / (self.covariance + self.noise)

    @property
    def ink_covariance(self) -> float:
        """Of the sums over elements of the two estimates."""
        one, other, _ = torch.cat(self.inks).T
        return float(((one - one.mean()) * (other - other.mean())).sum() / (self.n - 1))

    @property
    def ink(self) -> float:
        """Mean of Var[Σx | z]."""
        return float(torch.cat(self.inks)[:, 2].mean())


def _share_out(groups: list[_Spread], first: int, draws: int, moments: tuple[Tensor, ...]) -> None:
    """Add draws to the groups that they are of, as `Tensor.chunk` would cut all draws."""
    size = -(-draws // len(groups))
    at = 0
    while at < len(moments[0]):
        group, place = divmod(first + at, size)
        end = min(at + size - place, len(moments[0]))
        groups[group].add(*(drawn[at:end] for drawn in moments))
        at = end


def _data_spread(vae: VAE, rows: Rows, seed: int) -> _Spread:
    spread = _Spread()
    for part in in_parts(rows):
        y = vae.given(part, vae.keyed_noise(0, part.index, seed))[0]["x"][0].flatten(1).double()
        spread.add(y, y, torch.zeros_like(y), torch.zeros_like(y[:, 0]))
    return spread


def _passes(vae: VAE, rows: Rows, over: str, draws: int, seed: int) -> Iterator[tuple[Tensor, ...]]:
    """Per pass, what `_moments` says of its draws of z."""
    generator = Generator(vae.device).manual_seed(seed)
    at_once = min(_ROWS_AT_ONCE, max(_CELLS_AT_ONCE // math.prod(vae.likelihood.event), 1))
    for first in range(0, draws, at_once):
        n = min(at_once, draws - first)
        drawn = torch.randint(len(rows), (n,), generator=generator, device=generator.device)
        part = rows.rows(drawn.to(rows.index.device))
        if over == "prior":
            p_x = vae.likelihood(vae.draw_prior(n, derived_seed(seed, first), part.context))
        else:
            p_x = vae(part, vae.draw_noise(1, n, generator), lay_out=False).p_x
        yield _moments(p_x, generator)


def _moments(p_x: Distribution, generator: Generator) -> tuple[Tensor, ...]:
    """Two independent estimates of E[x | z] and one of Var[x | z], [n, elements], and one of Var[Σx | z], [n].

    In closed form where there is one (both estimates are the mean then), else by two draws of x.
    """
    first = simulate(p_x, generator)[0].flatten(1).double()
    if "moments" in capabilities(p_x):
        second = simulate(p_x, generator)[0].flatten(1).double()
        apart = first - second
        return first, second, apart.square() / 2, apart.sum(1).square() / 2
    require(p_x, "mean")
    mean = p_x.mean[0].flatten(1).double()
    residual = first - mean
    exact = "variance" in capabilities(p_x)
    noise = p_x.variance[0].flatten(1).double() if exact else residual.square()
    return mean, mean, noise, residual.sum(1).square()


def _posterior_moments(vae: VAE, rows: Rows, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and variance of q(z | x), one draw of it, and the variance of that mean by draws, [n, units] each.

    A block that reads the draws of others has its moments given these, of which means are taken over several draws.
    """
    several = any(set(block.given) & set(vae.posterior) for block in vae.posterior.values())
    parts = []
    for part in in_parts(rows, most=_ROWS_AT_ONCE // (_OF_Z if several else 1)):
        terms = vae(part, vae.keyed_noise(_OF_Z if several else 1, part.index, seed), lay_out=False)
        blocks = [
            (*_over_draws(*vae.moments(name, q, part.index, seed=seed)), terms.z[name][0])
            for name, q in terms.q.items()
        ]
        columns = zip(*blocks, strict=True)
        parts.append([torch.cat([t.flatten(1) for t in column], 1).double() for column in columns])
    mean, variance, error, z = (torch.cat(column) for column in zip(*parts, strict=True))
    return mean, variance, z, error


def _over_draws(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of z from those given each of some draws [draws, n, ...], and the mean's own variance."""
    if len(mean) == 1:
        return mean[0], variance[0], torch.zeros_like(mean[0])
    between = mean.var(0)
    return mean.mean(0), variance.mean(0) + between, between / len(mean)
