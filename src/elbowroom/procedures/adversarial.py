"""The aggregate posterior drawn to the prior by an adversarial critic."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from elbowroom.numerics import Batch, InputError, Noise
from elbowroom.objectives import Loss, Objective
from elbowroom.objectives.discrepancy import squared_discrepancy
from elbowroom.objectives.prior_draws import posterior_draws, prior_draws, prior_noise
from elbowroom.recipes import described
from elbowroom.vae import VAE

from .phase import Phase
from .procedure import Procedure

__all__ = ["Adversarial"]


@described("adversarial")
class Adversarial(Procedure):
    """Adversarial autoencoder: the distortion, plus what a critic says of draws of q(z) beside draws of the prior.

    The critic is trained in a second phase to tell the two apart; the encoder is trained to be taken for the prior, by
    weight · −log of the share that the critic gives it. Nothing of it is a density of x: the objective is no bound on
    log p(x), which the history says too, and q(z | x) need not be near the posterior. Logged: "fooling" (that
    −log, nats; log 2 where the critic sees no difference), "mmd" (see Notes) and "critic.objective".

    Parameters
    ----------
    critic : nn.Module
        From z [n, latents], all blocks side by side, to a logit [n, 1]: of the prior against q(z).
    weight : float, default 1.0
        Weight of the fooling, above 0.
    lr : float, default 1e-3
        Learning rate of the critic's own Adam, whose betas are (0.5, 0.9); the model's is that of `fit`.

    Raises
    ------
    InputError
        For a weight that is not above 0, and for a posterior over classes, which are not drawn.

    Notes
    -----
    The prior is what is aimed at, and is not trained. As the critic changes during training, epochs are compared by
    distortion + weight · "mmd", the squared maximum mean discrepancy of q(z) from the prior, as in
    `objectives.Discrepancy`.

    References
    ----------
    Makhzani, Shlens, Jaitly, Goodfellow & Frey, "Adversarial autoencoders" (2016).

    Examples
    --------
    >>> [phase.parts for _, phase in Adversarial(nn.Linear(2, 1), weight=5.0).items()]
    [('posterior', 'likelihood'), ('objective',)]
    """

    def __init__(self, critic: nn.Module, *, weight: float = 1.0, lr: float = 1e-3) -> None:
        if not 0 < weight < float("inf"):
            raise InputError(f"Adversarial needs a weight above 0, and finite; got {weight}.")
        learner = Phase(_Critic(critic, weight), parts=("objective",), lr=lr, betas=(0.5, 0.9))
        fooling = Phase(_Fooling(critic, weight), parts=("posterior", "likelihood"))
        super().__init__({"autoencoder": fooling, "critic": learner})


class _Critic(Objective):
    """The cross-entropy of the critic's logits for draws of the prior against draws of q(z)."""

    def __init__(self, critic: nn.Module, weight: float) -> None:
        super().__init__()
        self.critic, self.weight = critic, nn.Buffer(torch.tensor(float(weight)))

    def noise_shapes(self, vae: VAE) -> dict[str, tuple[int, ...]]:
        if vae.over_classes:
            raise InputError("Adversarial compares draws of z, and classes are not drawn: use another posterior.")
        return prior_noise(vae, "adversarial")

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        with torch.no_grad():
            ours, theirs = _flat(vae, posterior_draws(vae, batch, noise)), _from_prior(vae, batch, noise)
        return Loss((softplus(-self.critic(theirs)) + softplus(self.critic(ours))).mean() / 2)


class _Fooling(_Critic):
    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        terms = vae(batch, noise)
        ours = _flat(vae, terms.z)
        fooling = softplus(-self.critic(ours)).mean()
        total = self.weight * fooling - terms.log_likelihood.mean()
        with torch.no_grad():
            mmd = squared_discrepancy(ours, _from_prior(vae, batch, noise))
        return Loss(total, terms, {"fooling": fooling, "mmd": mmd})

    def kept_by(self, means: Mapping[str, float]) -> float:
        return means["distortion"] + float(self.weight) * means["mmd"]

    def remarks(self) -> list[str]:
        return [
            "Trained by a critic in the place of the rate: the objective bounds no log p(x), and q(z | x) may be far "
            "from the posterior, from which evidence starts."
        ]


def _from_prior(vae: VAE, batch: Batch, noise: Noise) -> Tensor:
    return _flat(vae, prior_draws(vae, vae.given(batch, noise)[0], noise, "adversarial"))


def _flat(vae: VAE, z: Mapping[str, Tensor]) -> Tensor:
    """All blocks side by side, [draws × batch, latents]."""
    return torch.cat([z[name].flatten(2) for name in vae.posterior], -1).flatten(0, 1)
