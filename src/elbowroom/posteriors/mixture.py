"""A mixture of normals as a posterior."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from elbowroom.components import Component
from elbowroom.distributions.normal_mixture import NormalMixture
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

from .diagonal_normal import Spread, check_spread, variance_of

__all__ = ["Mixture"]


@described("mixture-posterior")
class Mixture(Component):
    """q(z | x) as a mixture of normals with diagonal covariances, Σ_k w_k(x) N(z; μ_k(x), diag σ_k²(x)).

    A pass lays the components out: from every one it takes a draw z_k, evaluates the decoder there, and weighs by w_k.
    Σ_k w_k [log p(x, z_k) − log q(z_k | x)] with the density q of the whole mixture is an unbiased estimate of the
    ELBO, a lower bound on log p(x), at the cost of `components` passes of the decoder; its gradient reaches the weights
    exactly and the rest through the draws. With K draws, log (1/K) Σ Σ_k w_k p(x, z_k) / q(z_k | x) is a lower bound
    too. The KL has no closed form; it is Σ_k w_k [log q(z_k | x) − log p(z_k)].

    Parameters
    ----------
    network : nn.Module
        Reads the tensors named in `given` and returns K + 2 K d numbers for K components and d latent dimensions: the
        logits of the weights, the means of all components, then their raw standard deviations.
    event : int or sequence of int
        Number of latent dimensions: d or (d,).
    components : int, default 2
        K, 2 or more.
    given : sequence of str, default ("x",)
        Names of the tensors that the network reads, in the order of its arguments: "x", contexts, earlier blocks.
    spread : {"softplus", "exp"}, default "softplus"
        How a raw number becomes a variance: softplus(raw) + floor, or exp(2 · raw) + floor.
    floor : float, default 1e-5
        Least variance.

    Raises
    ------
    InputError
        For fewer than two components, another word, a negative floor, or an event that is not one row.

    Notes
    -----
    Components start apart, one standard deviation at most, or they would stay alike.

    References
    ----------
    Roeder, Wu & Duvenaud, "Sticking the landing" (2017): summing mixture components out.
    Morningstar, Vikram, Ham, Gallagher & Dillon, "Automatic differentiation variational inference with mixtures"
    (2021): the stratified bounds.

    Examples
    --------
    >>> import torch
    >>> q = Mixture(nn.Linear(3, 10), 2)
    >>> q({"x": torch.zeros(1, 5, 3)}).batch_shape
    torch.Size([1, 5])
    """

    form = "mixture"

    def __init__(
        self,
        network: nn.Module,
        event: int | Sequence[int],
        *,
        components: int = 2,
        given: Sequence[str] = ("x",),
        spread: Spread = "softplus",
        floor: float = 1e-5,
    ) -> None:
        super().__init__(event, given=given, network=network)
        if len(self.event) > 1 or components < 2:
            raise InputError(
                f"A Mixture is over one row of latent dimensions and of 2 components or more; got event {self.event} "
                f"and {components}."
            )
        check_spread(spread, floor)
        self.classes = self.components = components
        self.spread, self.floor = spread, floor
        self.noise_shape = (self.event[0] + 1,)

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        k, d = self.components, self.event[0]
        logits, *others = self.numbers_from(given, k + 2 * k * d).split([k, k * d, k * d], -1)
        loc, raw = (part.unflatten(-1, (k, d)) for part in others)
        return NormalMixture(logits, loc + self._apart(loc), variance_of(raw, self.spread, self.floor).sqrt())

    def _apart(self, like: Tensor) -> Tensor:
        """Where components start: evenly on [−1, 1] in every dimension, in another order in each, [K, d]."""
        k, d = like.shape[-2:]
        order = (torch.arange(k).unsqueeze(1) + torch.arange(d)) % k
        return (2 * order / (k - 1) - 1).to(like)
