"""A penalty on the total correlation of the latents, estimated by an adversarial critic."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.objectives import Loss, Objective
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .procedure import Phase, Procedure

__all__ = ["TotalCorrelation"]


@described("total-correlation")
class TotalCorrelation(Procedure):
    """FactorVAE: negative ELBO + weight · TC of the draws z ~ q(z), where a critic says how far they are from factors.

    The critic is a network z → logit [n, 1], trained to tell draws of z from draws whose coordinates are permuted over
    the batch; its mean logit at draws of z estimates TC = KL(q(z) ‖ Π q(z_j)). With the true TC the total is above the
    negative ELBO, so a bound on log p(x); with a critic's it is none, while the logged rate and distortion make one.
    The critic moves, so an epoch is kept by rate + distortion + weight · TC of a Normal with the draws' correlations
    ("normal_tc", shrunk by latents / draws). Logged beside it: "tc" (the critic's) and "critic.objective".

    Parameters
    ----------
    critic : nn.Module
        From z [n, latents], all blocks side by side, to a logit [n, 1].
    weight : float
        Weight of the total correlation; 0 trains the plain VAE beside a critic that it does not hear.
    lr : float, default 1e-4
        Of the critic's own Adam, whose betas are (0.5, 0.9) as in the source; the model's is that of `fit`.

    Raises
    ------
    InputError
        For a posterior over classes, which are not drawn.

    Source: Kim & Mnih, "Disentangling by factorising", 2018.

    >>> procedure = TotalCorrelation(nn.Linear(2, 1), weight=5.0)
    >>> [phase.parts for _, phase in procedure.items()]
    [('vae',), ('objective',)]
    """

    def __init__(self, critic: nn.Module, weight: float, *, lr: float = 1e-4) -> None:
        learner = Phase(_Critic(critic, weight), ("objective",), lr=lr, betas=(0.5, 0.9))
        super().__init__({"vae": Phase(_Penalised(critic, weight), ("vae",)), "critic": learner})


class _Critic(Objective):
    def __init__(self, critic: nn.Module, weight: float) -> None:
        super().__init__()
        self.critic, self.weight = critic, nn.Buffer(torch.tensor(float(weight)))

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        if any(block.classes > 1 for block in vae.posterior.values()):
            raise InputError("TotalCorrelation compares draws of z, and classes are not drawn: use another posterior.")
        return {"critic.order": (vae.latents,)}

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        with torch.no_grad():
            z = _flat(vae(batch, noise).z)
        factors = z.gather(0, noise["critic.order"].flatten(0, 1).argsort(0))
        return Loss(nn.functional.softplus(torch.cat([-self.critic(z), self.critic(factors)])).mean())


class _Penalised(_Critic):
    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        terms = vae(batch, noise)
        z = _flat(terms.z)
        total = terms.rate().mean() - terms.log_likelihood.mean() + self.weight * (tc := self.critic(z).mean())
        covariance = torch.atleast_2d(torch.cov(z.detach().T))
        shrunk = covariance + covariance.diagonal().diag() * z.shape[1] / len(z)
        return Loss(total, terms, {"tc": tc, "normal_tc": (shrunk.diagonal().log().sum() - shrunk.logdet()) / 2})

    def kept_by(self, means: Mapping[str, float]) -> float:
        return means["rate"] + means["distortion"] + float(self.weight) * means["normal_tc"]


def _flat(z: Mapping[str, Tensor]) -> Tensor:
    """All blocks side by side, [draws × batch, latents]."""
    return torch.cat([value.flatten(2) for value in z.values()], -1).flatten(0, 1)
