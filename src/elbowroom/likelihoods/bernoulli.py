"""Bernoulli likelihood of binary data."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Distribution, Independent
from torch.nn.functional import binary_cross_entropy_with_logits

from elbowroom.distributions.binary_bernoulli import BinaryBernoulli
from elbowroom.numerics import Given, InputError, Support
from elbowroom.recipes import described

from .likelihood import Likelihood, not_whole_from_0

__all__ = ["Bernoulli"]


@described("bernoulli")
class Bernoulli(Likelihood):
    """Independent Bernoullis, for binary data.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, the logit of a 1. None where another
        likelihood brings the network (`Mixed`, `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.
    unnormalised : bool, default False
        Accept grey levels in [0, 1] too. The result is then a score and not a log-likelihood, as its normaliser is
        missing.

    References
    ----------
    Loaiza-Ganem & Cunningham, "The continuous Bernoulli" (2019): the missing normaliser.

    Examples
    --------
    >>> import torch
    >>> p = Bernoulli(nn.Linear(2, 3), 3)
    >>> p({"z": torch.zeros(1, 4, 2)}).batch_shape
    torch.Size([1, 4])
    """

    logits = True

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        *,
        given: Sequence[str] = ("z",),
        unnormalised: bool = False,
    ) -> None:
        super().__init__(event, given=given, network=network)
        self.unnormalised = unnormalised

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        (logits,) = raw
        family = TorchBernoulli if self.unnormalised else BinaryBernoulli
        return _Bernoullis(family(logits=logits, validate_args=False), len(self.event), False)

    def outside(self, y: Tensor) -> Tensor:
        """All but 0 and 1; with `unnormalised`, all but [0, 1]."""
        return (y < 0) | (y > 1) if self.unnormalised else not_whole_from_0(y, 2)

    def holds(self, place: int = 0) -> str:
        """What a cell may hold, in words."""
        return "numbers from 0 to 1" if self.unnormalised else "0 or 1"

    def check(self, support: Support) -> None:
        """Binary data only, unless the user said `unnormalised=True` and the data are in [0, 1]."""
        if support.kind == "binary" or (self.unnormalised and support.kind == "unit"):
            return
        raise InputError(
            f"A Bernoulli likelihood is a density of binary data, and these lie on the {support}: binarise them "
            f"(preprocess='binarise'), take likelihoods.Normal, or, for a score that is no likelihood, scale to "
            f"[0, 1] and say unnormalised=True."
        )


class _Bernoullis(Independent):
    """Independent Bernoullis that are summed with fewer passes over the data."""

    def log_prob(self, value: Tensor) -> Tensor:
        if isinstance(self.base_dist, BinaryBernoulli):
            return self.base_dist.summed_log_prob(value, self.reinterpreted_batch_ndims)
        logits, value = torch.broadcast_tensors(self.base_dist.logits, value)
        losses = binary_cross_entropy_with_logits(logits, value, reduction="none")
        return -losses.flatten(-self.reinterpreted_batch_ndims).sum(-1)
