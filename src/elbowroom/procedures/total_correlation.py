"""A penalty on the total correlation of the latents, estimated by an adversarial critic."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.objectives import Loss, Objective
from elbowroom.objectives.prior_draws import posterior_draws
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .phase import Phase
from .procedure import Procedure

__all__ = ["TotalCorrelation"]


@described("total-correlation")
class TotalCorrelation(Procedure):
    """FactorVAE: the negative ELBO plus a penalty on the total correlation of the aggregate posterior.

    A critic is trained in a second phase to tell draws z ~ q(z) from draws whose coordinates are permuted over the
    batch; its mean logit at draws of z estimates the total correlation TC = KL(q(z) ‖ Π q(z_j)), in nats. Logged: "tc"
    (the critic's estimate), "normal_tc" (see Notes) and "critic.objective".

    Parameters
    ----------
    critic : nn.Module
        From z [n, latents], all blocks side by side, to a logit [n, 1].
    weight : float
        Weight of the total correlation; 0 trains the plain VAE beside a critic that does not influence it.
    lr : float, default 1e-4
        Learning rate of the critic's own Adam, whose betas are (0.5, 0.9) as in the paper; the model's is that of
        `fit`.

    Raises
    ------
    InputError
        For a posterior over classes, which are not drawn.

    Notes
    -----
    With the true TC the total is above the negative ELBO, so its negative is a lower bound on log p(x); with a critic's
    estimate it is none, while the logged rate and distortion still make one. As the critic changes during training,
    epochs are compared by rate + distortion + weight · "normal_tc", the TC of a normal distribution with the draws'
    correlations (shrunk by latents / draws).

    References
    ----------
    Kim & Mnih, "Disentangling by factorising" (2018).

    Examples
    --------
    >>> procedure = TotalCorrelation(nn.Linear(2, 1), weight=5.0)
    >>> [phase.parts for _, phase in procedure.items()]
    [('vae',), ('objective',)]
    """

    def __init__(self, critic: nn.Module, weight: float, *, lr: float = 1e-4) -> None:
        learner = Phase(_Critic(critic, weight), parts=("objective",), lr=lr, betas=(0.5, 0.9))
        super().__init__({"vae": Phase(_Penalised(critic, weight), parts=("vae",)), "critic": learner})


class _Critic(Objective):
    def __init__(self, critic: nn.Module, weight: float) -> None:
        super().__init__()
        self.critic, self.weight = critic, nn.Buffer(torch.tensor(float(weight)))

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        if vae.over_classes:
            raise InputError("TotalCorrelation compares draws of z, and classes are not drawn: use another posterior.")
        return {"critic.order": (vae.latents,)}

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        with torch.no_grad():
            z = _flat(posterior_draws(vae, batch, noise))
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
