"""The rate with an allowance that costs nothing."""

import math
from typing import Literal

import torch
from torch import Tensor

from elbowroom.numerics import Batch, CapabilityError, InputError, Noise, one_of
from elbowroom.recipes import described
from elbowroom.vae import VAE
from elbowroom.vae.terms import Terms

from .loss import Loss
from .objective import Objective

__all__ = ["FreeBits"]


@described("free-bits")
class FreeBits(Objective):
    """Distortion + Σ max(allowance, KL of a block or dimension): the first nats of each are free.

    As no KL counts for less than it is, −total is a lower bound on the mean log p(x), looser than the ELBO. "free", the
    share of blocks or dimensions within their allowance, is logged. Epochs are compared by the objective itself.

    Parameters
    ----------
    allowance : float
        Nats per block or dimension that cost nothing, 0 or more: the KL is the batch mean's.
    per : {"block", "dimension"}, default "block"
        What has an allowance of its own. "dimension" needs a KL in closed form.
    draws : int, default 1
        Draws of z per example and step.

    Raises
    ------
    InputError
        For an argument outside its range.

    References
    ----------
    Kingma et al., "Improved variational inference with inverse autoregressive flow" (2016).

    Examples
    --------
    >>> FreeBits(0.5, per="dimension").per
    'dimension'
    """

    allowance: Tensor

    def __init__(self, allowance: float, *, per: Literal["block", "dimension"] = "block", draws: int = 1) -> None:
        super().__init__()
        one_of("per", per, ("block", "dimension"))
        if not 0 <= allowance < math.inf:
            raise InputError(f"An allowance is nats of rate: 0 or more, and finite; got {allowance}.")
        if draws < 1:
            raise InputError(f"FreeBits needs draws of 1 or more; got {draws}.")
        self.per, self.draws = per, draws
        self.register_buffer("allowance", torch.tensor(float(allowance)))

    def forward(self, vae: VAE, batch: Batch, noise: Noise, step: Tensor) -> Loss:
        """The loss on one batch; the step does not matter."""
        terms = vae(batch, noise)
        by_block = {name: self._rates(terms, name) for name in terms.z}
        rates = torch.cat(list(by_block.values()))
        counted = torch.cat([self._counted(terms, name, len(each)) for name, each in by_block.items()]).to(rates)
        total = (counted * rates.clamp(min=self.allowance)).sum() - terms.log_likelihood.mean()
        free = (counted * (rates < self.allowance)).sum() / counted.sum()
        return Loss(total, terms, {"free": free.detach()})

    def _counted(self, terms: Terms, block: str, rates: int) -> Tensor:
        """Which of a block's rates have an allowance: its own, or that of each dimension that is the model's own."""
        units = None if self.per == "block" else terms.units.get(block)
        return terms.y.new_ones(rates) if units is None else units.flatten()

    def _rates(self, terms: Terms, block: str) -> Tensor:
        """Batch means of the KL: of a block, or of each of its dimensions."""
        if self.per == "block":
            return terms.kl(block).mean().unsqueeze(0)
        elements = terms.elementwise_kl(block)
        if elements is None:
            raise CapabilityError(
                f"The KL of block {block!r} has no closed form, so it cannot be told apart by dimension: use "
                "per='block'."
            )
        return elements.mean((0, 1)).flatten()
