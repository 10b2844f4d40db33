"""Gradients by the score of q: nothing passes through a draw, so that z may be of any kind."""

import math

import torch
from torch import Tensor

from elbowroom.numerics import CapabilityError, InputError
from elbowroom.vae import VAE
from elbowroom.vae.terms import PerDraw, Terms

__all__ = ["check_costs_apart", "check_vimco", "moved_by_score", "others", "vimco"]


def check_costs_apart(vae: VAE) -> None:
    """Refuse a model in which the cost of one draw depends on the other draws."""
    if getattr(vae.likelihood, "scale", None) == "optimal":
        raise CapabilityError(
            "scale='optimal' is shared by all draws of a batch, so that no draw has a cost of its own that its score "
            "could be weighed by: take scale='shared', or gradient='plain'."
        )


def check_vimco(draws: int, groups: int) -> None:
    """Refuse a group of one draw, which has no others to be compared with."""
    if draws < 2 * groups:
        raise InputError(
            f"gradient='vimco' compares a draw with the others of its group: give 2 draws a group or more; got "
            f"{draws} draws in {groups} groups."
        )


def others(values: Tensor) -> Tensor:
    """The mean of the other draws beside each, over the first dimension; 0 where there is no other."""
    k = len(values)
    return (values.sum(0) - values) / (k - 1) if k > 1 else torch.zeros_like(values)


def moved_by_score(cost: PerDraw, score: PerDraw, weight: PerDraw) -> Tensor:
    """The mean cost, with the gradient of weight · log q of every draw added to that of the cost at fixed draws."""
    return cost.mean() + (weight.detach() * (score - score.detach())).mean()


def vimco(terms: Terms, groups: int, elbo: Tensor) -> Tensor:
    """The negative bound of `Iwae`, whose gradient reaches q by scores weighed by what each draw adds to the bound."""
    log_weight = terms.log_weight.unflatten(0, (groups, -1))
    size = log_weight.shape[1]
    bound = log_weight.logsumexp(1, keepdim=True) - math.log(size)
    weights = log_weight.softmax(1)
    mean = others(log_weight.transpose(0, 1)).transpose(0, 1)
    with torch.no_grad():  # each draw's weight replaced by the geometric mean of the others'
        replaced = torch.logaddexp(_log_sum_of_others(log_weight), mean) - math.log(size)
    # The bound itself falls by a draw's weight as its log q rises; less 1 / K, as scores are 0 on average.
    learnt = elbo * (log_weight - mean) / size + (1 - elbo) * (bound - replaced - weights + 1 / size)
    score = terms.score.unflatten(0, (groups, -1))
    gained = (learnt.detach() * (score - score.detach())).sum(1).mean()
    return -(elbo * log_weight.mean() + (1 - elbo) * bound.mean() + gained)


def _log_sum_of_others(log_weight: Tensor) -> Tensor:
    """The log of the sum of exp over the other draws of the group, without a difference: [groups, draws, batch]."""
    up = torch.logcumsumexp(log_weight, 1)
    down = torch.logcumsumexp(log_weight.flip(1), 1).flip(1)
    none = torch.full_like(log_weight[:, :1], -math.inf)
    return torch.logaddexp(torch.cat([none, up[:, :-1]], 1), torch.cat([down[:, 1:], none], 1))
