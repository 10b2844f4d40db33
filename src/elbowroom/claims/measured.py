"""What a model's evaluation is made of, example by example: all that a mistaken one leaves out or counts twice."""

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elbowroom.numerics import Rows, in_parts
from elbowroom.numerics.seeded import seeded
from elbowroom.priors import StandardNormal
from elbowroom.vae import VAE, Terms
from elbowroom.vae.evaluating import evaluating

__all__ = ["Measured", "in_training_mode", "measure"]

_CELLS = 2**22  # draws × examples × elements of one pass
_TRAINING_BATCH = 128


@dataclass(frozen=True)
class Measured:
    """Terms of the bounds of some examples, float64, in nats on the user's scale.

    Parameters
    ----------
    log_likelihood : Tensor
        log p(x | z), [draws, n].
    rate : Tensor
        KL(q ‖ p) of each example, closed where it can be, [draws, n].
    log_weight : Tensor
        log p(x, z) − log q(z | x), [draws, n].
    at_mean : Tensor
        log p(x | z) at the mean of q, [n].
    weight_at_mean : Tensor
        log p(x, z) − log q(z | x) there, [n].
    standard : Tensor or None
        log q(z | x) − log N(z; 0, I), [draws, n], where p(z) is another prior.
    log_jacobian : Tensor
        Of the preprocessing, [n].
    dimensions : int
        Elements of one x.
    latents : int
        Latent dimensions.
    sigma : float or None
        The one σ of a Gaussian p(x | z), on the scale of preprocessed x.
    """

    log_likelihood: Tensor
    rate: Tensor
    log_weight: Tensor
    at_mean: Tensor
    weight_at_mean: Tensor
    standard: Tensor | None
    log_jacobian: Tensor
    dimensions: int
    latents: int
    sigma: float | None

    @property
    def elbo(self) -> Tensor:
        """[draws, n]."""
        return self.log_likelihood - self.rate

    @property
    def squares(self) -> Tensor | None:
        """Σ (y − mean)² of a Gaussian with one σ, [draws, n], on the scale of preprocessed x."""
        if self.sigma is None:
            return None
        off = self.log_likelihood - self.log_jacobian + self.constant
        return -2 * self.sigma**2 * off

    @property
    def constant(self) -> float:
        """D/2 · log(2πσ²)."""
        return 0.5 * self.dimensions * math.log(2 * math.pi * (self.sigma or 1.0) ** 2)


@torch.no_grad()
def measure(vae: VAE, rows: Rows, draws: int, seed: int) -> Measured:
    """Run a model over examples, with draws of q and at its mean.

    Parameters
    ----------
    vae : VAE
        The model.
    rows : Rows
        The examples.
    draws : int
        Of z, per example.
    seed : int
        Keys the noise.

    Returns
    -------
    Measured
        All terms.
    """
    size = math.prod(vae.likelihood.event)
    parts: list[list[Tensor]] = []
    with evaluating(vae):
        for batch in in_parts(rows, most=max(1, min(1_000, _CELLS // (draws * size)))):
            terms = vae(batch, vae.keyed_noise(draws, batch.index, seed))
            one = vae.keyed_noise(1, batch.index, seed)
            still = {name: noise if name == "x" else torch.zeros_like(noise) for name, noise in one.items()}
            centre = vae(batch, still)
            at_mean = (centre.log_likelihood[0], centre.log_weight[0])
            parts.append([*_of(terms, draws), *at_mean, *_standard(vae, terms)])
    columns = [torch.cat([part[k].double().cpu() for part in parts], -1) for k in range(len(parts[0]))]
    standard = columns[6] if len(columns) > 6 else None
    ll, rate, weight, jacobian, alike, weight_alike = columns[:6]
    return Measured(ll, rate, weight, alike, weight_alike, standard, jacobian, size, vae.latents, _sigma(vae))


def _of(terms: Terms, draws: int) -> tuple[Tensor, ...]:
    rate = terms.rate("auto")
    jacobian = terms.log_jacobian.expand(terms.log_likelihood.shape[-1])
    return terms.log_likelihood, rate.expand(draws, -1), terms.log_weight, jacobian


def _standard(vae: VAE, terms: Terms) -> tuple[Tensor, ...]:
    """log q − log N(0, I) of the draws, where the prior is no N(0, I)."""
    if all(type(block) is StandardNormal for block in vae.prior.values()) or vae.over_classes:
        return ()
    log_q: Any = sum(terms.log_posterior.values())
    log_n = sum(-0.5 * (z.square() + math.log(2 * math.pi)).flatten(2).sum(-1) for z in terms.z.values())
    return ((log_q - log_n),)


def _sigma(vae: VAE) -> float | None:
    likelihood: Any = vae.likelihood
    if getattr(likelihood, "kind", "") != "normal" or likelihood.scale in ("predicted", "feature"):
        return None
    return float(likelihood.common_scale().item())


@torch.no_grad()
def in_training_mode(vae: VAE, rows: Rows, seed: int) -> Tensor | None:
    """The ELBO of each example as it is in training mode, in batches of 128; None where modes make no difference.

    Parameters
    ----------
    vae : VAE
        The model, which stays as it is.
    rows : Rows
        The examples.
    seed : int
        Of the noise.

    Returns
    -------
    Tensor or None
        [n], in nats.
    """
    found: list[list[Tensor]] = [[], []]
    for values, mode in zip(found, (True, False), strict=True):
        own = copy.deepcopy(vae).train(mode)
        with seeded(seed, vae.device):
            for batch in in_parts(rows, most=_TRAINING_BATCH):
                terms = own(batch, own.keyed_noise(1, batch.index, seed))
                values.append((terms.log_likelihood - terms.rate("auto"))[0].double().cpu())
    trained, plain = (torch.cat(values) for values in found)
    return None if torch.allclose(trained, plain) else trained
