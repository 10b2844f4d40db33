"""The optimizer: its settings, and what it moves."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from elbowroom.numerics import InputError

__all__ = ["CLIP", "MOMENTS", "Adam", "Moves"]

CLIP = 10.0
"""Largest norm of a gradient, in nats per unit of the weights, wherever nobody says how models are trained."""

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What Adam keeps of a parameter, in its shape."""


@dataclass(frozen=True)
class Adam:
    """Settings of the optimizer.

    Parameters
    ----------
    lr : float, default 1e-3
        Learning rate.
    lr_final : float, optional
        Where it ends, falling by the same factor every epoch; by default it stays.
    betas : tuple of float, default (0.9, 0.999)
        Decay rates of the two moments.
    clip : float, optional
        Largest norm of a model's gradient; by default there is none.

    Raises
    ------
    InputError
        For numbers outside their ranges.
    """

    lr: float = 1e-3
    lr_final: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("lr", self.lr), ("lr_final", self.lr_final), ("clip", self.clip)):
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name} must be a positive number; got {value}.")
        pair = isinstance(self.betas, Sequence) and len(self.betas) == 2
        if not (pair and all(isinstance(beta, Real) and 0 <= beta < 1 for beta in self.betas)):
            raise InputError(
                f"betas are Adam's two decay rates, a pair from 0 to below 1 such as (0.9, 0.999); for the weight of "
                f"the KL say beta; got {self.betas!r}."
            )

    def rate_at(self, epoch: int, epochs: int) -> float:
        """The learning rate of an epoch (from 1): `lr` in the first, `lr_final` in the last.

        >>> [round(Adam(1e-3, 1e-5).rate_at(epoch, 3), 6) for epoch in (1, 2, 3)]
        [0.001, 0.0001, 1e-05]
        """
        if self.lr_final is None or epochs == 1:
            return self.lr
        return float(self.lr * (self.lr_final / self.lr) ** ((epoch - 1) / (epochs - 1)))


class Moves:
    """What one phase moves: parameters by name and their optimizer, with a learning rate for each member of a stack.

    Members next to each other that have the same settings share a part of every parameter; decay rates and clip are
    those of all.

    Parameters
    ----------
    parameters : dict of Tensor
        By name; of a stack [members, ...].
    adams : sequence of Adam
        One for each member, or one alone.
    """

    def __init__(self, parameters: dict[str, Tensor], adams: Sequence[Adam]) -> None:
        self.parameters, self.adams = parameters, list(adams)
        lengths = [len(list(same)) for _, same in itertools.groupby(self.adams)]
        self._ends = list(itertools.accumulate(lengths))
        self._views = {name: self._parts(p) for name, p in parameters.items()}
        parts = [[views[i] for views in self._views.values()] for i in range(len(lengths))]
        self.optimizer: torch.optim.Optimizer = torch.optim.Adam(
            [{"params": part} for part in parts], lr=self.adam.lr, betas=self.adam.betas, fused=True
        )

    @property
    def adam(self) -> Adam:
        """The first member's settings."""
        return self.adams[0]

    def begin(self, epoch: int, epochs: int) -> None:
        """Set the learning rates of an epoch (from 1)."""
        for end, group in zip(self._ends, self.optimizer.param_groups, strict=True):
            group["lr"] = self.adams[end - 1].rate_at(epoch, epochs)

    def along(self, gradients: Mapping[str, Tensor]) -> None:
        """One step along the gradients, by name."""
        for name, views in self._views.items():
            for view, gradient in zip(views, self._parts(gradients[name]), strict=True):
                view.grad = gradient.contiguous()  # fused Adam reads memory in the parameter's own order
        self.optimizer.step()

    def state(self, name: str) -> dict[str, Tensor]:
        """What the optimizer remembers of a parameter: "step", and two moments of its shape; nothing before a step."""
        found = [self.optimizer.state.get(view) for view in self._views[name]]
        parts = [one for one in found if one]
        if len(parts) < 2:
            return parts[0] if parts else {}
        return {"step": parts[0]["step"]} | {key: torch.cat([one[key] for one in parts]) for key in MOMENTS}

    def restore(self, name: str, state: Mapping[str, Tensor]) -> None:
        """Give the optimizer back what it remembered."""
        moments = zip(*(self._parts(state[key]) for key in MOMENTS), strict=True)
        for view, pair in zip(self._views[name], moments, strict=True):
            both = zip(("step", *MOMENTS), (state["step"], *pair), strict=True)
            self.optimizer.state[view] = {key: value.to(view.device, copy=True) for key, value in both}

    def _parts(self, tensor: Tensor) -> list[Tensor]:
        """The tensor [members, ...] in parts of members with the same settings; as it is where all have them."""
        ends = self._ends
        return [tensor] if len(ends) == 1 else [tensor[a:b] for a, b in zip([0, *ends], ends, strict=False)]
