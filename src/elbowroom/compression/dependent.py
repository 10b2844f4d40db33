"""Priors whose latents depend on one another: coded latent by latent, each by its masses given those before it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom import posteriors, priors
from elbowroom.components import Component
from elbowroom.numerics import Given

from .exact_flows import affine_layer
from .families import location_scale
from .latents import Normals, Reference, Watch, halves, variance_of
from .masses import Below, Nested, Whole
from .outputs import OfGroup, run
from .portable import Array, exp, log, normal_below, softplus
from .stack import Stack

__all__ = ["Affine", "Chained", "Mixtures", "chain_of"]

_LEAST_WEIGHT = 2.0**-40
_LOG_SLOPE = 6.907755278982137  # −log of zuko's least slope, 10⁻³

EdgesOf = Callable[[Whole], Array]
"""From places [n, k] on a latent's buckets to where they begin."""


@dataclass
class State:
    """What is known of some rows while their latents are taken one after another."""

    z: Array
    log_weights: Array = field(default_factory=lambda: np.zeros((0, 0)))
    noise: list[Array] = field(default_factory=list)


class Mixtures:
    """A mixture of normals: latents depend on one another by which component they can be of.

    Parameters
    ----------
    log_weights : array
        [K], up to a constant.
    means : array
        [K, D].
    scales : array
        [K, D], standard deviations of a latent given those before it in its component.
    below : array or None, default None
        [K, D, D], lower triangles of the components' roots; None where latents of a component are independent.
    settled : bytes, default b""
        What networks have returned for it.
    """

    def __init__(
        self, log_weights: Array, means: Array, scales: Array, below: Array | None = None, settled: bytes = b""
    ) -> None:
        self.log_weights, self.means, self.scales, self.roots = log_weights, means, scales, below
        self.log_scales, self.settled = log(scales), settled
        self.order = list(range(means.shape[1]))

    def begin(self, rows: int) -> State:
        """Of so many rows nothing is known yet."""
        return State(np.zeros((rows, len(self.order))), np.tile(self.log_weights, (rows, 1)))

    def at(self, state: State, place: int, edges: EdgesOf) -> Below:
        """What lies below places of a latent, given those before it."""
        weights = exp(state.log_weights - state.log_weights.max(1, keepdims=True))
        weights = np.where(weights >= _LEAST_WEIGHT, weights, 0.0)
        used = np.flatnonzero(weights.any(0))
        weights, location = weights[:, used, None], self._location(state, place)[:, used, None]
        scale = self.scales[used, place, None]
        mean, total = _summed(weights * location), _summed(weights)

        def below(places: Whole) -> Array:
            at = edges(places)
            middle = np.clip(0.5 * (at[:, :1] + at[:, -1:]), -1e6, 1e6)
            sign = np.where(middle * total > mean, -1.0, 1.0)
            t = (at[:, None] - location) / scale
            return sign * _summed(weights * normal_below(sign[:, None] * t))

        return below

    def add(self, state: State, place: int, z: Array) -> None:
        """This latent is z [n]."""
        noise = (z[:, None] - self._location(state, place)) / self.scales[:, place]
        state.log_weights = state.log_weights - 0.5 * noise * noise - self.log_scales[:, place]
        state.noise.append(noise)

    def note(self, state: State, watch: Watch) -> None:
        """No network was asked."""

    def _location(self, state: State, place: int) -> Array:
        location = np.broadcast_to(self.means[:, place], state.log_weights.shape)
        if self.roots is not None:
            for before, noise in enumerate(state.noise):
                location = location + self.roots[:, place, before] * noise
        return location


def _summed(parts: Array) -> Array:
    """Sums over components, [n, K, m] → [n, m], one after another, so that they are the same everywhere."""
    total: Array = np.add.accumulate(parts, axis=1)[:, -1]
    return total


class Affine:
    """A flow of one autoregressive affine layer: each latent is normal given those before it.

    Parameters
    ----------
    flow : zuko flow
        Its network exact.
    mean : array
        [D], which stands before the flow.
    scale : array
        [D], the same.
    """

    settled = b""

    def __init__(self, flow: Any, mean: Array, scale: Array) -> None:
        layer: Any = flow.transform.transforms[0]
        self.network, self.mean, self.scale = layer.hyper, mean, scale
        self.level = layer.order.tolist()
        self.order = sorted(range(len(self.level)), key=self.level.__getitem__)

    def begin(self, rows: int) -> State:
        """Of so many rows nothing is known yet."""
        return State(np.zeros((rows, len(self.level))))

    def at(self, state: State, place: int, edges: EdgesOf) -> Below:
        """What lies below places of a latent, given those before it."""
        shift, raw = (one[:, place] for one in self._numbers(state))
        narrow = exp(-raw / (1.0 + np.abs(raw) / _LOG_SLOPE))
        location = self.mean[place] - self.scale[place] * (shift * narrow)
        return location_scale(edges, location, self.scale[place] * narrow, normal_below)

    def add(self, state: State, place: int, z: Array) -> None:
        """This latent is z [n]."""
        state.z[:, place] = (z - self.mean[place]) / self.scale[place]

    def note(self, state: State, watch: Watch) -> None:
        """Hand on what the network returns for all latents, to a check word."""
        if isinstance(watch, OfGroup):
            watch.note("chain", np.stack(self._numbers(state)))

    @torch.no_grad()
    def _numbers(self, state: State) -> tuple[Array, Array]:
        out: NDArray[np.float64] = self.network(torch.from_numpy(state.z)).numpy()
        return out[:, ::2], out[:, 1::2]


class Chained(Normals):
    """A block whose prior is taken latent by latent.

    Parameters
    ----------
    prior : Component
        p(z), in 64 bits, its networks exact.
    posterior : Component
        q(z | x), a normal with independent elements.
    bits : int
        Binary digits of a bucket's number.
    reference : Reference or None
        Of the buckets.
    chain : Mixtures or Affine
        The prior's.
    """

    def __init__(
        self,
        prior: Component,
        posterior: Component,
        bits: int,
        reference: Reference | None,
        chain: Mixtures | Affine,
    ) -> None:
        super().__init__(prior, posterior, bits, reference)
        self.chain, self.settled = chain, chain.settled

    def push_prior(self, stack: Stack, whole: Whole, given: Given, watch: Watch) -> None:
        """Put buckets on the stack as p(z) has them, the last latent first."""
        for coder, symbols in reversed(list(self._coders(whole, watch))):
            coder.push(stack, symbols)

    def pop_prior(self, stack: Stack, rows: int, given: Given, watch: Watch) -> Whole:
        """The reverse."""
        whole, state = np.zeros((rows, len(self.location)), np.int64), self.chain.begin(rows)
        for place in self.chain.order:
            whole[:, place] = self._coder(state, place).pop(stack, rows)
            self.chain.add(state, place, self._z(place, whole[:, place]))
        self.chain.note(state, watch)
        return whole

    def prior_logs(self, whole: Whole, given: Given, watch: Watch) -> Whole:
        """log p(z) of each row, [n], as `whole_logs` has it."""
        total = np.zeros(len(whole), np.int64)
        for coder, symbols in self._coders(whole, watch):
            total += coder.logs(symbols)
        return total

    def _coders(self, whole: Whole, watch: Watch) -> Iterator[tuple[Nested, Whole]]:
        """Each latent's masses given those before it, and its buckets."""
        state = self.chain.begin(len(whole))
        for place in self.chain.order:
            yield self._coder(state, place), whole[:, place]
            self.chain.add(state, place, self._z(place, whole[:, place]))
        self.chain.note(state, watch)

    def _coder(self, state: State, place: int) -> Nested:
        start, unit = self.location[place], self.scale[place]
        return Nested(2**self.bits, self.chain.at(state, place, lambda places: start + unit * self.edges[places]))

    def _z(self, place: int, buckets: Whole) -> Array:
        z: Array = self.location[place] + self.scale[place] * self.middles[buckets]
        return z


def chain_of(prior: Component) -> Mixtures | Affine | None:
    """The chain of a prior that has one.

    Parameters
    ----------
    prior : Component
        In 64 bits, its networks exact.

    Returns
    -------
    Mixtures, Affine or None
        None for others: of flows of several layers, or of splines, nobody knows the masses of one latent alone.
    """
    if isinstance(prior, priors.Mixture):
        return _of_mixture(prior)
    if isinstance(prior, priors.Vamp) and type(prior.posterior) is posteriors.DiagonalNormal:
        return _of_vamp(prior)
    if isinstance(prior, priors.Flow) and affine_layer(prior) is not None:
        plain = prior.base == "standard"
        mean = np.zeros(prior.event) if plain else prior.means.detach().double().numpy()
        scale = np.ones(prior.event) if plain else exp(prior.logs.detach().double().numpy())
        return Affine(prior.flow, mean, scale)
    return None


def _of_mixture(prior: priors.Mixture) -> Mixtures:
    means, raw, logits = (one.detach().double()[0, 0].numpy() for one in (prior.means, prior.raw, prior.logits))
    scales = prior.floor + softplus(raw.reshape(len(raw), -1))
    below = prior.below.detach().double()[0, 0].numpy() if prior.covariance == "full" else None
    return Mixtures(logits, means.reshape(len(means), -1), scales, below)


def _of_vamp(prior: priors.Vamp) -> Mixtures:
    inputs = prior.pseudo_inputs.detach().double()
    location, raw = halves(run(prior.posterior, {"x": inputs, "seen": torch.ones_like(inputs)}))
    scales = np.sqrt(variance_of(prior.posterior, raw))
    return Mixtures(np.zeros(len(location)), location, scales, settled=location.tobytes() + scales.tobytes())
