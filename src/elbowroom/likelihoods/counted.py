"""What likelihoods of counts have in common: a mean that a size factor multiplies."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from elbowroom.numerics import Given, InputError, Support, one_of

from .likelihood import Likelihood, not_whole_from_0, refuse
from .links import bounded

__all__ = ["MOST_LOG_RATIO", "Counted", "SizeScale"]

SizeScale = Literal["linear", "log"]
MOST_LOG_RATIO = 20.0
_LEAST_MEAN = 1e-3


class Counted(Likelihood):
    """Counts whose mean is that of the training data at size 1 × exp(the network's number) × the size factor.

    The number is smoothly bounded to ±20.
    """

    base: Tensor

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        size_factor: str | None,
        size_scale: str,
        given: Sequence[str],
        more: Sequence[str] = (),
    ) -> None:
        one_of("size_scale", size_scale, ("linear", "log"))
        beside = dict.fromkeys([*(() if size_factor is None else (size_factor,)), *more])
        super().__init__(
            event, given=given, network=network, beside=tuple(name for name in beside if name not in given)
        )
        if size_factor is not None and size_factor in given:
            raise InputError(
                f"The size factor {size_factor!r} multiplies the mean and is no input of the network: leave it out of "
                f"given."
            )
        self.size_factor, self.size_scale = size_factor, size_scale
        self.register_buffer("base", torch.zeros(self.event))

    def log_mean(self, raw: Tensor, given: Given) -> Tensor:
        """Log of the mean count, [draws, batch, *event]."""
        log_mean = self.base + bounded(raw, MOST_LOG_RATIO)
        return (
            log_mean if self.size_factor is None else log_mean + self._log_size(given[self.size_factor].to(raw.dtype))
        )

    def _log_size(self, size: Tensor) -> Tensor:
        """Log of the size factor, [draws, batch, 1 …]."""
        if size.shape[2:].numel() != 1:
            raise InputError(
                f"The size factor {self.size_factor!r} is one number per example; it has the shape "
                f"{tuple(size.shape[2:])}."
            )
        size = size.reshape(*size.shape[:2], *[1] * len(self.event))
        return size if self.size_scale == "log" else size.clamp_min(torch.finfo(size.dtype).tiny).log()

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Settle the means where the network's numbers are 0: those of the training data y [n, *event]."""
        mean = y.double().mean(0)
        self.base.copy_(mean.clamp_min(_LEAST_MEAN).log())
        return [
            f"{type(self).__name__}: means start at those of the training data, {mean.mean().item():.3g} on average."
        ]

    def settle_beside(self, y: Tensor, beside: Given) -> list[str]:
        """Settle them at size 1 where the size is observed: Σ x / Σ size."""
        if self.size_factor not in beside:
            return []
        size = self._log_size(beside[self.size_factor].double().unsqueeze(0))[0].exp()
        mean = y.double().mean(0).clamp_min(_LEAST_MEAN) / size.mean()
        self.base.copy_(mean.log())
        self._settle_dispersion(y, size * mean)
        return [
            f"{type(self).__name__}: means are per {self.size_factor}, which is {size.mean().item():.3g} on average, "
            f"from {size.min().item():.3g} to {size.max().item():.3g}."
        ]

    def _settle_dispersion(self, y: Tensor, mean: Tensor) -> None:
        """Settle the dispersion about these means [n or 1, *event], where there is one."""

    def outside(self, y: Tensor) -> Tensor:
        """All but whole numbers from 0."""
        return not_whole_from_0(y)

    def holds(self, place: int = 0) -> str:
        """What a cell may hold, in words."""
        return "the counts 0, 1, 2, …"

    def check(self, support: Support) -> None:
        """Counts only."""
        if support.kind not in ("counts", "grid", "binary"):
            way_out = "take likelihoods.Normal for continuous data, likelihoods.Categorical for categories"
            raise refuse(self, "a probability of the counts 0, 1, 2, …", support, way_out)
