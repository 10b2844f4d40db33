"""Automatic relevance: a standard normal whose latents the decoder does without where the data allow."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from elbowroom.numerics import InputError
from elbowroom.recipes import described

from .standard_normal import StandardNormal

__all__ = ["Relevance"]

_SWITCHED_OFF = 3.0  # floors


@described("relevance-prior")
class Relevance(StandardNormal):
    """N(0, I), with a prior on the decoder's weights that switches off latents which the data do not need.

    The H weights that lead from latent i into the decoder's first layer, w_i, have a normal prior of an unknown
    precision of their own, which is integrated out: log p(w_i) = −(H / 2) log (|w_i|² + floor²) + a constant. What is
    trained is the objective − Σ_i log p(w_i) / N for N training examples, the weights at their most probable. p(z) and
    p(x | z) stay what they are: every bound on log p(x) is that of an ordinary model with the weights found.

    Parameters
    ----------
    event : int or sequence of int
        Number of latent dimensions d: d or (d,).
    decoder : nn.Module
        The network of p(x | z) itself, whose first linear layer reads z first; one module in both places.
    floor : float, default 0.01
        Length below which weights are as good as zero, above 0. A latent counts as relevant from three floors on.

    Raises
    ------
    InputError
        For a floor that is not positive, or a decoder without a linear layer that reads z.

    Notes
    -----
    With a linear decoder, a variance λ of the data along a principal axis and noise σ², a latent can stay if λ / σ² >
    1 + 2 γ + 2 √(γ (1 + γ)) with γ = H / N, just above the largest that pure noise has; a weaker direction is lost.
    With hidden layers lengths can shrink together while later layers make up for it, so that the number says less.
    The size is found at the optimum, and the last superfluous latents vanish slowly: with an encoder beside, a few
    hundred updates leave many of them. Train long, and let the learning rate fall (lr_final), before reading the size.

    References
    ----------
    MacKay, "Bayesian non-linear modelling for the prediction competition" (1994): automatic relevance determination.
    Bishop, "Bayesian PCA" (1999).
    Tipping, "Sparse Bayesian learning and the relevance vector machine" (2001): the precision integrated out.

    Examples
    --------
    >>> decoder = nn.Linear(2, 3)
    >>> _ = decoder.weight.data.copy_(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.001]]))
    >>> Relevance(2, decoder).relevant().tolist()
    [True, False]
    """

    examples: Tensor

    def __init__(self, event: int | Sequence[int], decoder: nn.Module, *, floor: float = 0.01) -> None:
        super().__init__(event)
        if not floor > 0 or len(self.event) > 1:
            raise InputError(
                f"Relevance is over one row of latents, with a floor above 0; got event {self.event} and {floor}."
            )
        self.decoder, self.floor = decoder, floor
        self.register_buffer("examples", torch.tensor(torch.inf))
        self._weights()

    def _weights(self) -> Tensor:
        """What leads from each latent into the decoder, [H, d]."""
        for layer in self.decoder.modules():
            if isinstance(layer, nn.Linear):
                if layer.in_features >= self.event[0]:
                    return layer.weight[:, : self.event[0]]
                break
        raise InputError(
            f"Relevance needs a decoder whose first layer is linear and reads {self.event[0]} latents, and this "
            f"{type(self.decoder).__name__} has none: take prior='standard-normal'."
        )

    def weigh_against(self, examples: int) -> None:
        """Take the number of training examples, which the prior of the weights is weighed against."""
        self.examples.fill_(float(examples))

    def weight_penalty(self) -> Tensor:
        """−Σ_i log p(w_i) / N up to a constant, in nats per example; 0 before `weigh_against`."""
        weights = self._weights()
        logs = (weights.square().sum(0) + self.floor**2).log()
        own = logs if self.units is None else logs.where(self.units, 0.0)
        return len(weights) / (2 * self.examples) * own.sum()

    @torch.no_grad()
    def relevant(self) -> Tensor:
        """Which latents lead anywhere, [d] bool."""
        return self._weights().norm(dim=0) > _SWITCHED_OFF * self.floor

    def state_words(self) -> list[str]:
        """How many latents are relevant."""
        return [f"{int(self.relevant().sum())} of {self.event[0]} latents relevant"]
