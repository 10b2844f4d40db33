"""Blocks of latents as buckets, and the masses of q(z | x) and p(z) over them."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elbowroom import posteriors, priors
from elbowroom.components import Component
from elbowroom.numerics import Given

from .counts import of_classes
from .families import location_scale
from .masses import LOG_UNITS, Below, Nested, Whole, from_weights, whole_logs
from .portable import Array, exp, normal_below, normal_quantile, softplus
from .stack import Stack
from .units import ROUGH_BITS, BelowCells, Units

__all__ = ["Block", "Classes", "Normals", "Reference", "fixed_prior", "quantiles", "told_places", "variance_of"]

_NOWHERE = 1e30
_STANDARD = (priors.StandardNormal, priors.Relevance)

Reference = tuple[Array, Array]
"""Mean and standard deviation [D] of the normal whose quantiles are the buckets of a block."""


@cache
def quantiles(bits: int) -> tuple[Array, Array]:
    """Edges [2^bits + 1] and middles [2^bits] of buckets that hold the same share of a standard normal.

    Parameters
    ----------
    bits : int
        Binary digits of a bucket's number.

    Returns
    -------
    edges : array
        From −10³⁰ to 10³⁰.
    middles : array
        What stands for each bucket.

    Examples
    --------
    >>> quantiles(1)[0].tolist(), quantiles(1)[1].round(4).tolist()
    ([-1e+30, 0.0, 1e+30], [-0.6745, 0.6745])
    """
    n = 2**bits
    lower = normal_quantile(np.arange(1, n + 1) / (2 * n))  # edges and middles in turn, to the median
    both = np.concatenate([[-_NOWHERE], lower, -lower[-2::-1], [_NOWHERE]])
    return both[::2], both[1::2]


class Normals:
    """A block of real numbers: q is a normal with independent elements, and so is p, where nothing else is said.

    Parameters
    ----------
    prior : Component
        p(z), in 64 bits, its networks exact.
    posterior : Component
        q(z | x), the same.
    bits : int
        Binary digits of a bucket's number.
    reference : Reference or None
        Of a block whose prior is not the same for every row; else its prior is taken.
    """

    def __init__(self, prior: Component, posterior: Component, bits: int, reference: Reference | None) -> None:
        self.prior, self.posterior, self.bits = prior, posterior, bits
        own = fixed_prior(prior)
        self.even = own is not None
        size = int(np.prod(prior.event))
        self.location, self.scale = own or reference or (np.zeros(size), np.ones(size))
        self.edges, self.middles = quantiles(bits)
        self.draws = size
        """How many times 16 bits a row is drawn from."""
        self.ascent: Ascend | None = None
        """What refines q row by row, where something does."""
        self.settled = b""
        """Numbers of the prior that networks have returned once for all rows: part of a file's probe."""

    def value(self, whole: Whole) -> Tensor:
        """Buckets [n, D] as z [1, n, *event]."""
        z = self.location + self.scale * self.middles[whole]
        return torch.from_numpy(z).reshape(1, len(whole), *self.prior.event)

    def pop_posterior(self, stack: Stack, given: Given, watch: "Watch") -> Whole:
        """Take a bucket for each row and element from the stack, as q(z | x) has them."""
        location, scale = self.posterior_of(given, watch)
        return self._nested(location, scale).pop(stack, location.size).reshape(location.shape)

    def push_posterior(self, stack: Stack, whole: Whole, given: Given, watch: "Watch") -> None:
        """The reverse."""
        self._nested(*self.posterior_of(given, watch)).push(stack, whole.reshape(-1))

    def push_prior(self, stack: Stack, whole: Whole, given: Given, watch: "Watch") -> None:
        """Put buckets on the stack as p(z) has them."""
        if self.even:
            stack.push_even(whole.reshape(-1), self.bits)
        else:
            self._nested(*self._prior_of(given, watch)).push(stack, whole.reshape(-1))

    def pop_prior(self, stack: Stack, rows: int, given: Given, watch: "Watch") -> Whole:
        """The reverse."""
        if self.even:
            return stack.pop_even(rows * len(self.location), self.bits).reshape(rows, -1)
        location, scale = self._prior_of(given, watch)
        return self._nested(location, scale).pop(stack, location.size).reshape(location.shape)

    def units(self, location: Array, scale: Array) -> Units:
        """q in whole units, from its mean and standard deviation."""
        location, scale = location.reshape(-1), scale.reshape(-1)
        rows = len(location) // len(self.location)
        start, unit = (np.tile(one, rows) for one in (self.location, self.scale))

        def place_of(shares: Whole) -> Whole:
            at = location + scale * quantiles(ROUGH_BITS)[0][shares]
            return (normal_below((at - start) / unit) * 2.0**self.bits).astype(np.int64)

        return Units(2**self.bits, _buckets_below(self.edges, start, unit, location, scale), place_of)

    def prior_logs(self, whole: Whole, given: Given, watch: "Watch") -> Whole:
        """log p(z) of each row, [n], as `whole_logs` has it."""
        if self.even:
            return np.full(len(whole), whole.shape[1] * int(whole_logs(np.array([2.0 ** (24 - self.bits)]))[0]))
        return self._nested(*self._prior_of(given, watch)).logs(whole.reshape(-1)).reshape(whole.shape).sum(1)

    def nats_posterior(self, whole: Whole, given: Given, watch: "Watch") -> Array:
        """What buckets [n, D] give back, [n]: −log of their masses under q."""
        return self._nested(*self.posterior_of(given, watch)).nats(whole.reshape(-1)).reshape(whole.shape).sum(1)

    def nats_prior(self, whole: Whole, given: Given, watch: "Watch") -> Array:
        """What they take, [n]: −log of their masses under p."""
        return -self.prior_logs(whole, given, watch) / LOG_UNITS

    def posterior_of(self, given: Given, watch: "Watch") -> tuple[Array, Array]:
        """Mean and standard deviation of q, [n, D]."""
        block: Any = self.posterior
        location, raw = halves(watch(block, given))
        variance = variance_of(block, raw)
        if not isinstance(block, posteriors.Ladder):
            scale = np.sqrt(variance)
            return (location, scale) if self.ascent is None else self.ascent(location, scale, given["x"][0])
        above, broad = self._prior_of(given, watch)
        precision, from_above = 1.0 / variance, 1.0 / (broad * broad)
        total = precision + from_above
        return (precision * location + from_above * above) / total, 1.0 / np.sqrt(total)

    def _prior_of(self, given: Given, watch: "Watch") -> tuple[Array, Array]:
        if (fixed := fixed_prior(self.prior)) is not None:
            return fixed
        if isinstance(self.prior, priors.FixedNormal):
            (name,) = self.prior.given
            one_hot, tables = given[name][0].double().numpy(), (self.prior.means, self.prior.stds)
            location, scale = (of_classes(name, one_hot, table.double().numpy()) for table in tables)
            return location, scale
        location, raw = halves(watch(self.prior, given))
        return location, self.prior.floor + softplus(raw)  # type: ignore[operator]

    def _nested(self, location: Array, scale: Array) -> Nested:
        rows, size = location.shape
        start, unit = (np.broadcast_to(one, (rows, size)).reshape(-1) for one in (self.location, self.scale))
        return Nested(2**self.bits, _buckets(self.edges, start, unit, location.reshape(-1), scale.reshape(-1)))


Ascend = Callable[[Array, Array, Tensor], tuple[Array, Array]]
"""From mean and standard deviation of the encoder's q, and x, to those of a better one."""

Watch = Callable[[Component, Given], Array]
"""Runs a component's network and remembers what came out: [n, numbers]."""


def _buckets(edges: Array, start: Array, unit: Array, location: Array, scale: Array) -> Below:
    def at(places: Whole) -> Array:
        return start[:, None] + unit[:, None] * edges[places]

    return location_scale(at, location, scale, normal_below)


def _buckets_below(edges: Array, start: Array, unit: Array, location: Array, scale: Array) -> BelowCells:
    """The probability below buckets of chosen cells."""

    def below(cells: Whole, places: Whole) -> Array:
        at = start[cells] + unit[cells] * edges[places]
        return normal_below((at - location[cells]) / scale[cells])

    return below


def variance_of(block: Any, raw: Array) -> Array:
    """Variances of q from raw numbers of its network."""
    variance: Array = (softplus(raw) if block.spread == "softplus" else exp(2.0 * raw)) + block.floor
    return variance


def halves(numbers: Array) -> tuple[Array, Array]:
    """The first half of each row and the second."""
    middle = numbers.shape[1] // 2
    return numbers[:, :middle], numbers[:, middle:]


def fixed_prior(prior: Component) -> Reference | None:
    """Mean and standard deviation of a prior that is the same for every row."""
    size = int(np.prod(prior.event))
    if isinstance(prior, _STANDARD):
        return np.zeros(size), np.ones(size)
    if isinstance(prior, priors.Normal) and prior.network is None:
        means, raw = (one.detach().double().numpy().reshape(-1) for one in (prior.means, prior.raw))
        return means, prior.floor + softplus(raw)
    if isinstance(prior, priors.FixedNormal) and not prior.given:
        return prior.means[0].double().numpy(), prior.stds[0].double().numpy()
    return None


def told_places(prior: Component) -> bool:
    """Whether a file says where the buckets of a block lie, as its prior is no one normal for every row."""
    return prior.over == "real numbers" and fixed_prior(prior) is None


class Classes:
    """A block over classes, one-hot.

    Parameters
    ----------
    prior : priors.Categorical
        p(y).
    posterior : posteriors.Categorical
        q(y | x).
    """

    draws = 1
    ascent: "Ascend | None" = None
    settled = b""

    def __init__(self, prior: Component, posterior: Component) -> None:
        self.prior, self.posterior = prior, posterior
        self.classes = prior.event[0]

    def value(self, whole: Whole) -> Tensor:
        """Classes [n, 1] as one-hot y [1, n, classes]."""
        return torch.eye(self.classes, dtype=torch.float64)[torch.from_numpy(whole[:, 0])].unsqueeze(0)

    def pop_posterior(self, stack: Stack, given: Given, watch: Watch) -> Whole:
        """Take a class for each row from the stack, as q(y | x) has them."""
        logits = watch(self.posterior, given)
        return _of_logits(logits).pop(stack, len(logits))[:, None]

    def push_posterior(self, stack: Stack, whole: Whole, given: Given, watch: Watch) -> None:
        """The reverse."""
        _of_logits(watch(self.posterior, given)).push(stack, whole[:, 0])

    def push_prior(self, stack: Stack, whole: Whole, given: Given, watch: Watch) -> None:
        """Put classes on the stack as p(y) has them."""
        _of_logits(self._prior_logits(len(whole), given, watch)).push(stack, whole[:, 0])

    def pop_prior(self, stack: Stack, rows: int, given: Given, watch: Watch) -> Whole:
        """The reverse."""
        return _of_logits(self._prior_logits(rows, given, watch)).pop(stack, rows)[:, None]

    def posterior_of(self, given: Given, watch: Watch) -> tuple[Array, ...]:
        """Logits of q, [n, classes]."""
        return (watch(self.posterior, given),)

    def units(self, logits: Array) -> Units:
        """q in whole units, from its logits."""
        below = from_weights(np.ascontiguousarray(logits))
        shares = below / below[:, -1:]
        return Units(self.classes, lambda rows, places: shares[rows, places])

    def prior_logs(self, whole: Whole, given: Given, watch: Watch) -> Whole:
        """log p(y) of each row, [n], as `whole_logs` has it."""
        return _of_logits(self._prior_logits(len(whole), given, watch)).logs(whole[:, 0])

    def nats_posterior(self, whole: Whole, given: Given, watch: Watch) -> Array:
        """What classes [n, 1] give back, [n]: −log of their masses under q."""
        return _of_logits(watch(self.posterior, given)).nats(whole[:, 0])

    def nats_prior(self, whole: Whole, given: Given, watch: Watch) -> Array:
        """What they take, [n]: −log of their masses under p."""
        return -self.prior_logs(whole, given, watch) / LOG_UNITS

    def _prior_logits(self, rows: int, given: Given, watch: Watch) -> Array:
        if self.prior.network is not None:
            return watch(self.prior, given)
        logits: Any = self.prior.logits
        return np.broadcast_to(logits.detach().double().numpy().reshape(1, -1), (rows, self.classes))


Block = Normals | Classes


def _of_logits(logits: Array) -> Nested:
    below = from_weights(np.ascontiguousarray(logits))
    return Nested(logits.shape[1], lambda places: np.take_along_axis(below, places, 1))
