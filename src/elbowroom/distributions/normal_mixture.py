"""A mixture of normals from which one draw of every component is taken."""

from functools import partial

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, constraints

from elbowroom.numerics import CapabilityError

from ._draw import Draw, draw
from .capabilities import declare, detached

__all__ = ["NormalMixture"]


class NormalMixture(MixtureSameFamily):
    """Σ_k w_k N(z; loc_k, diag scale_k²).

    Its noise is one number more than a draw has: the last one chooses the component.

    Parameters
    ----------
    logits : Tensor
        log w_k, up to a constant, [*batch, components].
    loc : Tensor
        Means, [*batch, components, d].
    scale : Tensor
        Standard deviations, [*batch, components, d].

    Examples
    --------
    >>> q = NormalMixture(torch.zeros(2), torch.tensor([[-1.0], [1.0]]), torch.full((2, 1), 0.1))
    >>> q.mean, round(q.variance.item(), 4)
    (tensor([0.]), 1.01)
    """

    support = constraints.real_vector

    def __init__(self, logits: Tensor, loc: Tensor, scale: Tensor) -> None:
        weights = Categorical(logits=logits, validate_args=False)
        super().__init__(weights, Independent(Normal(loc, scale, validate_args=False), 1, False), validate_args=False)
        self.logits, self.loc, self.scale = weights.logits, loc, scale

    def of_component(self, which: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """A draw of one component per draw, with a gradient, and the log of that component's weight.

        Parameters
        ----------
        which : Tensor
            Number of the component of each draw, [draws, batch] or [draws, 1].
        noise : Tensor
            Standard normals [draws, batch, d].

        Returns
        -------
        tuple of Tensor
            [draws, batch, d]; [draws, batch].
        """
        lead = noise.shape[:2]
        place = which.expand(lead).view(*lead, 1, 1)
        parts = (t.expand(*lead, *t.shape[-2:]).take_along_dim(place, 2).squeeze(2) for t in (self.loc, self.scale))
        logits = self.logits.expand(*lead, -1).take_along_dim(which.expand(lead).unsqueeze(-1), -1).squeeze(-1)
        loc, scale = parts
        return torch.addcmul(loc, scale, noise), logits


@draw.register
def _(distribution: NormalMixture, noise: Tensor) -> Draw:
    if distribution.logits.requires_grad and torch.is_grad_enabled():
        raise CapabilityError(
            "The draw of one component of a mixture carries no gradient to its weights: a pass lays all components "
            "out (posteriors.Mixture); or draw under torch.no_grad()."
        )
    ends = distribution.logits.exp().cumsum(-1)[..., :-1]
    which = (torch.special.ndtr(noise[..., -1:]) > ends).sum(-1)
    value, _ = distribution.of_component(which, noise[..., :-1])
    return value, partial(distribution.log_prob, value)


declare(NormalMixture, "mean", "variance", "draw", "stack")


@detached.register
def _(distribution: NormalMixture) -> NormalMixture:
    return NormalMixture(distribution.logits.detach(), distribution.loc.detach(), distribution.scale.detach())
