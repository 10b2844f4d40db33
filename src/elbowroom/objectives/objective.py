"""What every objective is: a module whose numbers are buffers."""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from elbowroom.numerics import Batch, Noise
from elbowroom.vae import VAE
from elbowroom.vae.terms import Terms

__all__ = ["Loss", "Objective"]


class Loss(NamedTuple):
    """What an objective makes of one batch.

    Parameters
    ----------
    total : Tensor
        What is minimised, a scalar, in nats per example.
    terms : Terms or None, default None
        Of the objective's own pass on the batch: rate and distortion are logged from them. None costs a pass more.
    record : Mapping[str, Tensor]
        Batch means to be logged beside "objective", "rate" and "distortion", scalars under names of their own.
    moved : Mapping[str, Tensor]
        New values of the objective's own buffers, by name; they are written after the update.
    """

    total: Tensor
    terms: Terms | None = None
    record: Mapping[str, Tensor] = {}
    moved: Mapping[str, Tensor] = {}


class Objective(nn.Module):
    """(vae, batch, noise, step) → Loss.

    A step of infinity asks for the objective after its schedule. Its parameters are trained beside the model's, and
    with its buffers they stand in the checkpoint.

    Attributes
    ----------
    draws : int
        Draws of z per example in a training step.
    schedule_steps : int
        Steps until every schedule has ended, before which no epoch is chosen and no training stopped.
    """

    draws: int = 1
    schedule_steps: int = 0

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch at one step (a float scalar)."""
        raise NotImplementedError

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        """Shapes per draw and example of standard-normal noise wanted beside the model's, by names with a dot."""
        return {}

    def kept_by(self, means: Mapping[str, float]) -> float:
        """The number by which an epoch is kept, smaller is better, from the validation means of what is logged.

        It must mean the same in every epoch: an objective that itself moves states another number than its total.
        """
        return means["objective"]
