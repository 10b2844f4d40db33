"""Whether something was counted at all: binary accessibility, with a size factor."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from elbowroom.distributions import BinaryBernoulli
from elbowroom.numerics import Given, InputError, Support
from elbowroom.recipes import described

from .counted import Counted, SizeScale
from .likelihood import not_whole_from_0

__all__ = ["Detection"]

_STEPS = 40
_SMALL = 1e-4


@described("detection")
class Detection(Counted):
    """Independent Bernoullis of what is detected: whether a Poisson count is above 0, P(x = 1) = 1 − exp(−mean).

    For binary accessibility, whose cells differ in how much was sampled of them: the size factor multiplies the mean,
    and whatever its value a probability comes of it.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, log(mean / that of the training data),
        which is smoothly bounded to ±20. None where another likelihood brings the network (`Mixed`, `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    size_factor : str or None, default None
        Name of one number per example that multiplies the mean: a context or a latent block, which the network does
        not read. Means start per unit of it. None: 1 for all.
    size_scale : {"linear", "log"}, default "linear"
        Whether that number is the factor, 0 or more, or its logarithm.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For another word, or a size factor that the network is to read too.

    References
    ----------
    Ashuach et al., "PeakVI: A deep generative model for single-cell chromatin accessibility analysis" (2022), where
    the probability is a product with a factor that a network reads from x.

    Examples
    --------
    >>> p = Detection(nn.Linear(2, 3), 3, size_factor="size")
    >>> p({"z": torch.zeros(1, 4, 2), "size": torch.ones(1, 4, 1)}).event_shape
    torch.Size([3])
    """

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        *,
        size_factor: str | None = None,
        size_scale: SizeScale = "linear",
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, size_factor, size_scale, given)

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        logits = _logit_of_any(self.log_mean(raw[0], given))
        return Independent(BinaryBernoulli(logits=logits, validate_args=False), len(self.event), False)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Settle the means where the network's numbers are 0: those that detect as many as the training data y have."""
        self.base.copy_(_log_means(y, y.new_ones(len(y), *[1] * len(self.event))))
        share = y.double().mean().item()
        return [f"{type(self).__name__}: starts at what the training data have, {share:.2%} detected."]

    def settle_beside(self, y: Tensor, beside: Given) -> list[str]:
        """Settle them at size 1 where the size is observed."""
        if self.size_factor not in beside:
            return []
        size = self._log_size(beside[self.size_factor].double().unsqueeze(0))[0].exp()
        self.base.copy_(_log_means(y, size))
        return [f"{type(self).__name__}: means are per {self.size_factor}."]

    def outside(self, y: Tensor) -> Tensor:
        """All but 0 and 1."""
        return not_whole_from_0(y, 2)

    def holds(self, place: int = 0) -> str:
        """What a cell may hold, in words."""
        return "0 or 1"

    def check(self, support: Support) -> None:
        """Binary data only."""
        if support.kind != "binary":
            raise InputError(
                f"A Detection likelihood is a probability of zeros and ones, and these data lie on the {support}: give "
                f"x > 0, or take likelihoods.NegativeBinomial for counts."
            )


def _logit_of_any(log_mean: Tensor) -> Tensor:
    """The logit of 1 − exp(−mean): log(exp(mean) − 1), which is log mean + mean / 2 where the mean is small."""
    mean = log_mean.exp()
    safe = torch.where(mean < _SMALL, 1.0, mean)
    return torch.where(mean < _SMALL, log_mean + mean / 2, safe + torch.log(-torch.expm1(-safe)))


def _log_means(y: Tensor, size: Tensor) -> Tensor:
    """Of each element, the log of the mean per size at which as many are expected to be detected as were, half a one
    more and half a one less at least."""
    n = len(y)
    wanted = y.double().sum(0).clamp(0.5, n - 0.5)
    size = size.double()
    low = (wanted / size.sum(0)).log() - 1.0
    high = low + 1.0 + torch.log(1 + size.sum(0) / size[size > 0].min()).clamp_max(40.0)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        more = -torch.expm1(-size * middle.exp())
        few = more.sum(0) < wanted
        low, high = torch.where(few, middle, low), torch.where(few, high, middle)
    return (low + high) / 2
