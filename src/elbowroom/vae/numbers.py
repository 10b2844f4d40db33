"""What a posterior's networks return for an example, and the posterior with other such numbers."""

from torch import Tensor, nn

from elbowroom.components import Component
from elbowroom.numerics import Batch, CapabilityError, Noise

from .core import VAECore

__all__ = ["numbers_of", "with_numbers"]


class _Returned(nn.Module):
    """A network that has returned its numbers already."""

    def __init__(self, numbers: Tensor) -> None:
        super().__init__()
        self.numbers = numbers

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.numbers


def numbers_of(vae: VAECore, batch: Batch, noise: Noise) -> dict[str, Tensor]:
    """What the networks of every posterior block return for a batch, such as means and raw spreads.

    Parameters
    ----------
    vae : VAECore
        The model.
    batch : Batch
        Examples.
    noise : dict of Tensor
        Of the preprocessing.

    Returns
    -------
    dict of Tensor
        Block → [batch, numbers].

    Raises
    ------
    CapabilityError
        For a block without a network, or one that reads another block's draws.
    """
    for name, block in vae.posterior.items():
        if block.network is None or set(block.given) & set(vae.posterior):
            raise CapabilityError(
                f"Block {name!r} of the posterior has no numbers of its own for an example (it has no network, or "
                f"reads another block's draws), so there is nothing to refine: take objectives.Elbo."
            )
    given, _ = vae.given(batch, noise)
    return {name: block.network_output(given)[0].flatten(1) for name, block in vae.posterior.items()}


def with_numbers(vae: VAECore, numbers: dict[str, Tensor]) -> dict[str, Component]:
    """The posterior as it is where its networks return these numbers.

    Parameters
    ----------
    vae : VAECore
        The model.
    numbers : dict of Tensor
        Block → [batch, numbers].

    Returns
    -------
    dict of Component
        The blocks, for a pass over the batch that the numbers are of.
    """
    return {name: block.with_network(_Returned(numbers[name]), block.given) for name, block in vae.posterior.items()}
