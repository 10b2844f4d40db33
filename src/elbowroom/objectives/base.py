"""What every objective is: a module whose numbers are buffers."""

from typing import NamedTuple

from torch import Tensor, nn

from elbowroom.numerics import Batch, Noise
from elbowroom.vae import VAE

__all__ = ["Loss", "Objective"]


class Loss(NamedTuple):
    """total: what is minimised, a scalar in nats per example; record: its parts, detached batch means."""

    total: Tensor
    record: dict[str, Tensor]


class Objective(nn.Module):
    """(vae, batch, noise, step) → Loss.

    draws: draws of z per example in a training step; schedule_steps: steps until every schedule has ended, before
    which no checkpoint is chosen and no training stopped. A step of infinity asks for the objective after its schedule.
    """

    draws: int = 1
    schedule_steps: int = 0

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch at one step (a float scalar)."""
        raise NotImplementedError
