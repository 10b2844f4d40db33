"""How the classes of discrete blocks are laid out beside the draws, and summed out again."""

import math
from collections.abc import Callable, Mapping
from functools import cached_property, partial

import torch
from torch import Tensor
from torch.distributions import Distribution

from elbowroom.distributions import draw
from elbowroom.distributions._draw import Draw
from elbowroom.numerics import Noise

__all__ = ["Layout"]


class Layout:
    """The first dimension of a pass: [draws, classes of the first block over classes, of the second, …], flattened.

    classes: of every block, 1 for those that are drawn; a draw of these stands once beside every combination of
    classes. Where all blocks are over classes, draws are alike, and only one is computed.
    """

    def __init__(self, classes: Mapping[str, int], noise: Noise) -> None:
        self._classes = {name: count for name, count in classes.items() if count > 1}
        self._combinations = math.prod(self._classes.values())
        self._draws = len(noise[next(iter(classes))])
        self._computed = 1 if len(self._classes) == len(classes) else self._draws
        self._log_weights: list[Callable[[], Tensor]] = []

    def value(self, name: str, q: Distribution, noise: Tensor) -> Draw:
        """The block's value [draws × classes, batch, *event] and its log-density."""
        if name not in self._classes:
            every = self._combinations
            return draw(q, noise.repeat_interleave(every, 0) if every > 1 else noise)
        names = list(self._classes)
        after = math.prod(self._classes[later] for later in names[names.index(name) + 1 :])
        before = self._computed * self._combinations // (self._classes[name] * after)
        one_hot = torch.eye(self._classes[name], dtype=noise.dtype, device=noise.device)
        value = one_hot.repeat_interleave(after, 0).repeat(before, 1).unsqueeze(1).expand(-1, noise.shape[1], -1)
        return value, partial(q.log_prob, value)

    def weigh(self, name: str, log_weight: Callable[[], Tensor]) -> None:
        """The classes of a block weigh as `log_weight` [draws × classes, batch] says; no matter for drawn blocks."""
        if name in self._classes:
            self._log_weights.append(log_weight)

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
