"""How annealing went, per example."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import Estimate, count

__all__ = ["AnnealingTrace"]


@dataclass(frozen=True)
class AnnealingTrace:
    """How annealing went on each of n examples, from `simulated_against_real`.

    Parameters
    ----------
    betas : NDArray[np.float64]
        Inverse temperatures, [temperatures + 1, n].
    acceptance : NDArray[np.float64]
        Mean acceptance probability over chains, at all inverse temperatures but the first and the last,
        [temperatures − 1, n].
    increment_variance : NDArray[np.float64]
        Variance over chains of what each step adds to the log-weights, [temperatures, n], in nats².
    log_weight_variance : NDArray[np.float64]
        Variance over chains of the final log-weights, [n], in nats².
    """

    betas: NDArray[np.float64]
    acceptance: NDArray[np.float64]
    increment_variance: NDArray[np.float64]
    log_weight_variance: NDArray[np.float64]

    @property
    def shortfall(self) -> Estimate:
        """Half the variance of log w, per example: the distance of E log w below log p(x), were log w Gaussian."""
        return Estimate.of(
            self.log_weight_variance / 2, np.nan, quantity="½ Var log w", estimator="annealing", direction="unbiased"
        )

    def __str__(self) -> str:
        temperatures, points = self.increment_variance.shape
        return (
            f"½ Var log w: {self.shortfall.mean:.3f} nats ±{self.shortfall.se_total:.3f} ({count(points, 'point')}), "
            f"acceptance {self.acceptance.mean():.2f}, {count(temperatures, 'temperature')}"
        )

    __repr__ = __str__
