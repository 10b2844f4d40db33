"""What the loop does."""

from dataclasses import dataclass

from .selection import Select

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """What the loop does.

    Parameters
    ----------
    epochs : int
        Passes over the training data.
    batch_size : int
        Examples per step.
    seed : int
        Of shuffling and noise.
    patience : int or None
        Epochs without a better validation value before a model stops.
    select : {"objective", "calibrated", "last"}
        What the kept epoch is chosen by.
    draws : int
        Of z, per example.
    schedule_steps : int
        Epochs that end before this step are never chosen and do not spend patience.
    progress : bool, default True
        Whether standard error shows how far it is.
    rank : int, default 0
        Of this process among those that share every batch.
    ranks : int, default 1
        How many these are.
    settle : bool, default True
        Whether components take from the data what was left open.
    """

    epochs: int
    batch_size: int
    seed: int
    patience: int | None
    select: Select
    draws: int
    schedule_steps: int
    progress: bool = True
    rank: int = 0
    ranks: int = 1
    settle: bool = True
