"""Reweighted wake–sleep: both model and posterior learn from weighted draws."""

import torch
from torch import Tensor

from elbowroom.numerics import Batch, CapabilityError, InputError, Noise
from elbowroom.objectives import Iwae, Loss, Objective
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .phase import Phase
from .procedure import Procedure
from .wake_sleep import Sleep

__all__ = ["ReweightedWakeSleep"]


@described("reweighted-wake-sleep")
class ReweightedWakeSleep(Procedure):
    """Reweighted wake–sleep: the model climbs the importance-weighted bound, q follows the posterior that it estimates.

    The model is trained by `Iwae`, whose negative is a lower bound on log p(x) and by which epochs are compared. The
    posterior is trained by Σ_k w_k log q(z_k | x) with w the weights of K draws of it, each a constant, which lowers
    KL(p(z | x) ‖ q(z | x)) as K grows, and needs no gradient through a draw.

    Parameters
    ----------
    draws : int, default 10
        K, the draws of z per example and step, 2 or more.
    sleep : bool, default False
        Whether q is also trained by draws of the model, as in `WakeSleep`.

    Raises
    ------
    InputError
        For fewer than 2 draws, with which every weight is 1.

    Notes
    -----
    A posterior over classes is refused: its classes are summed out exactly, and there is nothing to weigh.

    References
    ----------
    Bornschein & Bengio, "Reweighted wake-sleep" (2015).
    Le et al., "Revisiting reweighted wake-sleep for models with stochastic control flow" (2019).

    Examples
    --------
    >>> [name for name, _ in ReweightedWakeSleep(draws=5, sleep=True).items()]
    ['wake', 'posterior', 'sleep']
    """

    def __init__(self, *, draws: int = 10, sleep: bool = False) -> None:
        if draws < 2:
            raise InputError(f"ReweightedWakeSleep weighs draws against each other: give 2 or more; got {draws}.")
        phases = {
            "wake": Phase(Iwae(draws=draws), parts=("prior", "likelihood")),
            "posterior": Phase(_WeightedPosterior(draws), parts=("posterior",)),
        }
        super().__init__(phases | ({"sleep": Phase(Sleep(), parts=("posterior",))} if sleep else {}))


class _WeightedPosterior(Objective):
    """−Σ_k w_k log q(z_k | x) at constant draws and weights."""

    def __init__(self, draws: int) -> None:
        super().__init__()
        self.draws = draws

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        if vae.over_classes:
            raise CapabilityError(
                "A posterior over classes has its classes summed out, so there are no draws to weigh: train it by "
                "objectives.Elbo or objectives.Iwae."
            )
        with torch.no_grad():
            terms = vae(batch, noise)
            weights = terms.log_weight.softmax(0)
            given, _ = vae.given(batch, noise)
            given |= terms.z
        log_q = torch.zeros(())
        for name, block in vae.posterior.items():
            each = block(given).log_prob(given[name])
            log_q = log_q + (each.masked_fill(batch.observed[name][1], 0.0) if name in batch.observed else each)
        return Loss(-(weights * log_q).sum(0).mean())
