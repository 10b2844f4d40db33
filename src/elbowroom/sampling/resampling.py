"""Chains of an annealing run drawn again by their weights, wherever few of them carry the weight."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .hmc import State

__all__ = ["Resampling", "systematic"]


def systematic(
    log_weights: Float[Tensor, "draws n"], uniform: Float[Tensor, "n"], samples: int
) -> Int[Tensor, "samples n"]:
    """Which draws are chosen in proportion to their weights, by systematic resampling.

    Parameters
    ----------
    log_weights : Tensor
        [draws, n], in nats.
    uniform : Tensor
        The one number in [0, 1) that each example takes, [n].
    samples : int
        How many are chosen.

    Returns
    -------
    Tensor
        Places among the draws, [samples, n], ascending.

    Examples
    --------
    >>> sure = torch.tensor([[0.0], [0.0], [-torch.inf]])
    >>> systematic(sure, torch.tensor([0.5]), 4).flatten().tolist()
    [0, 0, 1, 1]
    """
    steps = torch.arange(samples, device=log_weights.device).double().unsqueeze(-1)
    place = (steps + uniform.to(steps)) / samples
    below = log_weights.double().softmax(0).cumsum(0).mT.contiguous()
    return torch.searchsorted(below, place.mT.contiguous()).clamp(max=len(log_weights) - 1).mT


class Resampling:
    """Draws the chains of an example again where fewer than half of them carry the weight.

    Parameters
    ----------
    uniforms : Tensor
        In [0, 1), one for each step of the run and each example, [steps, n].

    Attributes
    ----------
    effective : Tensor
        The least effective number of chains at any step so far, [n]; infinite before the first.

    References
    ----------
    Del Moral, Doucet & Jasra, "Sequential Monte Carlo samplers" (2006).
    """

    def __init__(self, uniforms: Float[Tensor, "steps n"]) -> None:
        self._uniforms = iter(uniforms)
        self.effective = torch.full_like(uniforms[0], torch.inf, dtype=torch.float64)

    def __call__(self, state: State, log_weights: Float[Tensor, "chains n"]) -> tuple[State, Float[Tensor, "chains n"]]:
        """The chains, and their log-weights, which are 0 where they were drawn again.

        Parameters
        ----------
        state : State
            Before a transition.
        log_weights : Tensor
            [chains, n], in nats.

        Returns
        -------
        State
            After the choice.
        Tensor
            [chains, n].
        """
        chains, uniform = len(log_weights), next(self._uniforms)
        effective = (1 / log_weights.double().softmax(0).square().sum(0)).nan_to_num(0.0)  # where none has a weight
        self.effective = torch.minimum(self.effective, effective.to(self.effective))
        few = effective < chains / 2
        if not bool(few.any()):
            return state, log_weights
        stay = torch.arange(chains, device=few.device).unsqueeze(-1)
        chosen = torch.where(few, systematic(log_weights, uniform, chains), stay)
        factors, gradients = ([_taken(one, chosen) for one in many] for many in (state.log_factors, state.gradients))
        return State(_taken(state.z, chosen), tuple(factors), tuple(gradients)), log_weights.masked_fill(few, 0.0)


def _taken(values: Tensor, chosen: Int[Tensor, "chains n"]) -> Tensor:
    """Chains of [chains, n] or [chains, n, dim]."""
    return values.take_along_dim(chosen if values.dim() == 2 else chosen.unsqueeze(-1), 0)
