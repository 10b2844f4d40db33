"""Gaussian likelihood with independent elements."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions import Normal as TorchNormal

from elbowroom.distributions import capabilities, require
from elbowroom.numerics import Given, Support
from elbowroom.recipes import described

from .scaled import Scale, Scaled

__all__ = ["Normal", "leak", "mass_outside"]

_WINDOW = 100


@described("normal")
class Normal(Scaled):
    """Independent Gaussians: the network returns the mean, and with scale="predicted" a raw scale beside it.

    scale: a number fixes σ; "shared" learns one σ; "feature" one per element; "predicted" makes it a function of z;
    "optimal" is the closed form of the best common σ, the root of the mean squared error: in training that of the
    batch at hand, in evaluation that of the last 100 training batches or so, or of what was last passed through under
    `pooling`, never of the batch that is evaluated.
    floor: the least σ, on the scale the network sees; None settles it from the training data: the standard
    deviation of one grid step's uniform noise (step / √12) where the data are on a grid, else 1 % of the data's
    standard deviation. start: where σ begins; None settles it at what PCA with as many components as latents
    leaves, per element: a σ that starts too large collapses the latent before it has shrunk.
    Source: Lucas et al., "Don't blame the ELBO!", 2019; Rybkin et al., "Simple and effective VAE training with
    calibrated decoders", 2021.

    >>> p = Normal(nn.Linear(2, 3), 3, scale=0.1)
    >>> p({"z": torch.zeros(1, 4, 2)}).stddev[0, 0]
    tensor([0.1000, 0.1000, 0.1000])
    """

    symbol = "σ"
    ways = ("shared", "feature", "predicted", "optimal")

    squares: Tensor
    count: Tensor

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        *,
        scale: Scale | Literal["optimal"] = "shared",
        floor: float | None = None,
        start: float | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, scale, floor, start, given)
        self._keep = 1 - 1 / _WINDOW
        if scale == "optimal":
            self.register_buffer("squares", torch.tensor(1.0 if start is None else float(start) ** 2))
            self.register_buffer("count", torch.ones(()))

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        if self.scale == "optimal" and self.training and "x" in given:
            mean, scale = raw[0], self._of_batch(raw[0], given["x"])
        else:
            mean, scale = self.location_and_scale(raw)
        return Independent(TorchNormal(mean, scale, validate_args=False), len(self.event), False)

    def best_scale(self, residual: Tensor) -> float:
        """The root of the mean square."""
        return residual.square().mean().sqrt().item()

    def common_scale(self) -> Tensor:
        """σ where it does not depend on z: a scalar, or one value per element."""
        if self.scale == "optimal":
            return torch.maximum((self.squares / self.count).sqrt(), self.floor_value)
        return super().common_scale()

    @contextmanager
    def pooling(self) -> Iterator[None]:
        """With scale="optimal": σ² becomes the mean squared error over all that is passed through inside.

        Pass the training data, once.

        >>> p = Normal(nn.Linear(1, 1), 1, scale="optimal")
        >>> _ = p.network.requires_grad_(False).weight.zero_(), p.network.bias.zero_()
        >>> with p.pooling():
        ...     for x in (2.0, 4.0):
        ...         _ = p({"z": torch.zeros(1, 5, 1), "x": torch.full((1, 5, 1), x)})
        >>> p.eval().common_scale() ** 2
        tensor(10.)
        """
        training, keep = self.training, self._keep
        self.squares.zero_()
        self.count.zero_()
        self._keep, self.training = 1.0, True
        try:
            yield
        finally:
            self._keep, self.training = keep, training

    def _of_batch(self, mean: Tensor, x: Tensor) -> Tensor:
        """The best σ for a batch, which is taken into the running one; at the optimum it needs no gradient."""
        error = (x - mean.detach()).square()
        self.squares.mul_(self._keep).add_(error.sum())
        self.count.mul_(self._keep).add_(error.numel())
        return torch.maximum(error.mean().sqrt(), self.floor_value).expand(self.event)

    def _start_at(self, scale: Tensor, above_floor: float = 0.05) -> None:
        super()._start_at(scale, above_floor)
        if "squares" in self._buffers:
            self.squares.copy_(scale**2)
            self.count.fill_(1.0)


def mass_outside(p_x: Distribution, low: float, high: float) -> float:
    """Mean probability that an independent family with a cdf puts outside [low, high], per element.

    Raises CapabilityError where the family has no cdf.

    >>> p = Independent(TorchNormal(torch.zeros(1, 1, 1), 1.0), 1)
    >>> round(mass_outside(p, 0.0, 1.0), 2)
    0.66
    """
    base = p_x.base_dist if isinstance(p_x, Independent) else p_x
    require(base, "cdf")
    low_t, high_t = torch.tensor(low), torch.tensor(high)
    inside = base.cdf(high_t) - base.cdf(low_t)
    return 1.0 - inside.double().mean().item()


def leak(p_x: Distribution, support: Support) -> float | None:
    """`mass_outside` [0, 1] for data inside it; None for other data, and for a family without a cdf."""
    base = p_x.base_dist if isinstance(p_x, Independent) else p_x
    return mass_outside(p_x, 0.0, 1.0) if support.kind == "unit" and "cdf" in capabilities(base) else None
