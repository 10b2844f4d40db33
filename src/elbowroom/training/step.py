"""The one module that is wrapped, compiled, stacked or distributed."""

from torch import Tensor, nn

from elbowroom.numerics import Batch, Noise
from elbowroom.objectives import Loss, Objective
from elbowroom.vae import VAE

__all__ = ["TrainingStep"]


class TrainingStep(nn.Module):
    """A model and its objective: forward(batch, noise, step) → Loss."""

    def __init__(self, vae: VAE, objective: Objective) -> None:
        super().__init__()
        self.vae, self.objective = vae, objective

    def forward(self, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss of the model on a batch."""
        loss: Loss = self.objective(self.vae, batch, noise, step)
        return loss
