"""A q of each row's own: steps up the bound from the encoder's, which a reader who has x computes again to the bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from elbowroom import likelihoods as lik
from elbowroom import posteriors
from elbowroom.networks import MLP
from elbowroom.numerics import CapabilityError
from elbowroom.vae import VAE

from . import beta_binomial, portable
from .exact_layers import ExactLinear, ExactNorm, Leaky, Rectifier, Table, as_read, on_grid, weight_bits
from .latents import Reference, fixed_prior, quantiles
from .portable import Array, exp, log
from .stack import stream

__all__ = ["Ascent", "refuse_ascent"]

_NOISE = 3 * 2**29
_NOISE_BITS = 12
_RATE, _LAST, _BETAS, _EPSILON = 0.1, 0.02, (0.8, 0.95), 1e-8
_APART = 8  # places of a table between which its slope is taken

_SCORED = (lik.Bernoulli, lik.BetaBinomial)

Back = Callable[[Tensor, Tensor], Tensor]
"""From the gradient by what a layer returned, and what it read, to the gradient by what it read."""


def refuse_ascent(vae: VAE) -> None:
    """Refuse models whose gradients are not computed exactly.

    Parameters
    ----------
    vae : VAE
        The rounded model.

    Raises
    ------
    CapabilityError
        With the reason.
    """
    blocks: list[Any] = list(vae.posterior.values())
    one = len(blocks) == 1 and type(blocks[0]) is posteriors.DiagonalNormal and blocks[0].given == ("x",)
    known = isinstance(vae.likelihood, _SCORED) and isinstance(vae.likelihood.network, MLP)
    if not one or not known or not _leaves_known(vae.likelihood.network):
        raise CapabilityError(
            "Steps by which q is refined row by row are computed exactly for bits and beta-binomial levels whose "
            "decoder is an MLP, with one block of latents and a diagonal normal q(z | x): write it with refine=0."
        )
    if fixed_prior(next(iter(vae.prior.values()))) is None:
        raise CapabilityError("Steps by which q is refined need a normal prior: write this file with refine=0.")


class Ascent:
    """Adam on mean and log scale of q, of each row by itself, with a fixed stream for noise.

    Forward and backward sums are those of exact layers, slopes of nonlinearities those of their tables, and the rest is
    +, −, ×, ÷ and √ of one number at a time, so that any machine takes the same steps.

    Parameters
    ----------
    vae : VAE
        The rounded model.
    steps : int
        1 or more; each is two passes of the decoder, at q's mean plus and minus the same noise.

    Raises
    ------
    CapabilityError
        For a model whose gradients are not computed exactly.

    References
    ----------
    Kim, Wiseman, Miller, Sontag & Rush, "Semi-amortized variational autoencoders" (2018), for q that starts at the
    encoder's.
    """

    def __init__(self, vae: VAE, steps: int) -> None:
        refuse_ascent(vae)
        network: Any = vae.likelihood.network
        self.layers = [(layer, _back(layer)) for layer in network.modules() if not list(layer.children())]
        self.slopes = _output_slopes(vae.likelihood)
        self.prior: Reference | None = fixed_prior(next(iter(vae.prior.values())))
        self.steps = steps

    @torch.no_grad()
    def __call__(self, location: Array, scale: Array, x: Tensor) -> tuple[Array, Array]:
        """Mean and standard deviation [n, D] of the q of each row, from the encoder's; x [n, …]: bits or levels."""
        bits = x.reshape(len(x), -1).double().repeat(2, 1)
        size = location.shape[1]
        at = np.concatenate([location, log(scale)], 1)
        first, second, powers = np.zeros_like(at), np.zeros_like(at), [1.0, 1.0]
        for step in range(self.steps):
            up = self._slope(at[:, :size], exp(at[:, size:]), bits, step)
            first = _BETAS[0] * first + (1.0 - _BETAS[0]) * up
            second = _BETAS[1] * second + (1.0 - _BETAS[1]) * (up * up)
            powers = [power * beta for power, beta in zip(powers, _BETAS, strict=True)]
            rate = _RATE * (1.0 - (1.0 - _LAST) * step / self.steps)
            move = (first / (1.0 - powers[0])) / (np.sqrt(second / (1.0 - powers[1])) + _EPSILON)
            at = at + rate * move
        return at[:, :size], exp(at[:, size:])

    def _slope(self, mean: Array, scale: Array, bits: Tensor, step: int) -> Array:
        """Of the bound by mean and log scale, [n, 2 D], from two draws."""
        assert self.prior is not None
        words = stream((_NOISE << 32) + (step << 26), mean.size) >> np.uint32(32 - _NOISE_BITS)
        noise = quantiles(_NOISE_BITS)[1][words.astype(np.int64)].reshape(mean.shape)
        z = np.concatenate([mean + scale * noise, mean - scale * noise])
        plus, minus = np.split(self._gradient(torch.from_numpy(z), bits).numpy(), 2)
        location, unit = self.prior
        narrow = 1.0 / (unit * unit)
        by_mean = 0.5 * (plus + minus) - (mean - location) * narrow
        by_log = 0.5 * (plus - minus) * noise * scale - scale * scale * narrow + 1.0
        return np.concatenate([by_mean, by_log], 1)

    def _gradient(self, z: Tensor, bits: Tensor) -> Tensor:
        """Of log p(x | z) by z."""
        read = list[Tensor]()
        for layer, _ in self.layers:
            read.append(z)
            z = layer(z)
        gradient = self.slopes(z, bits)
        for (_, back), was in zip(reversed(self.layers), reversed(read), strict=True):
            gradient = back(gradient, was)
        return gradient


def _leaves_known(network: Any) -> bool:
    leaves = (layer for layer in network.modules() if not list(layer.children()))
    return all(isinstance(layer, ExactLinear | ExactNorm | Table | Rectifier | Leaky | nn.Identity) for layer in leaves)


def _output_slopes(likelihood: Any) -> Callable[[Tensor, Tensor], Tensor]:
    if isinstance(likelihood, lik.BetaBinomial):
        return beta_binomial.slopes(likelihood.levels)
    sigmoid = Table(portable.sigmoid, False)
    return lambda out, bits: bits - sigmoid(out)


def _back(layer: nn.Module) -> Back:
    if isinstance(layer, ExactLinear):
        weight = on_grid(layer.weight, weight_bits(layer.weight, 1, None, "linear layer")).T.contiguous()
        return lambda gradient, _: functional.linear(as_read(gradient), weight)
    if isinstance(layer, ExactNorm):
        return lambda gradient, _: gradient * layer.scale
    if isinstance(layer, Table):
        slopes = _slopes(layer)
        return lambda gradient, read: gradient * slopes(read)
    if isinstance(layer, Rectifier | Leaky):
        low = layer.slope if isinstance(layer, Leaky) else 0.0
        return lambda gradient, read: torch.where(read < 0, gradient * low, gradient)
    return lambda gradient, _: gradient


def _slopes(table: Table) -> Callable[[Tensor], Tensor]:
    """Slopes of a table's function, from the differences of its values."""
    values, last = table.values, 1.0 if table.rises else 0.0
    inner = (values[2 * _APART :] - values[: -2 * _APART]) / (2 * _APART * table.step)
    ends = torch.full((_APART,), last, dtype=torch.float64)
    slopes = torch.cat([torch.zeros(_APART, dtype=torch.float64), inner, ends])
    return lambda read: slopes[table.places(read)]
