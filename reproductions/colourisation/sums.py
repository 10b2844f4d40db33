"""Exact sums over all segmentations: of log p, of its bounds and of their gradients.

The class of a cell picks the numbers of that cell's colours alone, and neighbours are read as colours. So log p(colour
| z, grey) is a sum over cells, each of which depends on its own class: with neighbours too. Then p(z | colour, grey)
has independent cells, and the sum over K^64 segmentations is a product of 64 sums over K.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.distributions import Distribution

import elbowroom as er
from elbowroom.distributions import Autoregressive, draw, simulate
from elbowroom.distributions.categorical_grid import categorical_grid
from elbowroom.numerics import Batch, Noise, derived_seed
from elbowroom.objectives import Loss, Objective

_COLOURS, _NESTED = 1, 2  # draws with seeds of their own


@dataclass
class Cells:
    """What is known of a batch of images, by class and cell; log-probabilities in nats.

    log_p, log_q: [batch, h, w, classes], of p(z | grey) and of the encoder's q. log_x: the same shape, log p of a
    cell's colours, those of its neighbours given, where the cell is of a class.
    """

    log_p: Tensor
    log_q: Tensor
    log_x: Tensor

    @property
    def log_evidence(self) -> Tensor:
        """log p(colour | grey), [batch], exactly."""
        return (self.log_p + self.log_x).logsumexp(-1).sum((1, 2))

    @property
    def log_posterior(self) -> Tensor:
        """log p(z | colour, grey) by cell and class, exactly."""
        return (self.log_p + self.log_x).log_softmax(-1)

    def kl(self, log_q: Tensor) -> Tensor:
        """KL(q ‖ p(z | grey)) by cell, [batch, h, w]."""
        return (log_q.exp() * (log_q - self.log_p)).sum(-1)

    @property
    def entropy(self) -> Tensor:
        """H(z | grey), [batch]: no information is more."""
        return -(self.log_p.exp() * self.log_p).sum((1, 2, 3))

    @property
    def rate(self) -> Tensor:
        """KL(q ‖ p(z | grey)) of the encoder's q, [batch]."""
        return self.kl(self.log_q).sum((1, 2))

    @property
    def distortion(self) -> Tensor:
        """−E_q log p(colour | z, grey) under the encoder's q, [batch]."""
        return -(self.log_q.exp() * self.log_x).sum((1, 2, 3))


def cells_of(vae: er.VAE, batch: Batch, y: Tensor | None = None) -> Cells:
    """The sums' terms at a batch, or at other colours y [batch, 2, H, W] under its grey."""
    given, _ = vae.given(batch, {})
    if y is not None:
        given = given | {"x": y.unsqueeze(0)}
    log_q, log_p = (cast(Any, part(given)).base_dist.logits[0] for part in (vae.posterior["z"], vae.prior["z"]))
    likelihood = cast(Any, vae.likelihood)
    numbers = likelihood.network.of_classes(given["grey"][0]).transpose(0, 1)  # classes in the place of draws
    each = by_element(likelihood.distribution(numbers.unbind(2), given), given["x"])
    grid = log_p.shape[1]
    log_x = each.unflatten(-1, (grid, -1)).unflatten(-3, (grid, -1)).sum((2, 4, 6))
    return Cells(log_p, log_q, log_x.movedim(0, -1))


def by_element(p_x: Distribution, y: Tensor) -> Tensor:
    """log p of every element given those that it reads, [draws, batch, 2, H, W], of y [1, batch, 2, H, W]."""
    own: Any = p_x
    if isinstance(own, Autoregressive):
        found: Tensor = own.conditional(y, None).log_prob(y.flatten(2))
        return found.unflatten(2, y.shape[2:])
    return cast(Tensor, own.base_dist.log_prob(y))


class BySums(Objective):
    """Distortion + β · rate with both summed over all segmentations: the β-weighted negative ELBO without any draw.

    At β = 1 and with nothing free, −total is a lower bound on log p(colour | grey). `allowance`: nats of every cell's
    rate that are free, as of `FreeBits(per="dimension")`: the batch mean's.
    """

    def __init__(self, beta: float = 1.0, allowance: float = 0.0) -> None:
        super().__init__()
        self.beta, self.allowance = beta, allowance

    def forward(self, vae: er.VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch."""
        cells = cells_of(vae, batch)
        rates = cells.kl(cells.log_q).mean(0)
        total = cells.distortion.mean() + self.beta * rates.clamp(min=self.allowance).sum()
        return Loss(total)


class ByEvidence(Objective):
    """−log p(colour | grey) + KL(q ‖ p(z | colour, grey)): the negative ELBO, of which p climbs the evidence itself.

    The encoder follows the exact posterior, which moves nothing of the model: what is learnt of z is no matter of q.
    Epochs are compared by the evidence.
    """

    def forward(self, vae: er.VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch."""
        cells = cells_of(vae, batch)
        gap = (cells.log_q.exp() * (cells.log_q - cells.log_posterior.detach())).sum((1, 2, 3))
        surprise = -cells.log_evidence.mean()
        return Loss(gap.mean() + surprise, logged={"surprise": surprise})

    def kept_by(self, means: Mapping[str, float]) -> float:
        """−log p(colour | grey)."""
        return means["surprise"]


@dataclass
class Joint:
    """Draws of the model's joint under the grey of a batch, z [batch, h, w, classes] and colours, and their sums."""

    z: Tensor
    colours: Tensor
    cells: Cells

    @property
    def log_likelihood(self) -> Tensor:
        """log p(colour | z, grey) at the z that was drawn, [batch]."""
        return (self.z * self.cells.log_x).sum((1, 2, 3))

    def information(self) -> dict[str, Tensor]:
        """What has I(colour; z | grey) for its mean, in two ways, and what it is compared with; [batch], nats.

        "by posterior": KL(p(z | colour, grey) ‖ p(z | grey)), never below 0. "by likelihood": log p(colour | z, grey) −
        log p(colour | grey) at the z that was drawn. Neither is biased, as both logs are exact; the second is noisier.
        """
        cells = self.cells
        return {
            "by posterior": cells.kl(cells.log_posterior).sum((1, 2)),
            "by likelihood": self.log_likelihood - cells.log_evidence,
            "entropy": cells.entropy,
            "rate": cells.rate,
        }

    def nested(self, draws: int, seed: int) -> tuple[Tensor, Tensor]:
        """I with log p(colour | grey) estimated by draws of the encoder's q: too high and too low, [batch] each.

        What is left where nothing can be summed. The log of the mean weight of the draws is too small, so that I comes
        out too high; with the z that was drawn among them, which is a draw of p(z | colour, grey), too large, and I
        too low.
        """
        cells = self.cells
        noise = torch.randn(draws, *self.z.shape, generator=torch.Generator().manual_seed(derived_seed(seed, _NESTED)))
        others = draw(categorical_grid(cells.log_q.unsqueeze(0)), noise)[0]
        weigh = cells.log_p + cells.log_x - cells.log_q
        weights = (others * weigh).sum((2, 3, 4))
        own = (self.z * weigh).sum((1, 2, 3))
        among = torch.cat([weights[1:], own.unsqueeze(0)])
        high, low = (self.log_likelihood - each.logsumexp(0) + math.log(draws) for each in (weights, among))
        return high, low


@torch.no_grad()
def joint(vae: er.VAE, batch: Batch, seed: int) -> Joint:
    """One draw of z and of colours for each image of a batch."""
    drawn = vae.draw_prior(len(batch.x), seed, {"grey": batch.context["grey"]})
    colours = simulate(vae.likelihood(drawn), torch.Generator().manual_seed(derived_seed(seed, _COLOURS)))[0]
    return Joint(drawn["z"][0], colours, cells_of(vae, batch, colours))
