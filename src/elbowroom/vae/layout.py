"""How the classes of discrete blocks are laid out beside the draws, and summed out again."""

import math
from collections.abc import Callable, Collection, Mapping
from functools import cached_property, partial

import torch
from torch import Tensor
from torch.distributions import Distribution

from elbowroom.distributions import draw
from elbowroom.distributions._draw import Draw
from elbowroom.distributions.normal_mixture import NormalMixture
from elbowroom.numerics import Noise

__all__ = ["Layout"]


class Layout:
    """How the classes of discrete blocks stand beside the draws in one pass.

    The first dimension of a pass is [draws, classes of the first block over classes, of the second, …], flattened.
    Where all blocks are over classes, draws are alike, and only one is computed. The components of a mixture stand like
    classes, each with a draw of its own.

    Parameters
    ----------
    classes : mapping of str to int
        Classes of every block; 1 for those that are drawn, whose draws stand once beside every combination of classes.
    noise : dict of Tensor
        Of the pass; its first dimension is the number of draws.
    alike : bool
        Whether no block is drawn, nor any component of one.
    apart : collection of str, default ()
        Drawn blocks whose posterior reads no class: a single draw of these need not be repeated for every class, nor
        what is computed from them alone.
    """

    def __init__(self, classes: Mapping[str, int], noise: Noise, alike: bool, *, apart: Collection[str] = ()) -> None:
        self._classes = {name: count for name, count in classes.items() if count > 1}
        self._combinations = math.prod(self._classes.values())
        self._draws = len(noise[next(iter(classes))])
        self._computed = 1 if alike else self._draws
        self._apart = apart if self._draws == 1 else ()
        self._log_weights: list[Callable[[], Tensor]] = []
        self._log_of_components: dict[str, Tensor] = {}

    def value(self, name: str, q: Distribution, noise: Tensor) -> Draw:
        """A block's value and its log-density.

        Parameters
        ----------
        name : str
            Of the block.
        q : Distribution
            Its posterior.
        noise : Tensor
            [draws, batch, *noise_shape].

        Returns
        -------
        value : Tensor
            [draws × classes, batch, *event]; [1, batch, *event] of one draw for all classes.
        log_density : callable
            Computes log q of it, [draws × classes, batch].
        """
        if name not in self._classes:
            every = 1 if name in self._apart else self._combinations
            return draw(q, noise.repeat_interleave(every, 0) if every > 1 else noise)
        if isinstance(q, NormalMixture):
            each = noise[..., :-1].repeat_interleave(self._combinations, 0)
            value, self._log_of_components[name] = q.of_component(self._places(name, noise.device), each)
            return value, partial(q.log_prob, value)
        after = self._after(name)
        before = self._computed * self._combinations // (self._classes[name] * after)
        one_hot = torch.eye(self._classes[name], dtype=noise.dtype, device=noise.device)
        value = one_hot.repeat_interleave(after, 0).repeat(before, 1).unsqueeze(1).expand(-1, noise.shape[1], -1)
        return value, partial(q.log_prob, value)

    def log_weight(self, name: str, log_density: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """What computes the log of what a block's classes weigh: `log_density`, or the weights of its components."""
        if name not in self._log_of_components:
            return log_density
        found = self._log_of_components[name]
        return lambda: found

    def weigh(self, name: str, log_weight: Callable[[], Tensor]) -> None:
        """Weigh the classes of a block by `log_weight` [draws × classes, batch]; no matter for drawn blocks."""
        if name in self._classes:
            self._log_weights.append(log_weight)

    def _after(self, name: str) -> int:
        """How many combinations of the classes of later blocks there are."""
        names = list(self._classes)
        return math.prod(self._classes[later] for later in names[names.index(name) + 1 :])

    def _places(self, name: str, device: torch.device) -> Tensor:
        """Number of the class in every place of the first dimension, [draws × classes, 1]."""
        places = torch.arange(self._computed * self._combinations, device=device)
        return (places // self._after(name) % self._classes[name]).unsqueeze(1)

    def mean(self, values: Tensor) -> Tensor:
        """Means over the classes, [draws, batch, ...], of values [draws × classes or 1, batch, ...]."""
        if not self._classes or len(values) == 1:
            return values
        weights = self._log_weight.exp()
        weights = weights.view(*weights.shape, *[1] * (values.dim() - 2))
        return self._by_draw(weights * values).sum(1).expand(self._draws, *values.shape[1:])

    def log_mean_exp(self, values: Tensor) -> Tensor:
        """Logs of the means of exp(values) over the classes, [draws, batch], of values [draws × classes, batch]."""
        if not self._classes:
            return values
        return self._by_draw(self._log_weight + values).logsumexp(1).expand(self._draws, -1)

    def _by_draw(self, values: Tensor) -> Tensor:
        return values.unflatten(0, (self._computed, self._combinations))

    @cached_property
    def _log_weight(self) -> Tensor:
        return sum((log_weight() for log_weight in self._log_weights), torch.zeros(()))
