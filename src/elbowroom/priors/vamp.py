"""The VampPrior."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from elbowroom.components import Component, as_event
from elbowroom.distributions.diagonal_mixture import DiagonalMixture
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

__all__ = ["Vamp"]


@described("vamp-prior")
class Vamp(Component):
    """The VampPrior: the mean of q(z | u) over learned pseudo-inputs u, with q the model's own posterior.

    The posterior is shared, not copied: it is trained through both places and stays one network after save and load.

    Parameters
    ----------
    posterior : Component
        The model's posterior block itself, which reads "x" alone, or with it which of its cells are seen, and is not
        over classes.
    inputs : int or sequence of int
        Shape of one x, as preprocessed.
    pseudo_inputs : int, default 100
        Number of pseudo-inputs. `fit` starts them at training examples, evenly spaced in their order.

    Raises
    ------
    InputError
        For a posterior block that reads anything else, or fewer than one pseudo-input.

    References
    ----------
    Tomczak & Welling, "VAE with a VampPrior" (2018).

    Examples
    --------
    >>> from elbowroom.posteriors import DiagonalNormal
    >>> Vamp(DiagonalNormal(nn.Linear(3, 4), 2), 3)({}).log_prob(torch.zeros(4, 5, 2)).shape
    torch.Size([4, 5])
    """

    def __init__(self, posterior: Component, inputs: int | Sequence[int], *, pseudo_inputs: int = 100) -> None:
        super().__init__(posterior.event)
        if set(posterior.given) not in ({"x"}, {"x", "seen"}) or posterior.classes > 1:
            raise InputError(
                f"A VampPrior calls the posterior on pseudo-inputs, so that must read 'x' alone and draw numbers; this "
                f"{type(posterior).__name__} reads {', '.join(posterior.given)}."
            )
        if pseudo_inputs < 1:
            raise InputError(f"pseudo_inputs must be 1 or more; got {pseudo_inputs}.")
        self.posterior = posterior
        self.pseudo_inputs = nn.Parameter(torch.rand(1, pseudo_inputs, *as_event(inputs, "A pseudo-input")))

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1]."""
        weights = self.pseudo_inputs.new_zeros(1, self.pseudo_inputs.shape[1])
        each = self.posterior({"x": self.pseudo_inputs, "seen": torch.ones_like(self.pseudo_inputs)})
        if isinstance(each, Independent) and isinstance(each.base_dist, Normal):
            return DiagonalMixture(weights, each.base_dist.loc, each.base_dist.scale)
        return MixtureSameFamily(Categorical(logits=weights, validate_args=False), each, validate_args=False)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Start the pseudo-inputs at training examples y [n, *event], as preprocessed."""
        count = self.pseudo_inputs.shape[1]
        with torch.no_grad():
            self.pseudo_inputs.copy_(y[torch.arange(count) * len(y) // count].unsqueeze(0))
        if count <= len(y):
            return []
        return [f"Vamp: {count:,} pseudo-inputs begin at {len(y):,} training examples; those that begin alike stay so."]
