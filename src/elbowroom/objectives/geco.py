"""The rate under a constraint on the distortion."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .objective import Loss, Objective

__all__ = ["Geco"]


@described("geco")
class Geco(Objective):
    """Rate + λ · (distortion − tolerance), where λ grows while the distortion is above the tolerance, and falls below.

    log λ starts at 0 and moves in every step by `speed` times the violation in nats, a moving average cut to [−1, 1]:
    far from the constraint λ goes at one pace. It stays within ± log `penalty`. No bound on log p(x): where the
    constraint holds, λ is the slope of the rate–distortion curve, as 1/β is for `Elbo`. An epoch is kept by
    rate + penalty · max(0, distortion − tolerance) on validation, which does not move as λ does. Logged: "multiplier".
    λ is kept in the objective, so each training takes a Geco of its own.

    Parameters
    ----------
    tolerance : float
        The largest distortion, −E log p(x | z), in nats per example.
    speed : float, default 0.01
        Largest change of log λ in a step.
    memory : float, default 0.9
        Share of the moving average that a step keeps.
    penalty : float, default 1000
        Largest λ, and what a nat of violation costs when epochs are compared.
    draws : int, default 1
        Draws of z per example and step.

    Raises
    ------
    InputError
        For a number that none of these can be.

    Source: Rezende & Viola, "Taming VAEs", 2018.

    >>> round(Geco(tolerance=20.0).kept_by({"rate": 3.0, "distortion": 20.5}))
    503
    """

    tolerance: Tensor
    log_multiplier: Tensor
    violation: Tensor

    def __init__(
        self, tolerance: float, *, speed: float = 0.01, memory: float = 0.9, penalty: float = 1e3, draws: int = 1
    ) -> None:
        super().__init__()
        if not (math.isfinite(tolerance) and 0 < speed <= 1 and 0 <= memory < 1 and 1 < penalty < math.inf):
            raise InputError(
                f"Geco needs a finite tolerance, a speed in (0, 1], a memory in [0, 1) and a penalty above 1; got "
                f"{tolerance}, {speed}, {memory} and {penalty}."
            )
        if draws < 1:
            raise InputError(f"Geco needs draws of 1 or more; got {draws}.")
        self.speed, self.memory, self.penalty, self.draws = speed, memory, penalty, draws
        for name, value in (("tolerance", tolerance), ("log_multiplier", 0.0), ("violation", math.nan)):
            self.register_buffer(name, torch.tensor(float(value)))

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch; the step does not matter."""
        terms, multiplier, most = vae(batch, noise), self.log_multiplier.exp(), math.log(self.penalty)
        violation = -terms.log_likelihood.mean() - self.tolerance
        now = violation.detach()
        average = torch.where(self.violation.isnan(), now, self.memory * self.violation + (1 - self.memory) * now)
        moved = (self.log_multiplier + self.speed * average.clamp(-1, 1)).clamp(-most, most)
        total = terms.rate().mean() + multiplier * violation
        return Loss(total, terms, {"multiplier": multiplier}, {"log_multiplier": moved, "violation": average})

    def kept_by(self, means: Mapping[str, float]) -> float:
        """Rate + penalty · max(0, distortion − tolerance)."""
        return means["rate"] + self.penalty * max(0.0, means["distortion"] - float(self.tolerance))
