"""What an estimate cost."""

from dataclasses import dataclass

__all__ = ["Budget"]


@dataclass(frozen=True)
class Budget:
    """What an estimate cost.

    Parameters
    ----------
    draws : int
        Draws per example (chains, for annealing).
    seed : int
        Seed of the noise.
    seconds : float, default 0.0
        Time taken.
    """

    draws: int
    seed: int
    seconds: float = 0.0
