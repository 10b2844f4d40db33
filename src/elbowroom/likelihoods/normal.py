"""Gaussian likelihood with independent elements, and the ways its scale can be had."""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions import Normal as TorchNormal
from torch.nn.functional import softplus

from elbowroom.numerics import Given, InputError, Support
from elbowroom.runs import described

from .base import Likelihood

__all__ = ["Normal", "mass_outside"]

_FRACTION_OF_SPREAD = 0.01
_AT_FLOOR = 1.01


@described("normal")
class Normal(Likelihood):
    """Independent Gaussians: the network returns the mean, and with scale="predicted" a raw scale beside it.

    scale: a number fixes σ; "shared" learns one σ; "feature" one per element; "predicted" makes it a function of z.
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

    floor_value: Tensor
    offset: Tensor

    def __init__(
        self,
        network: nn.Module,
        event: int | Sequence[int],
        scale: float | Literal["shared", "feature", "predicted"] = "shared",
        floor: float | None = None,
        start: float | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(event, given, network)
        if isinstance(scale, str) and scale not in ("shared", "feature", "predicted"):
            raise InputError(f"scale must be a number, 'shared', 'feature' or 'predicted'; got {scale!r}.")
        if not isinstance(scale, str) and not scale > 0:
            raise InputError(f"A fixed scale must be positive; got {scale}.")
        self.scale, self.floor, self.start = scale, floor, start
        self.register_buffer("floor_value", torch.tensor(1e-3 if floor is None else float(floor)))
        self.register_buffer("offset", torch.zeros(() if scale == "shared" else self.event))
        if scale in ("shared", "feature"):
            self.raw = nn.Parameter(torch.zeros_like(self.offset))
        self._start_at(torch.full_like(self.offset, 1.0 if start is None else float(start)))

    def forward(self, given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        if self.scale == "predicted":
            mean, raw = self.parameters_from(given, 2)
            scale = self.floor_value + softplus(raw + self.offset)
        else:
            (mean,) = self.parameters_from(given, 1)
            scale = self.common_scale().expand(self.event)
        return Independent(TorchNormal(mean, scale, validate_args=False), len(self.event), False)

    def common_scale(self) -> Tensor:
        """σ where it does not depend on z: a scalar, or one value per element."""
        if isinstance(self.scale, str):
            return self.floor_value + softplus(self.raw + self.offset)
        return torch.full_like(self.floor_value, self.scale)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Settle floor and start from the training data y [n, *event]; returns what was settled."""
        if not isinstance(self.scale, str):
            return []
        flat = y.flatten(1).double().cpu()
        if self.floor is None:
            floor = step / math.sqrt(12) if step else _FRACTION_OF_SPREAD * flat.std().item()
            self.floor_value.fill_(max(floor, 1e-6))
        left = self.floor_value.expand(self.event).clone()
        if self.start is None:
            residual = torch.as_tensor(_pca_residual(flat.numpy(), latents)).to(left)
            left = residual.view(self.event) if self.scale != "shared" else residual.square().mean().sqrt()
        else:
            left = torch.full_like(self.offset, float(self.start))
        self._start_at(left)
        floor, start = self.floor_value.item(), left.square().mean().sqrt().item()
        return [f"Normal: σ starts at {start:.3g} (what PCA leaves), floored at {floor:.3g}."]

    def check(self, support: Support) -> None:
        """Continuous data only: on a grid a density grows without limit."""
        if support.kind in ("unit", "real"):
            return
        raise InputError(
            f"A Normal likelihood is a density of continuous data, and these lie on the {support}, where densities "
            f"grow without limit: dequantise them (preprocess='dequantise'), or take likelihoods.Bernoulli for "
            f"binary data."
        )

    def remarks(self, p_x: Distribution) -> list[str]:
        """Says which elements sit at the floor of the scale."""
        if not isinstance(self.scale, str):
            return []
        at_floor = (p_x.stddev < _AT_FLOOR * self.floor_value).double().flatten(end_dim=1).mean(0)
        share = at_floor.mean().item()
        if share == 0:
            return []
        floor = self.floor_value.item()
        return [
            f"Normal: {share:.1%} of the scales (elements × examples) sit at the floor {floor:.3g}; where a floor "
            f"binds, log p(x) depends on it."
        ]

    def _start_at(self, scale: Tensor) -> None:
        """Place the offset so that a raw scale of 0 means σ = `scale`."""
        above = (scale - self.floor_value).clamp_min(0.05 * self.floor_value.clamp_min(1e-6))
        self.offset.copy_(above + torch.log(-torch.expm1(-above)))  # the inverse of softplus


def mass_outside(p_x: Distribution, low: float, high: float) -> float:
    """Mean probability that Independent Normals put outside [low, high], per element.

    >>> p = Independent(TorchNormal(torch.zeros(1, 1, 1), 1.0), 1)
    >>> round(mass_outside(p, 0.0, 1.0), 2)
    0.66
    """
    base = p_x.base_dist if isinstance(p_x, Independent) else p_x
    low_t, high_t = torch.tensor(low), torch.tensor(high)
    inside = base.cdf(high_t) - base.cdf(low_t)
    return 1.0 - inside.double().mean().item()


def _pca_residual(flat: np.ndarray, components: int, most: int = 10_000) -> np.ndarray:
    """Root mean square that PCA leaves per column of flat [n, columns], in sample."""
    from sklearn.decomposition import PCA

    rows = flat[:most]
    k = min(components, len(rows) - 1, rows.shape[1] - 1)
    if k < 1:
        return rows.std(0)
    pca = PCA(k, random_state=0).fit(rows)
    left = rows - pca.inverse_transform(pca.transform(rows))
    return np.sqrt((left**2).mean(0))
