"""What is descended."""

from collections.abc import Mapping

from torch import Tensor, nn

from elbowroom.data import Examples
from elbowroom.numerics import Batch, Noise
from elbowroom.vae import VAE

from .loss import Loss
from .schedules import Schedule

__all__ = ["Objective"]


class Objective(nn.Module):
    """A training objective: from a model and a batch to the loss that is minimised.

    A subclass defines `forward(vae, batch, noise, step)`, which returns a `Loss`. Its own parameters are trained beside
    the model's, and they and its buffers are kept in checkpoints.

    Attributes
    ----------
    draws : int
        Draws of z per example in a training step.
    schedule : Schedule or None
        What rises during training, where there is such a thing.
    contexts : tuple of str
        Contexts that it draws itself, which the networks of a recipe then read.
    of_classes : bool
        Whether it needs a block of classes that is known for some examples.

    Examples
    --------
    >>> class Distortion(Objective):
    ...     def forward(self, vae, batch, noise, step):
    ...         terms = vae(batch, noise)
    ...         return Loss(-terms.log_likelihood.mean(), terms)
    >>> Distortion().draws
    1
    """

    draws: int = 1
    contexts: tuple[str, ...] = ()
    of_classes: bool = False
    schedule: Schedule | None

    def __init__(self) -> None:
        super().__init__()
        self.schedule = None

    @property
    def schedule_steps(self) -> int:
        """Optimizer steps until every schedule has ended; before that no epoch is chosen and no training stopped."""
        return 0 if self.schedule is None else self.schedule.length

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch.

        Parameters
        ----------
        vae : VAE
            The model.
        batch : Batch
            Examples.
        noise : Noise
            Standard-normal noise, [draws, batch, …] each, by the name of the block or of the objective's own noise.
        step : Tensor
            Optimizer steps before this one, a float scalar; infinity asks for the objective after its schedules.

        Returns
        -------
        Loss
            The total that is minimised, in nats per example, and what is logged.
        """
        raise NotImplementedError

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        """Shapes of the noise that the objective needs beside the model's, per draw and example, by names with a dot.

        Parameters
        ----------
        vae : VAE
            The model.

        Returns
        -------
        dict of str to tuple of int
            A shape for every name; the noise is standard normal.
        """
        return {}

    def kept_by(self, means: Mapping[str, float]) -> float:
        """The number by which epochs are compared; the epoch with the smallest is kept.

        It must mean the same in every epoch: an objective whose total changes its meaning during training returns
        another number here.

        Parameters
        ----------
        means : Mapping[str, float]
            Validation means of what is logged, by name.

        Returns
        -------
        float
            Smaller is better.
        """
        return means["objective"]

    def weigh_against(self, vae: VAE, examples: Examples) -> None:
        """Take from the training examples what the objective must know of them; most have no use for it.

        Parameters
        ----------
        vae : VAE
            The model.
        examples : Examples
            What it is trained on.
        """

    def remarks(self) -> list[str]:
        """What a reader of the numbers must know of them, as that no density was trained; they stand in the history.

        Returns
        -------
        list of str
            Whole sentences; none by default.
        """
        return []
