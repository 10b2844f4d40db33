"""A penalty on the total correlation of the latents, estimated by an adversarial critic."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.objectives import Loss, Objective
from elbowroom.runs import described
from elbowroom.vae import VAE
from elbowroom.vae.terms import Terms

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
        Weight of the total correlation, from 0.
    lr, betas : default 1e-4, (0.5, 0.9)
        Of the critic's own optimizer.

    Raises
    ------
    InputError
        For a weight below 0, or a posterior over classes, which are not drawn.

    Source: Kim & Mnih, "Disentangling by factorising", 2018.

    >>> procedure = TotalCorrelation(nn.Linear(2, 1), weight=5.0)
    >>> [phase.parts for _, phase in procedure.items()]
    [('vae',), ('objective',)]
    """

    def __init__(
        self, critic: nn.Module, weight: float, *, lr: float = 1e-4, betas: Sequence[float] = (0.5, 0.9)
    ) -> None:
        if not 0 <= weight < float("inf"):
            raise InputError(f"weight must be finite and cannot be negative; got {weight}.")
        learner = Phase(_Critic(critic), ("objective",), lr=lr, betas=betas)
        super().__init__({"vae": Phase(_Penalised(critic, weight), ("vae",)), "critic": learner})


class _Critic(Objective):
    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        if any(block.classes > 1 for block in vae.posterior.values()):
            raise InputError("TotalCorrelation compares draws of z, and classes are not drawn: use another posterior.")
        return {"critic.order": (vae.latents,)}

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        with torch.no_grad():
            z = _draws(vae(batch, noise))
        factors = z.gather(0, noise["critic.order"].flatten(0, 1).argsort(0))
        return Loss((softplus(-self.critic(z)).mean() + softplus(self.critic(factors)).mean()) / 2)


class _Penalised(_Critic):
    weight: Tensor

    def __init__(self, critic: nn.Module, weight: float) -> None:
        super().__init__(critic)
        self.register_buffer("weight", torch.tensor(float(weight)))

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        terms = vae(batch, noise)
        z = _draws(terms)
        tc, centred = self.critic(z).mean(), (z - z.mean(0)).detach()
        total = terms.rate().mean() - terms.log_likelihood.mean() + self.weight * tc
        products = centred.T @ centred / len(z)
        shrunk = products + products.diagonal().diag() * z.shape[1] / len(z)
        return Loss(total, terms, {"tc": tc, "normal_tc": (shrunk.diagonal().log().sum() - shrunk.logdet()) / 2})

    def kept_by(self, means: Mapping[str, float]) -> float:
        return means["rate"] + means["distortion"] + float(self.weight) * means["normal_tc"]


def _draws(terms: Terms) -> Tensor:
    """All blocks side by side, [draws × batch, latents]."""
    return torch.cat([value.flatten(2) for value in terms.z.values()], -1).flatten(0, 1)
