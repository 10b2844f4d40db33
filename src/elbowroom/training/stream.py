"""What members are served in training: examples in an order, and noise."""

import math
from collections.abc import Iterator
from functools import partial

import torch
from torch import Generator, Tensor

from elbowroom.data import Examples
from elbowroom.data.values import Values
from elbowroom.numerics import Batch, Noise, derived_seed

from .settings import Settings
from .split import Split
from .training_step import TrainingStep

__all__ = ["Stream", "ValidationNoise", "steps_per_epoch"]

_NOISE_KEPT = 2**25


class Stream:
    """The order of the examples and the noise of a training: what one generator gives.

    Members of a stack that alone would draw as many numbers by the same seed share a stream; others have their own.

    Parameters
    ----------
    step : TrainingStep
        Draws the noise.
    settings : Settings
        Seed, batches and draws.
    training : Split
        What is trained on.
    validation : Examples
        What the epoch is chosen by.
    """

    def __init__(self, step: TrainingStep, settings: Settings, training: Split, validation: Examples) -> None:
        self.step, self.settings, self.training = step, settings, training
        self.generator = Generator(training.x.device).manual_seed(settings.seed)
        self.validation_noise = ValidationNoise(step, settings, validation)

    def epoch(self) -> Iterator[tuple[Batch, Noise]]:
        """One pass over the training data: batches in a new order, and their noise."""
        for rows in _batches(self.training.x, self.settings, self.generator):
            yield self._at(rows)

    def resume(self, state: Tensor, epoch: int) -> bool:
        """Go on from the generator's state after an epoch; where it is of another device, begin anew: False."""
        if len(state) == len(self.generator.get_state()):
            self.generator.set_state(state)
            return True
        self.generator.manual_seed(derived_seed(self.settings.seed, epoch))
        return False

    def another(self) -> tuple[Batch, Noise]:
        """A further batch for procedures that make several steps in one update, and its noise."""
        n, generator = len(self.training), self.generator
        size = (min(self.settings.batch_size, n),)
        return self._at(torch.randint(n, size, generator=generator, device=generator.device))

    def _at(self, rows: Tensor) -> tuple[Batch, Noise]:
        return self.training.batch(rows), self.step.draw_noise(self.settings.draws, len(rows), self.generator)


class ValidationNoise:
    """The noise of the validation examples: kept, or drawn again by its keys where it is of many cells.

    Parameters
    ----------
    step : TrainingStep
        Draws it.
    settings : Settings
        How many draws, and the seed.
    examples : Examples
        For validation.
    """

    def __init__(self, step: TrainingStep, settings: Settings, examples: Examples) -> None:
        self._draw = partial(step.keyed_noise, settings.draws, seed=settings.seed)
        self._index, of_x = examples.index, step.vae.preprocess.noise_shape or (0,)
        self._kept = self._draw(self._index) if len(examples) * math.prod(of_x) <= _NOISE_KEPT else None

    def __call__(self, rows: Tensor) -> Noise:
        """Of the examples at these positions."""
        if self._kept is None:
            return self._draw(self._index[rows.cpu()])
        return {name: v[rows] if name == "x" else v[:, rows] for name, v in self._kept.items()}


def steps_per_epoch(n: int, batch_size: int, ranks: int = 1) -> int:
    """How many optimizer steps one pass over the examples takes.

    Parameters
    ----------
    n : int
        Examples.
    batch_size : int
        Examples per step; a last batch of less than two per process joins the one before it.
    ranks : int, default 1
        Processes.

    Returns
    -------
    int
        Steps.

    Examples
    --------
    >>> steps_per_epoch(300, 100), steps_per_epoch(301, 100), steps_per_epoch(302, 100)
    (3, 3, 4)
    """
    whole, rest = divmod(n, batch_size)
    return max(whole + (rest >= 2 * ranks), 1)


def _batches(values: Values, settings: Settings, generator: Generator) -> Iterator[Tensor]:
    """Shuffled rows; a last batch of less than two per process joins the one before: batch norm cannot train on one."""
    order = values.shuffled(generator)
    cuts = [settings.batch_size * i for i in range(1, steps_per_epoch(len(order), settings.batch_size, settings.ranks))]
    yield from order.tensor_split(cuts)
